"""Read images and labels from Parquet files as Hugging Face writes them: a column of encoded images, one of labels."""

from __future__ import annotations

import json
import threading
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from tinybench.core.errors import DataError
from tinybench.core.name_text import clean_name
from tinybench.data import scan, split_names
from tinybench.data.labelled_files import LabelledFiles, shorten_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tinybench.config.sections import DataConfig
    from tinybench.data.file_headers import FolderFiles

SUFFIX = ".parquet"

_LABEL_COLUMNS = ("label", "labels", "class", "target", "category")
_NO_LABEL = -1  # as Hugging Face writes it
_UNLABELLED = "rows without a class"
_OPEN_GROUPS = 2  # row groups that are kept in memory


@dataclass(frozen=True)
class _Columns:
    """The columns of the files; `names` are those of the classes if the labels are numbers that stand for them."""

    image: str
    label: str
    names: tuple[str, ...]


def list_parquet(files: FolderFiles) -> list[str]:
    """Return the names of the Parquet files under a folder."""
    return [name for name in files.others if name.lower().endswith(SUFFIX)]


def read_parquet(files: FolderFiles, config: DataConfig) -> LabelledFiles:
    """Read the labels of the images in the Parquet files under a folder; the images are read when they are decoded.

    Raises:
        DataError: pyarrow is not installed, a file cannot be read, or its columns are not clear.
    """
    if config.split_column is not None:
        raise DataError("`data.split_column` is for tables: the splits of Parquet files are those of their names.")
    names, unused = _choose_files(list_parquet(files))
    reader = _RowReader(files.root)
    columns = {name: _find_columns(reader, name, config) for name in names}
    first = columns[names[0]]
    _check_same_columns(files.root, columns)
    labels: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        for row, value in enumerate(reader.read_column(name, first.label)):
            if value is None or value == _NO_LABEL:
                unused[_UNLABELLED] = unused.get(_UNLABELLED, 0) + 1
            else:
                member = (_class_of(value, columns[name], name), f"{name}#{row}")
                labels.setdefault(_split_of(name) or "train", []).append(member)
    if "train" not in labels:
        raise DataError(f"No Parquet file in {files.root} is for training: {shorten_list(names)}.")
    names_of_rows = {label for rows in labels.values() for label, _ in rows}
    classes = first.names or tuple(sorted(names_of_rows, key=scan.natural_key))
    label_of = {name: number for number, name in enumerate(classes)}
    members = {
        split: [(label_of[label], row) for label, row in labels[split]]
        for split in split_names.SPLITS
        if labels.get(split)
    }
    note = f"Images and classes are columns {first.image} and {first.label} of {len(names):,} Parquet file(s)."
    return LabelledFiles(classes, members, reader.reads(first.image), (note,), unused)


def _choose_files(names: Sequence[str]) -> tuple[list[str], dict[str, int]]:
    """Return the files of splits, or all files if none is named after a split, and how many are left out."""
    of_splits = [name for name in names if _split_of(name) is not None]
    if not of_splits or len(of_splits) == len(names):
        return [*names], {}
    return of_splits, {"Parquet files that are named after no split": len(names) - len(of_splits)}


def _check_same_columns(root: Path, columns: Mapping[str, _Columns]) -> None:
    """Raise DataError unless all files have the same columns and classes, as those of one data set have."""
    first = next(iter(columns))
    expected = (columns[first].image, columns[first].label, {*columns[first].names})
    for name, used in columns.items():
        if (used.image, used.label, {*used.names}) != expected:
            raise DataError(
                f"{first} and {name} in {root} have other columns or classes: put each data set into a folder of its "
                "own."
            )


