"""Write tables as CSV text."""

from __future__ import annotations

import csv
import io
import numbers
from collections.abc import Iterable, Sequence

from tinybench.core.metric_text import is_defined


def to_csv(header: Sequence[object], rows: Iterable[Iterable[object]], line_end: str = "\r\n") -> str:
    """Return a table as CSV text.

    Args:
        header: The column names, which are the first line.
        rows: The values of each further line; None and NaN are empty fields.
        line_end: The end of each line; the default is that of RFC 4180.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=line_end)
    writer.writerow(header)
    writer.writerows(map(_without_nan, rows))
    return text.getvalue()


def _without_nan(row: Iterable[object]) -> list[object]:
    return [None if isinstance(value, numbers.Real) and not is_defined(float(value)) else value for value in row]
