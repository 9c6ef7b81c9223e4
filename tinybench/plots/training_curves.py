"""Training curves: arrays in, a figure out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tinybench.core.csv_text import as_csv
from tinybench.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tinybench.training.progress import Epoch

_WIDTH, _HEIGHT = 12, 3.8  # inches
_COLOURS = {"train": style.BLUE, "val": style.ORANGE}
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
    figure = style.figure(_WIDTH, _HEIGHT, title)
    for axes, (name, label) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        _panel(axes, epochs, name, label)
        if switch is not None:
            axes.axvline(switch + 0.5, color=style.GRAY, linestyle=":", label="fine-tuning begins")
        at_best = [epoch for epoch in epochs if epoch.number == best]
        if at_best:
            axes.plot(
                best, at_best[0].metrics[f"val/{name}"], "o", markersize=9,
                markerfacecolor="none", markeredgecolor="black", label="weights kept",
            )  # fmt: skip
    return _with_legend(figure)


def of_folds(folds: Sequence[Sequence[Epoch]], title: str) -> Figure:
    """The same of every fold as thin lines, and their mean over the epochs that all of them have."""
    figure = style.figure(_WIDTH, _HEIGHT, title)
    shared = min(map(len, folds))
    for axes, (name, label) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        for split, colour in _COLOURS.items():
            key = f"{split}/{name}"
            for epochs in folds:
                values = [epoch.metrics[key] for epoch in epochs]
                axes.plot([epoch.number for epoch in epochs], values, color=colour, alpha=0.4, linewidth=0.8)
            mean = np.mean([[epoch.metrics[key] for epoch in epochs[:shared]] for epochs in folds], axis=0)
            numbers = [epoch.number for epoch in folds[0][:shared]]
            axes.plot(numbers, mean, color=colour, marker=".", label=f"{_NAMES[split]}, mean of {len(folds)} folds")
        _dress(axes, label, max(map(len, folds)))
    return _with_legend(figure)


def table(epochs: Sequence[Epoch]) -> str:
    """The same data as CSV, one row an epoch."""
    return as_csv(["epoch", *epochs[0].metrics], ([epoch.number, *epoch.metrics.values()] for epoch in epochs))


def table_of_folds(folds: Sequence[Sequence[Epoch]]) -> str:
    """The data of all folds as CSV, one row a fold and epoch."""
    rows = ([fold, epoch.number, *epoch.metrics.values()] for fold, epochs in enumerate(folds, 1) for epoch in epochs)
    return as_csv(["fold", "epoch", *folds[0][0].metrics], rows)


def _with_legend(figure: Figure) -> Figure:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def _panel(axes: Axes, epochs: Sequence[Epoch], name: str, label: str) -> None:
    numbers = [epoch.number for epoch in epochs]
    for split, colour in _COLOURS.items():
        values = [epoch.metrics[f"{split}/{name}"] for epoch in epochs]
        axes.plot(numbers, values, color=colour, marker=".", label=_NAMES[split])
    _dress(axes, label, len(numbers))


def _dress(axes: Axes, label: str, epochs: int) -> None:
    axes.set(xlabel="Epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if epochs == 1:  # or the one epoch would stand among fractions
        axes.set_xlim(axes.dataLim.x0 - 0.5, axes.dataLim.x0 + 0.5)
    style.dress(axes)
