"""Read which class the images of a folder have from a table (CSV), as competitions and research publish it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinybench.core import text_file
from tinybench.core.errors import DataError
from tinybench.core.name_text import clean_name
from tinybench.data import scan, split_names
from tinybench.data.image_index import ImageIndex
from tinybench.data.labelled_files import LabelledFiles, shorten_list

if TYPE_CHECKING:
    from tinybench.config.sections import DataConfig
    from tinybench.data.file_headers import FolderFiles

SUFFIXES = (".csv", ".tsv")

_IMAGE_COLUMNS = (
    *("image", "image_id", "imageid", "image_name", "imagename", "image_path", "filename", "file_name", "file"),
    *("filepath", "file_path", "path", "img", "img_name", "name", "id", "picture"),
)
_LABEL_COLUMNS = ("label", "labels", "class", "class_name", "classname", "target", "category", "dx", "species", "breed")
_SPLIT_COLUMNS = ("split", "subset", "set", "partition", "fold", "data_set", "dataset")
_SAMPLE = 200  # rows by which columns are recognised
_MIN_FOUND = 0.5  # share of these rows whose image is there, for a column without a known name
_MAX_BYTES = 2**26
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class _Table:
    """The rows of a table.

    Attributes:
        name: The name of the file, relative to the folder.
        header: The names of the columns.
        rows: The rows, each with its line number; all are as long as the header.
    """

    name: str
    header: list[str]
    rows: list[tuple[int, list[str]]]

    def values(self, column: int) -> list[str]:
        return [row[column] for _, row in self.rows]


@dataclass(frozen=True)
class _Columns:
    """The columns of a table that are used; several columns for labels hold 1 for the class of the image, else 0."""

    image: int
    labels: tuple[int, ...]
    split: int | None


def find_tables(files: FolderFiles, config: DataConfig) -> LabelledFiles | None:
    """Return the images and labels of the tables at the top of a folder; None if none names its images.

    Tables that are named after splits, such as `train.csv` and `test.csv`, belong together.

    Raises:
        DataError: Several tables fit, or one whose columns are not clear.
    """
    index = ImageIndex(files.images)
    names = [name for name in files.others if "/" not in name and Path(name).suffix.lower() in SUFFIXES]
    tables = [_read_table(files.root, name) for name in names if "submission" not in name.lower()]
    fitting = [table for table in tables if _find_image_column(table, index, config) is not None]
    labelled = [table for table in fitting if _has_labels(table, index, config)]
    if len(labelled) > 1 and not _are_splits(labelled):
        listed = shorten_list([table.name for table in labelled])
        raise DataError(f"{files.root} has several tables of images ({listed}): name one by `--data.labels_file`.")
    if fitting and not labelled:
        _find_columns(fitting[0], index, config)  # raises DataError
    return _label_images(files, labelled, index, config) if labelled else None


def read_table(files: FolderFiles, config: DataConfig) -> LabelledFiles:
    """Read the labels of the images of a folder from the table that the settings name.

    Raises:
        DataError: There is no such table, it cannot be read, or its columns do not fit or are not clear.
    """
    assert config.labels_file is not None
    path = files.root / config.labels_file  # an absolute path stays as it is
    path = path if path.is_file() else Path(config.labels_file).expanduser().absolute()
    if not path.is_file():
        raise DataError(
            f"Invalid value for `data.labels_file`: there is no file {config.labels_file!r} in {files.root}."
        )
    return _label_images(files, [_read_table(path.parent, path.name)], ImageIndex(files.images), config)


def _read_table(root: Path, name: str) -> _Table:
    """Read a table; raise DataError unless it is text with columns."""
    path = root / name
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path} is larger than {_MAX_BYTES / 2**20:.0f} MiB: that is no table of images and labels.")
    try:
        text = text_file.read(path)
        delimiter = _find_delimiter(text.partition("\n")[0])
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        header = [clean_name(cell.strip()) for cell in next(rows, [])]
        table = _Table(
            name, header, [(rows.line_num, _fit_row(row, header)) for row in rows if any(map(str.strip, row))]
        )
    except UnicodeError as error:
        raise DataError(f"Cannot read the table {path}: {text_file.describe_error(error)}") from None
    except (OSError, csv.Error) as error:
        raise DataError(f"Cannot read the table {path} ({error}).") from None
    return table


def _find_delimiter(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def _fit_row(row: list[str], header: Sequence[str]) -> list[str]:
    return [*map(str.strip, row[: len(header)]), *[""] * (len(header) - len(row))]


def _has_labels(table: _Table, index: ImageIndex, config: DataConfig) -> bool:
    try:
        _find_columns(table, index, config)
    except DataError:
        return False
    return True


def _are_splits(tables: Sequence[_Table]) -> bool:
    splits = [split_names.recognize_split(Path(table.name).stem) for table in tables]
    return None not in splits and len(set(splits)) == len(splits)


def _find_columns(table: _Table, index: ImageIndex, config: DataConfig) -> _Columns:
    """Return which columns are used; raise DataError if that is not clear, or if a column of the settings is absent."""
    image = _find_image_column(table, index, config)
    if image is None:
        raise DataError(
            f"No column of {table.name} ({shorten_list(table.header)}) names images that are there: check the names in "
            "it, or name the column by `--data.image_column`."
        )
    split = _named_column(table, config.split_column, "split_column", _SPLIT_COLUMNS)
    if split is not None and config.split_column is None:
        recognized = map(split_names.recognize_split, filter(None, table.values(split)))
        split = split if all(recognized) else None
    return _Columns(image, _find_label_columns(table, {image, split}, config), split)


def _find_image_column(table: _Table, index: ImageIndex, config: DataConfig) -> int | None:
    if config.image_column is not None and clean_name(config.image_column) in table.header:
        return table.header.index(clean_name(config.image_column))
    shares = [_share_found(table, column, index) for column in range(len(table.header))]
    for name in _IMAGE_COLUMNS:
        for column, header in enumerate(table.header):
            if _plain(header) == name and shares[column]:
                return column
    best = max(shares, default=0.0)
    return shares.index(best) if best >= _MIN_FOUND else None


def _share_found(table: _Table, column: int, index: ImageIndex) -> float:
    """Return the share of a sample of rows whose image is there."""
    step = max(1, len(table.rows) // _SAMPLE)
    values = [row[column] for _, row in table.rows[::step]]
    return sum(index.has(value) for value in values) / len(values) if values else 0.0


def _find_label_columns(table: _Table, taken: set[int | None], config: DataConfig) -> tuple[int, ...]:
    named = _named_column(table, config.label_column, "label_column", _LABEL_COLUMNS)
    if named is not None:
        return (named,)
    others = [column for column in range(len(table.header)) if column not in taken]
    if len(others) > 1 and all(_is_one_hot(row, others) for _, row in table.rows):
        return tuple(others)
    if len(others) != 1:
        columns = shorten_list([table.header[column] for column in others])
        raise DataError(
            f"Which column of {table.name} holds the classes ({columns})? Name it by `--data.label_column`."
            if others
            else f"{table.name} has no column for the classes: it has {shorten_list(table.header)} only."
        )
    return (others[0],)


def _is_one_hot(row: Sequence[str], columns: Sequence[int]) -> bool:
    cells = [row[column] for column in columns]
    return all(_is_number(cell, 0) or _is_number(cell, 1) for cell in cells) and sum(float(cell) for cell in cells) == 1


def _is_number(cell: str, number: int) -> bool:
    return cell in (f"{number}", f"{number}.0", f"{number}.")


def _named_column(table: _Table, given: str | None, setting: str, usual: Sequence[str]) -> int | None:
    """Return the column that a setting names, or else the first one with a usual name; None if there is none."""
    if given is not None:
        if clean_name(given) not in table.header:
            raise DataError(
                f"Invalid value for `data.{setting}`: {table.name} has no column {given!r}, but "
                f"{shorten_list(table.header)}."
            )
        return table.header.index(clean_name(given))
    plain = [_plain(header) for header in table.header]
    return next((plain.index(name) for name in usual if name in plain), None)


def _plain(header: str) -> str:
    return header.casefold().replace(" ", "_").replace("-", "_")


@dataclass(frozen=True)
class _Row:
    """A row of a table whose image is there.

    Attributes:
        place: The line and the table, for messages.
        image: The name of the image.
        label: The class name.
        split: `train`, `validation` or `test`.
    """

    place: str
    image: str
    label: str
    split: str


def _label_images(files: FolderFiles, tables: Sequence[_Table], index: ImageIndex, config: DataConfig) -> LabelledFiles:
    """Return the images that tables name, with their labels."""
    unused: dict[str, int] = {}
    columns = {table.name: _find_columns(table, index, config) for table in tables}
    rows = _read_rows(tables, columns, index, unused)
    if len(files.images) > len(rows):
        unused["images that the table does not name"] = len(files.images) - len(rows)
    classes = tuple(sorted({row.label for row in rows}, key=scan.natural_key))
    label_of = {name: label for label, name in enumerate(classes)}
    members = {
        split: sorted((label_of[row.label], row.image) for row in rows if row.split == split)
        for split in split_names.SPLITS
        if any(row.split == split for row in rows)
    }
    if "train" not in members:
        raise DataError(f"No row of {tables[0].name} is for training: {', '.join(members)} only.")
    notes = tuple(_describe_columns(table, columns[table.name]) for table in tables)
    return LabelledFiles(classes, members, lambda name: (files.root / name).read_bytes(), notes, unused)


def _describe_columns(table: _Table, columns: _Columns) -> str:
    labels = " and ".join(table.header[column] for column in columns.labels[:2])
    more = f" and {len(columns.labels) - 2} more" if len(columns.labels) > 2 else ""
    return f"{table.name} says which class an image has: columns {table.header[columns.image]} and {labels}{more}."


def _read_rows(
    tables: Sequence[_Table], columns: Mapping[str, _Columns], index: ImageIndex, unused: dict[str, int]
) -> list[_Row]:
    """Return the rows whose image is there, one for each image.

    Raises:
        DataError: There is none, or an image has two classes or splits.
    """
    rows: dict[str, _Row] = {}
    for table in tables:
        for row in _iterate_rows(table, columns[table.name], index, len(tables) > 1, unused):
            earlier = rows.setdefault(row.image, row)
            if (earlier.label, earlier.split) != (row.label, row.split):
                raise DataError(
                    f"{row.image} is {earlier.label!r} in {earlier.place} and {row.label!r} in {row.place}: keep one "
                    "of them."
                    if earlier.label != row.label
                    else f"{row.image} is a {earlier.split} image in {earlier.place} and a {row.split} image in "
                    f"{row.place}: keep one of them."
                )
    if not rows:
        raise DataError(f"No row of {tables[0].name} has both an image that is there and a class.")
    return [*rows.values()]


def _iterate_rows(
    table: _Table, columns: _Columns, index: ImageIndex, is_split: bool, unused: dict[str, int]
) -> Iterator[_Row]:
    """Yield the rows whose image is there, and count the others by reason."""
    own_split = split_names.recognize_split(Path(table.name).stem) if is_split else None
    for line, row in table.rows:
        split = _row_split(table, columns, row, line) or own_split
        image = index.find(row[columns.image], split or "")
        label = _row_label(table, columns, row)
        if image is None or not label:
            reason = f"rows of {table.name} without {'an image that is there' if image is None else 'a class'}"
            unused[reason] = unused.get(reason, 0) + 1
            continue
        folder_split = split_names.recognize_split(image.partition("/")[0]) if "/" in image else None
        yield _Row(f"line {line} of {table.name}", image, label, split or folder_split or "train")


def _row_split(table: _Table, columns: _Columns, row: Sequence[str], line: int) -> str | None:
    if columns.split is None or not row[columns.split]:
        return None
    split = split_names.recognize_split(row[columns.split])
    if split is None:
        raise DataError(
            f"Line {line} of {table.name}: expected train, validation or test in column "
            f"{table.header[columns.split]}, got {row[columns.split]!r}."
        )
    return split


def _row_label(table: _Table, columns: _Columns, row: Sequence[str]) -> str:
    if len(columns.labels) == 1:
        return clean_name(row[columns.labels[0]])
    return next(table.header[column] for column in columns.labels if _is_number(row[column], 1))
