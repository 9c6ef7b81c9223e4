"""Format metrics as lines of text, with their intervals."""

from __future__ import annotations

from math import isnan


def format_metrics(metrics: dict[str, float]) -> str:
    """Return one line per metric, followed by its interval if there is one (`<name>_low` and `<name>_high`)."""
    names = [name for name in metrics if not name.endswith(("_low", "_high"))]
    return "\n".join(
        f"{name:28} {_format_value(name, metrics[name])}{_format_interval(name, metrics)}" for name in names
    )


def _format_value(name: str, value: float) -> str:
    return f"{value:,.0f}" if name.endswith(("/images", "/classes")) else f"{value:.4f}"


def _format_interval(name: str, metrics: dict[str, float]) -> str:
    if f"{name}_low" not in metrics:
        return ""
    low, high = metrics[f"{name}_low"], metrics[f"{name}_high"]
    return "   (no interval: all resamples of the images are alike)" if isnan(low) else f"   [{low:.4f}, {high:.4f}]"
