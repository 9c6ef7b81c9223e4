"""Figures as lines of text, with their intervals."""

from __future__ import annotations

from math import isnan


def format_metrics(found: dict[str, float]) -> str:
    """A figure a line; one with an interval has it behind."""
    shown = [name for name in found if not name.endswith(("_low", "_high"))]
    return "\n".join(f"{name:28} {_number(name, found[name])}{_interval(found, name)}" for name in shown)


def _number(name: str, value: float) -> str:
    return f"{value:,.0f}" if name.endswith(("/images", "/classes")) else f"{value:.4f}"


def _interval(found: dict[str, float], name: str) -> str:
    if f"{name}_low" not in found:
        return ""
    if isnan(found[f"{name}_low"]):
        return "   (no interval: no resample of the images differs)"
    return f"   [{found[f'{name}_low']:.4f}, {found[f'{name}_high']:.4f}]"
