"""Training curves: arrays in, a figure out."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tinybench.figures.words import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tinybench.training.progress import Epoch

# Blue and orange of the Okabe-Ito palette: apart for every kind of colour vision
_COLOURS = {"train": "#0072B2", "val": "#E69F00"}
_NAMES = {"train": "training", "val": "validation"}
_PANELS = (("loss", "Loss"), ("accuracy", "Top-1 accuracy"), ("top5", "Top-5 accuracy"))


def curves(epochs: Sequence[Epoch], title: str, *, switch: int | None = None, best: int | None = None) -> Figure:
    """Loss, top-1 and top-5 of training and validation by epoch.

    Args:
        epochs: What was trained, in order.
        title: Above the panels.
        switch: Last epoch of the first phase, where a line is drawn.
        best: The epoch whose weights were kept, marked on the validation curves.
    """
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    figure.suptitle(plain(title))
    for axes, (name, label) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        _panel(axes, epochs, name, label)
        if switch is not None:
            axes.axvline(switch + 0.5, color="#666666", linestyle=":", label="fine-tuning begins")
        at_best = [epoch for epoch in epochs if epoch.number == best]
        if at_best:
            axes.plot(
                best, at_best[0].metrics[f"val/{name}"], "o", markersize=9,
                markerfacecolor="none", markeredgecolor="black", label="weights kept",
            )  # fmt: skip
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def table(epochs: Sequence[Epoch]) -> str:
    """The same data as CSV, one row an epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["epoch", *epochs[0].metrics])
    writer.writeheader()
    writer.writerows({"epoch": epoch.number, **epoch.metrics} for epoch in epochs)
    return text.getvalue()


def _panel(axes: Axes, epochs: Sequence[Epoch], name: str, label: str) -> None:
    numbers = [epoch.number for epoch in epochs]
    for split, colour in _COLOURS.items():
        values = [epoch.metrics[f"{split}/{name}"] for epoch in epochs]
        axes.plot(numbers, values, color=colour, marker=".", label=_NAMES[split])
    axes.set(xlabel="Epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
