"""Format metrics as lines of text, with their intervals."""

from __future__ import annotations

from tinybench.core.metric_text import format_interval, is_defined


def format_metrics(metrics: dict[str, float]) -> str:
    """Return one line per metric, followed by its interval if there is one (`<name>_low` and `<name>_high`)."""
    names = [name for name in metrics if not name.endswith(("_low", "_high"))]
    return "\n".join(
        f"{name:28} {_format_value(name, metrics[name])}{_format_interval(name, metrics)}" for name in names
    )


def _format_value(name: str, value: float) -> str:
    if not is_defined(value):
        return "not defined"
    return f"{value:,.0f}" if name.endswith(("/images", "/classes")) else f"{value:.4f}"


def _format_interval(name: str, metrics: dict[str, float]) -> str:
    if f"{name}_low" not in metrics:
        return ""
    interval = format_interval(metrics[f"{name}_low"], metrics.get(f"{name}_high"))
    return f"   {interval or '(no interval: all resamples of the images are alike)'}"
