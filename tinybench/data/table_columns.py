"""Find the columns of a table that hold the images, their classes and their splits; what is not clear is asked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from tinybench.core.errors import DataError
from tinybench.core.name_text import clean_name
from tinybench.data import file_headers, split_names
from tinybench.data.image_index import ImageIndex
from tinybench.data.labelled_files import shorten_list
from tinybench.data.table_file import Table

if TYPE_CHECKING:
    from tinybench.config.sections import DataConfig

_IMAGE_COLUMNS = (
    *("image", "image_id", "imageid", "image_name", "imagename", "image_path", "filename", "file_name", "file"),
    *("filepath", "file_path", "path", "img", "img_name", "name", "id", "picture"),
)
_LABEL_COLUMNS = ("label", "labels", "class", "class_name", "classname", "target", "category", "dx", "species", "breed")
_SPLIT_COLUMNS = ("split", "subset", "set", "partition", "fold", "data_set", "dataset", "usage")
_FLAG_COLUMNS = ("is_train", "is_valid", "is_val", "is_validation", "is_test")
_NO_COLUMN = "none"
_SAMPLE = 200  # rows by which columns are recognised
_MIN_FOUND = 0.5  # share of these rows whose image is there, for a column without a known name


@dataclass(frozen=True)
class Columns:
    """The columns of a table that are used, by their numbers.

    Attributes:
        image: The column that names the images.
        labels: The column of the class names; or several that hold 1 for the class of the image, and else 0.
        split: The column of the splits; None if there is none.
    """

    image: int
    labels: tuple[int, ...]
    split: int | None


def find_columns(table: Table, index: ImageIndex, config: DataConfig) -> Columns:
    """Return which columns are used.

    Raises:
        DataError: It is not clear, or a column of the settings is not there.
    """
    image = find_image_column(table, index, config)
    if image is None:
        raise DataError(_explain_no_image(table, index))
    split = _find_split_column(table, config)
    return Columns(image, _find_label_columns(table, {image, split}, config), split)


def find_image_column(table: Table, index: ImageIndex, config: DataConfig) -> int | None:
    """Return the column that names images that are there; None if no column does.

    Raises:
        DataError: Several columns name different images, or the one of the settings is not there.
    """
    if config.image_column is not None:
        return _column(table, config.image_column, "image_column")
    shares = [_share_found(table, column, index) for column in range(len(table.header))]
    usual = [column for column, header in enumerate(table.header) if normalize_header(header) in _IMAGE_COLUMNS]
    columns = [
        column
        for column, share in enumerate(shares)
        # Of a large data set, few images may be there
        if share >= _MIN_FOUND or (column in usual and any(map(index.has, table.values(column))))
    ]
    with_suffix = [column for column in columns if _share_with_suffix(table, column) >= _MIN_FOUND]
    columns = with_suffix or columns
    if any(index.has(cell) for cell in table.header if file_headers.has_image_suffix(cell)):
        raise DataError(
            f"{table.name} has no header: write the names of its columns, such as id,label, above its rows."
        )
    for one, other in combinations(columns, 2):
        if _differ(table, one, other, index):
            names = " and ".join(describe(table, column) for column in (one, other))
            raise DataError(f"Columns {names} of {table.name} name different images: choose by `--data.image_column`.")
    return max(columns, key=lambda column: (column in usual, shares[column]), default=None)


def has_classes(table: Table, index: ImageIndex, config: DataConfig) -> bool:
    """Return whether a table has a column besides that of the images, as the table of a test set often has not."""
    if config.label_column is not None:
        return clean_name(config.label_column) in table.header
    image = find_image_column(table, index, config)
    return any(header for column, header in enumerate(table.header) if column != image)


def describe(table: Table, column: int) -> str:
    """Return the name of a column for people."""
    return table.header[column] or f"number {column + 1} (without a name)"


def normalize_header(header: str) -> str:
    """Return the name of a column in the spelling of the lists of usual names."""
    return header.casefold().replace(" ", "_").replace("-", "_")


def is_number(cell: str, number: int) -> bool:
    """Return whether a cell is a whole number, however it is written."""
    return cell in (f"{number}", f"{number}.0", f"{number}.")


def _sample(table: Table) -> Sequence[tuple[int, list[str]]]:
    return table.rows[:: max(1, len(table.rows) // _SAMPLE)]


def _share_found(table: Table, column: int, index: ImageIndex) -> float:
    """Return the share of a sample of rows whose image is there."""
    values = [row[column] for _, row in _sample(table)]
    return sum(index.has(value) for value in values) / len(values) if values else 0.0


def _share_with_suffix(table: Table, column: int) -> float:
    values = [row[column] for _, row in _sample(table)]
    return sum(map(file_headers.has_image_suffix, values)) / len(values) if values else 0.0


def _differ(table: Table, one: int, other: int, index: ImageIndex) -> bool:
    """Return whether two columns name different images in some row."""
    for _, row in _sample(table):
        first, second = index.candidates(row[one]), index.candidates(row[other])
        if first and second and not set(first) & set(second):
            return True
    return False


def _explain_no_image(table: Table, index: ImageIndex) -> str:
    columns = shorten_list([describe(table, column) for column in range(len(table.header))])
    if not table.rows:
        return f"{table.name} ({columns}) has no rows: write a row for each image, or remove the file."
    example = next((", ".join(filter(None, row)) for _, row in table.rows), "")
    there = f"; images are there such as {index.names[0]}, rows such as {example[:60]!r}" if index.names else ""
    return (
        f"No column of {table.name} ({columns}) names images that are there{there}. Correct the names in it, or name "
        "the column by `--data.image_column`."
    )


def _find_split_column(table: Table, config: DataConfig) -> int | None:
    """Return the column of the splits.

    Raises:
        DataError: A column seems to hold them, but has values that are none.
    """
    if config.split_column == _NO_COLUMN:
        return None
    if config.split_column is not None:
        return _column(table, config.split_column, "split_column")
    for column, header in enumerate(table.header):
        if normalize_header(header) in _FLAG_COLUMNS:
            raise DataError(_ask_split(table, column, "is true or false"))
        if normalize_header(header) in _SPLIT_COLUMNS:
            values = sorted(set(filter(None, table.values(column))))
            unknown = [value for value in values if split_names.recognize_split(value) is None]
            if not unknown:
                return column if values else None
            if len(unknown) < len(values):
                raise DataError(_ask_split(table, column, f"has values that are no split ({shorten_list(unknown)})"))
    return None


def _ask_split(table: Table, column: int, problem: str) -> str:
    return (
        f"Column {table.header[column]} of {table.name} {problem}: write train, validation or test for each row, and "
        "leave out the others, or have it ignored by `--data.split_column none`."
    )


def _find_label_columns(table: Table, excluded: Collection[int | None], config: DataConfig) -> tuple[int, ...]:
    if config.label_column is not None:
        return (_column(table, config.label_column, "label_column"),)
    columns = [column for column, header in enumerate(table.header) if column not in excluded and header]
    usual = [column for column in columns if normalize_header(table.header[column]) in _LABEL_COLUMNS]
    if len(usual) == 1:
        return (usual[0],)
    if len(columns) > 1 and all(_is_one_hot(row, columns) for _, row in table.rows):
        return tuple(columns)
    if len(columns) == 1:
        return (columns[0],)
    names = shorten_list([table.header[column] for column in usual or columns])
    raise DataError(
        f"Which column of {table.name} holds the classes ({names})? Name it by `--data.label_column`."
        if columns
        else f"{table.name} has no column for the classes: it has {shorten_list(table.header)} only."
    )


def _is_one_hot(row: Sequence[str], columns: Sequence[int]) -> bool:
    cells = [row[column] for column in columns]
    return all(is_number(cell, 0) or is_number(cell, 1) for cell in cells) and sum(float(cell) for cell in cells) == 1


def _column(table: Table, name: str, setting: str) -> int:
    """Return the column that a setting names."""
    if clean_name(name) not in table.header:
        raise DataError(
            f"Invalid value for `data.{setting}`: {table.name} has no column {name!r}, but "
            f"{shorten_list(table.header)}."
        )
    return table.header.index(clean_name(name))
