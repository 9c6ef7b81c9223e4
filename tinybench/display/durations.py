"""Write durations for people."""

from __future__ import annotations

_EXACT_SECONDS = 10  # below, tenths are shown


def format_duration(seconds: float) -> str:
    """Return a duration in its largest units, such as `3.2 s`, `12 s`, `4 min 05 s` or `2 h 10 min`."""
    if seconds < _EXACT_SECONDS:
        return f"{seconds:.1f} s"
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {whole:02d} s" if minutes else f"{whole} s"
