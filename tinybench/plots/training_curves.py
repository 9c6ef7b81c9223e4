"""Plot loss and accuracy by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tinybench.core.csv_text import to_csv
from tinybench.plots import point_labels, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tinybench.training.progress import Epoch

_PANEL, _HEIGHT = 4, 3.8  # inches
_COLOURS = {"train": style.BLUE, "val": style.ORANGE}
_NAMES = {"train": "training", "val": "validation"}
_PANELS = (("loss", "Loss"), ("accuracy", "Top-1 accuracy"), ("top5", "Top-5 accuracy"))


def plot_training_curves(
    epochs: Sequence[Epoch], title: str, *, switch: int | None = None, best: int | None = None
) -> Figure:
    """Plot loss, top-1 and top-5 accuracy of training and validation by epoch.

    Top-5 accuracy has no panel where it is 1 in every epoch, as with five classes or fewer; the title says so. A
    single epoch, which makes no curve, has its values written beside its points.

    Args:
        epochs: The epochs in order.
        title: Title of the figure.
        switch: Last epoch of the first phase; a line marks where fine-tuning begins.
        best: Epoch with the best weights, marked on the validation curves.
    """
    figure, panels = _new_panels([epochs], title)
    best_epoch = next((epoch for epoch in epochs if epoch.number == best), None)
    for metric, (label, axes) in panels.items():
        for split, colour in _COLOURS.items():
            values = [epoch.metrics[f"{split}/{metric}"] for epoch in epochs]
            axes.plot([epoch.number for epoch in epochs], values, color=colour, marker=".", label=_NAMES[split])
        _style_panel(axes, label, len(epochs))
        if switch is not None:
            axes.axvline(switch + 0.5, color=style.GRAY, linestyle=":", label="fine-tuning begins")
        if best_epoch is not None:
            axes.plot(
                best_epoch.number, best_epoch.metrics[f"val/{metric}"], "o", markersize=9,
                markerfacecolor="none", markeredgecolor="black", label="best weights",
            )  # fmt: skip
    _add_legend(figure)
    if len(epochs) == 1:
        for metric, (_, axes) in panels.items():
            _write_values(axes, epochs[0], metric)
    return figure


def plot_fold_curves(folds: Sequence[Sequence[Epoch]], title: str) -> Figure:
    """Plot the curves of every fold as thin lines, and their mean over the epochs that all folds have.

    Args:
        folds: The epochs of each fold in order.
        title: Title of the figure.
    """
    figure, panels = _new_panels(folds, title)
    common = min(map(len, folds))
    for metric, (label, axes) in panels.items():
        for split, colour in _COLOURS.items():
            key = f"{split}/{metric}"
            for epochs in folds:
                values = [epoch.metrics[key] for epoch in epochs]
                axes.plot([epoch.number for epoch in epochs], values, color=colour, alpha=0.4, linewidth=0.8)
            mean = np.mean([[epoch.metrics[key] for epoch in epochs[:common]] for epochs in folds], axis=0)
            numbers = [epoch.number for epoch in folds[0][:common]]
            axes.plot(numbers, mean, color=colour, marker=".", label=f"{_NAMES[split]}, mean of {len(folds)} folds")
        _style_panel(axes, label, max(map(len, folds)))
    _add_legend(figure)
    return figure


def training_curves_csv(epochs: Sequence[Epoch]) -> str:
    """Return the metrics of the epochs as CSV, one row per epoch."""
    return to_csv(["epoch", *epochs[0].metrics], ([epoch.number, *epoch.metrics.values()] for epoch in epochs))


def fold_curves_csv(folds: Sequence[Sequence[Epoch]]) -> str:
    """Return the metrics of all folds as CSV, one row per fold and epoch; folds count from 1."""
    rows = ([fold, epoch.number, *epoch.metrics.values()] for fold, epochs in enumerate(folds, 1) for epoch in epochs)
    return to_csv(["fold", "epoch", *folds[0][0].metrics], rows)


def _new_panels(runs: Sequence[Sequence[Epoch]], title: str) -> tuple[Figure, dict[str, tuple[str, Axes]]]:
    """Create a figure with a panel for each metric that varies; return the label and the panel by metric."""
    top5 = [epoch.metrics[f"{split}/top5"] for epochs in runs for epoch in epochs for split in _COLOURS]
    constant = all(value == 1 for value in top5)
    labels = {metric: label for metric, label in _PANELS if not (constant and metric == "top5")}
    title += "\nTop-5 accuracy is 100% in every epoch" if constant else ""
    figure = style.new_figure(_PANEL * max(len(labels), 2), _HEIGHT, title)
    panels = figure.subplots(1, len(labels))
    return figure, {metric: (label, axes) for (metric, label), axes in zip(labels.items(), panels, strict=True)}


def _write_values(axes: Axes, epoch: Epoch, metric: str) -> None:
    values = [epoch.metrics[f"{split}/{metric}"] for split in _COLOURS]
    labels = [f"{_NAMES[split]} {value:.3g}" for split, value in zip(_COLOURS, values, strict=True)]
    point_labels.label_points(axes, [(epoch.number, value) for value in values], labels)


def _add_legend(figure: Figure) -> None:
    """Add one legend for all panels, with the entries of the first."""
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)


def _style_panel(axes: Axes, label: str, epochs: int) -> None:
    axes.set(xlabel="Epoch", ylabel=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if epochs == 1:  # otherwise the only tick labels would be fractions of an epoch
        axes.set_xlim(axes.dataLim.x0 - 0.5, axes.dataLim.x0 + 0.5)
    style.style_axes(axes)
