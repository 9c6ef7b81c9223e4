"""Make HTML tables and lists for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from tinybench.core.metric_text import format_metric


def html_table(columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """Return an HTML table; all texts are escaped, since class names and run names are not trusted.

    Args:
        columns: The heading of each column.
        rows: A value for each column; numbers are shown with four significant digits, NaN as an empty cell.
        caption: A line above the table.
    """
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(_text(value))}</td>' for value in row)}</tr>" for row in rows)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_list(texts: Sequence[str]) -> str:
    """Return an HTML list of texts, which are escaped; nothing if there is none."""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>{items}</ul>" if items else ""


def _text(value: object) -> str:
    if value is None:
        return ""
    return format_metric(value, ".4g") if isinstance(value, float) else str(value)