class _RowReader:
    """Reads rows of Parquet files by number; the row groups that were read last are kept."""

    def __init__(self, root: Path) -> None:
        try:
            import pyarrow.parquet
        except ImportError:
            raise DataError(
                f"{root} holds Parquet files, which need pyarrow: pip install 'tinybench[parquet]'."
            ) from None
        self._parquet = pyarrow.parquet
        self._root = root
        self._open: dict[str, Any] = {}
        self._starts: dict[str, list[int]] = {}
        self._groups: OrderedDict[tuple[str, int], Any] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, name: str) -> Any:
        """Return an open file; raise DataError if it cannot be read."""
        if name not in self._open:
            try:
                self._open[name] = self._parquet.ParquetFile(self._root / name)
            except Exception as error:  # pyarrow has many
                raise DataError(f"Cannot read {self._root / name} ({' '.join(str(error).split())[:200]}).") from None
        return self._open[name]

    def read_column(self, name: str, column: str) -> list[Any]:
        """Return all values of a column; raise DataError where there is no such column."""
        file = self.open(name)
        if column not in file.schema_arrow.names:
            raise DataError(
                f"{self._root / name} has no column {column!r}, but {shorten_list(file.schema_arrow.names)}."
            )
        return list(file.read([column]).column(0).to_pylist())

    def reads(self, column: str) -> Any:
        """Return a function from the name of a row, `FILE#NUMBER`, to the bytes of its image."""

        def read(name: str) -> bytes:
            file, _, number = name.rpartition("#")
            value = self._read_value(file, column, int(number))
            data = value.get("bytes") if isinstance(value, dict) else value
            if not isinstance(data, bytes):
                raise KeyError(f"{name} holds no image")
            return data

        return read

    def _read_value(self, name: str, column: str, row: int) -> Any:
        starts = self._list_starts(name)
        group = bisect_right(starts, row) - 1
        return self._read_group(name, column, group)[row - starts[group]].as_py()

    def _list_starts(self, name: str) -> list[int]:
        """Return the number of the first row of each row group of a file."""
        if name not in self._starts:
            metadata = self.open(name).metadata
            counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
            self._starts[name] = [0, *accumulate(counts)][:-1]
        return self._starts[name]

    def _read_group(self, name: str, column: str, group: int) -> Any:
        with self._lock:  # the threads that decode ask for the same group at one time
            if (name, group) not in self._groups:
                self._groups[name, group] = self._open[name].read_row_group(group, [column]).column(0)
                while len(self._groups) > _OPEN_GROUPS:
                    self._groups.popitem(last=False)
            self._groups.move_to_end((name, group))
            return self._groups[name, group]


def _split_of(name: str) -> str | None:
    """Return the split that a file is named after, such as `data/train-00000-of-00002.parquet`; None if none."""
    path = PurePosixPath(name)
    candidates = [path.stem.split("-")[0], path.stem.split("_")[0], path.stem, *reversed(path.parts[:-1])]
    return next(filter(None, map(split_names.recognize_split, candidates)), None)


def _find_columns(reader: _RowReader, name: str, config: DataConfig) -> _Columns:
    """Return which columns are used: by the settings, by what Hugging Face's library wrote, or by their names."""
    schema = reader.open(name).schema_arrow
    features = _read_features(schema.metadata or {})
    image = config.image_column or _only(
        [
            column.name
            for column in schema
            if features.get(column.name, {}).get("_type") == "Image" or _holds_bytes(column.type)
        ],
        f"Which column of {name} holds the images ({{}})? Name it by `--data.image_column`.",
        schema.names,
    )
    labels = [column for column, feature in features.items() if feature.get("_type") == "ClassLabel"]
    labels = labels or [column for column in _LABEL_COLUMNS if column in schema.names][:1]
    label = config.label_column or _only(
        labels, f"Which column of {name} holds the classes ({{}})? Name it by `--data.label_column`.", schema.names
    )
    names = features.get(label, {}).get("names") or ()
    return _Columns(image, label, tuple(clean_name(str(class_name)) for class_name in names))


def _only(candidates: Sequence[str], question: str, all_names: Sequence[str]) -> str:
    if len(candidates) != 1:
        raise DataError(question.format(shorten_list([*(candidates or all_names)])))
    return candidates[0]


def _holds_bytes(column_type: Any) -> bool:
    import pyarrow

    if pyarrow.types.is_struct(column_type):
        return any(field.name == "bytes" for field in column_type)
    return bool(pyarrow.types.is_binary(column_type) or pyarrow.types.is_large_binary(column_type))


def _read_features(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """Return what Hugging Face's library says of the columns; empty for files that it did not write."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {str(name): feature for name, feature in features.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _class_of(value: Any, columns: _Columns, name: str) -> str:
    """Return the class name of a label; raise DataError for one that stands for no class."""
    if columns.names and isinstance(value, int):
        if not 0 <= value < len(columns.names):
            raise DataError(f"{name} has the label {value}, but {len(columns.names)} class names.")
        return columns.names[value]
    if value is None or isinstance(value, dict | list | bytes | float):
        raise DataError(
            f"{name} has {value!r} in column {columns.label}, where the name or number of a class is needed."
        )
    return clean_name(str(value))
