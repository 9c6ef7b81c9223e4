"""Write tables as CSV text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence


def to_csv(header: Sequence[object], rows: Iterable[Iterable[object]], line_end: str = "\r\n") -> str:
    """Return a table as CSV text.

    Args:
        header: The column names, which are the first line.
        rows: The values of each further line; None is an empty field.
        line_end: The end of each line; the default is that of RFC 4180.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator=line_end)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
