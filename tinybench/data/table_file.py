"""Read tables (CSV) that say which class images have."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tinybench.core import text_file
from tinybench.core.errors import DataError
from tinybench.core.name_text import clean_name
from tinybench.data import split_names

SUFFIXES = (".csv", ".tsv")

_BINARY = (".xlsx", ".xls", ".ods", ".json", ".jsonl", ".parquet", ".pkl")
_MAX_BYTES = 2**26
_DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Table:
    """The rows of a table.

    Attributes:
        name: The name of the file, relative to the folder of the images.
        header: The names of the columns; empty for a column without one.
        rows: The rows, each with its line number; all are as long as the header.
    """

    name: str
    header: list[str]
    rows: list[tuple[int, list[str]]]

    @property
    def folder(self) -> str:
        """The folder of the table, with a slash at its end; empty for one beside the images' folders."""
        folder, slash, _ = self.name.rpartition("/")
        return folder + slash

    @property
    def split(self) -> str | None:
        """The split that the table, or the folder in which it is, is named after; None if it is none."""
        path = PurePosixPath(self.name)
        return next(filter(None, map(split_names.recognize_split, (path.stem, path.parent.name))), None)

    def values(self, column: int) -> list[str]:
        """Return the cells of a column."""
        return [row[column] for _, row in self.rows]


def read(root: Path, name: str) -> Table:
    """Read a table.

    Args:
        root: The folder to which the name is relative.
        name: The name of the file.

    Raises:
        DataError: It is too large, or no text with columns.
    """
    path = root / name
    if path.suffix.lower() in _BINARY:
        raise DataError(f"{path} is no CSV: export the table as CSV, and name that by `--data.labels_file`.")
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path} is larger than {_MAX_BYTES / 2**20:.0f} MiB: that is no table of images and labels.")
    try:
        text = text_file.read(path)
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=_find_delimiter(text.partition("\n")[0]))
        header = [clean_name(cell.strip()) for cell in next(rows, [])]
        lines = [(rows.line_num, _fit_row(row, header)) for row in rows if any(map(str.strip, row))]
    except UnicodeError as error:
        raise DataError(f"Cannot read the table {path}: {text_file.describe_error(error)}") from None
    except (OSError, csv.Error) as error:
        raise DataError(f"Cannot read the table {path} ({error}).") from None
    return Table(name, header, lines)


def _find_delimiter(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def _fit_row(row: list[str], header: Sequence[str]) -> list[str]:
    return [*map(str.strip, row[: len(header)]), *[""] * (len(header) - len(row))]
