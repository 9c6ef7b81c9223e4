"""Find out which class the images of a folder have from a table (CSV), as competitions and research publish it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tinybench.core.errors import DataError
from tinybench.core.name_text import clean_name
from tinybench.data import scan, split_names, table_columns, table_file
from tinybench.data.image_index import ImageIndex
from tinybench.data.labelled_files import LabelledFiles, shorten_list
from tinybench.data.table_columns import Columns
from tinybench.data.table_file import Table

if TYPE_CHECKING:
    from tinybench.config.sections import DataConfig
    from tinybench.data.file_headers import FolderFiles


def find_tables(
    files: FolderFiles, config: DataConfig, class_of: Mapping[str, str], *, is_needed: bool
) -> LabelledFiles | None:
    """Return the images and labels of the tables at the top of a folder, or in the folders of its splits.

    Tables that are named after splits, such as `train.csv` and `test.csv`, belong together.

    Args:
        files: The files under the folder.
        config: The names of columns, as far as they are given.
        class_of: The class of each image by its name, as far as folders say so; a table that repeats it is not used.
        is_needed: Whether nothing else says which classes the images have, so that a table whose names fit no image is
            an error.

    Returns:
        None if no table names images of the folder, or if all that do repeat what is known.

    Raises:
        DataError: Several tables fit, or one whose columns are not clear.
    """
    index = ImageIndex(files.images)
    tables = [table_file.read(files.root, name) for name in files.others if _may_be_table(name)]
    naming = [table for table in tables if _names_images(table, index, config)]
    fitting = [table for table in naming if not _repeats(table, index, config, class_of)]
    if naming and not fitting:
        return None
    if not fitting:
        if tables and is_needed:
            table_columns.find_columns(tables[0], index, config)  # raises DataError
        return None
    labelled = [table for table in fitting if table_columns.has_classes(table, index, config)] or fitting[:1]
    if len(labelled) > 1 and not _are_splits(labelled):
        listed = shorten_list([table.name for table in labelled])
        raise DataError(f"{files.root} has several tables of images ({listed}): name one by `--data.labels_file`.")
    without_classes = [table.name for table in fitting if table not in labelled]
    labels = _label_images(files, labelled, index, config)
    if not without_classes:
        return labels
    note = f"{shorten_list(without_classes)} names images, but no classes: their labels are not known."
    return replace(labels, warnings=(*labels.warnings, note))


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
    is_inside = path.is_relative_to(files.root)
    root = files.root if is_inside else path.parent
    table = table_file.read(root, path.relative_to(root).as_posix())
    return _label_images(files, [table], ImageIndex(files.images), config)


def _may_be_table(name: str) -> bool:
    """Return whether a file is a table at the top of the folder, or in the folder of a split."""
    *folders, last = name.split("/")
    is_near = not folders or (len(folders) == 1 and split_names.recognize_split(folders[0]) is not None)
    return is_near and Path(last).suffix.lower() in table_file.SUFFIXES and "submission" not in last.lower()


def _names_images(table: Table, index: ImageIndex, config: DataConfig) -> bool:
    if config.image_column is not None and clean_name(config.image_column) not in table.header:
        return False
    return table_columns.find_image_column(table, index, config) is not None


def _repeats(table: Table, index: ImageIndex, config: DataConfig, class_of: Mapping[str, str]) -> bool:
    """Return whether a column has the class of every image that folders have, too."""
    image = table_columns.find_image_column(table, index, config)
    if image is None or not class_of:
        return False
    rows = [(index.find(row[image], table.split, table.folder), row) for _, row in table.rows]
    classes = [(class_of[name], row) for name, row in rows if name is not None and name in class_of]
    columns = range(len(table.header))
    return bool(classes) and any(
        all(clean_name(row[column]) == known_class for known_class, row in classes) for column in columns
    )


def _are_splits(tables: Sequence[Table]) -> bool:
    splits = [table.split for table in tables]
    return None not in splits and len(set(splits)) == len(splits)


@dataclass(frozen=True)
class _Row:
    """A row of a table whose image is there.

    Attributes:
        origin: The line and the table, for messages.
        image: The name of the image.
        label: The class name.
        split: `train`, `validation` or `test`.
    """

    origin: str
    image: str
    label: str
    split: str


def _label_images(files: FolderFiles, tables: Sequence[Table], index: ImageIndex, config: DataConfig) -> LabelledFiles:
    """Return the images that tables name, with their labels."""
    unused: dict[str, int] = {}
    columns = {table.name: table_columns.find_columns(table, index, config) for table in tables}
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


def _describe_columns(table: Table, columns: Columns) -> str:
    """Return a sentence that says what is in which column."""
    classes = shorten_list([table.header[column] for column in columns.labels])
    splits = "" if columns.split is None else f", splits in {table.header[columns.split]}"
    image = table_columns.describe(table, columns.image)
    return f"{table.name} has the images in column {image}, classes in {classes}{splits}."


def _read_rows(
    tables: Sequence[Table], columns: Mapping[str, Columns], index: ImageIndex, unused: dict[str, int]
) -> list[_Row]:
    """Return the rows whose image is there, one for each image.

    Raises:
        DataError: There is none, or an image has two classes or splits.
    """
    rows: dict[str, _Row] = {}
    for table in tables:
        own_split = table.split if len(tables) > 1 else None
        for row in _iterate_rows(table, columns[table.name], index, own_split, unused):
            earlier = rows.setdefault(row.image, row)
            if (earlier.label, earlier.split) != (row.label, row.split):
                raise DataError(_describe_contradiction(earlier, row))
    if not rows:
        raise DataError(f"No row of {tables[0].name} has both an image that is there and a class.")
    return [*rows.values()]


def _describe_contradiction(one: _Row, other: _Row) -> str:
    if one.label != other.label:
        contradiction = f"{one.label!r} in {one.origin} and {other.label!r} in {other.origin}"
    else:
        contradiction = f"a {one.split} image in {one.origin} and a {other.split} image in {other.origin}"
    return f"{one.image} is {contradiction}: keep one of them. An image has one class here."


def _iterate_rows(
    table: Table, columns: Columns, index: ImageIndex, own_split: str | None, unused: dict[str, int]
) -> Iterator[_Row]:
    """Yield the rows whose image is there, and count the others by reason."""
    for line, row in table.rows:
        split = _row_split(table, columns, row, line) or own_split
        image = index.find(row[columns.image], split, table.folder)
        label = _row_label(table, columns, row)
        if image is None or not label:
            reason = f"rows of {table.name} without {'an image that is there' if image is None else 'a class'}"
            unused[reason] = unused.get(reason, 0) + 1
            continue
        folder_split = split_names.recognize_split(image.partition("/")[0]) if "/" in image else None
        yield _Row(f"line {line} of {table.name}", image, label, split or folder_split or "train")


def _row_split(table: Table, columns: Columns, row: Sequence[str], line: int) -> str | None:
    if columns.split is None or not row[columns.split]:
        return None
    split = split_names.recognize_split(row[columns.split])
    if split is None:
        raise DataError(
            f"Line {line} of {table.name}: expected train, validation or test in column "
            f"{table.header[columns.split]}, got {row[columns.split]!r}."
        )
    return split


def _row_label(table: Table, columns: Columns, row: Sequence[str]) -> str:
    if len(columns.labels) == 1:
        return clean_name(row[columns.labels[0]])
    return next(table.header[column] for column in columns.labels if table_columns.is_number(row[column], 1))
