"""Write metrics and their intervals as text; what is not defined is left out instead of printed as `nan`."""

from __future__ import annotations

import math


def is_defined(*values: float | None) -> bool:
    """Return whether none of some values is None or NaN."""
    return not any(value is None or math.isnan(value) for value in values)


def format_metric(value: float | None, spec: str = ".4f") -> str:
    """Return a metric as text; empty if it is not defined.

    Args:
        value: The metric; None or NaN where it is not defined.
        spec: How it is formatted, as in `format`.
    """
    return format(value, spec) if value is not None and is_defined(value) else ""


def format_interval(low: float | None, high: float | None, spec: str = ".4f") -> str:
    """Return an interval as text, such as `[0.8800, 0.9300]`; empty if it is not defined.

    Metrics that are equal in all resamples, such as an F1 of 1, have none (`evaluation.intervals`).

    Args:
        low: The lower end; None or NaN where there is no interval.
        high: The upper end; None or NaN where there is no interval.
        spec: How the ends are formatted, as in `format`.
    """
    return f"[{format_metric(low, spec)}, {format_metric(high, spec)}]" if is_defined(low, high) else ""


def with_interval(value: float | None, low: float | None, high: float | None, spec: str = ".4g") -> str:
    """Return a metric and its interval as text, such as `0.91 [0.88, 0.93]`; what is not defined is left out."""
    if not is_defined(value):
        return ""
    return f"{format_metric(value, spec)} {format_interval(low, high, spec)}".rstrip()
