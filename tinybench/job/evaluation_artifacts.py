"""What a judgement looks like: each table and picture that goes into a run, with its data beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinybench.core.csv_text import as_csv
from tinybench.evaluation import calibration, metrics, roc
from tinybench.plots import confusion_matrix, prediction_grid, recall_by_class, reliability_diagram
from tinybench.plots import roc_curve as roc_figure

if TYPE_CHECKING:
    from tinybench.data.dataset import Split
    from tinybench.evaluation.split_metrics import SplitEvaluation
    from tinybench.tracking.plot_log import PlotLog
    from tinybench.tracking.run import Run

_SHOWN = 24  # pictures on a page


def tables(run: Run, judged: SplitEvaluation, names: Sequence[str]) -> None:
    """Store the figures of classes, of pairs of them and of superclasses."""
    by_class = judged.class_metrics
    low, high = by_class.recall_interval().T
    columns = (names, by_class.precision, by_class.recall, low, high, by_class.f1, by_class.support)
    header = ["class", "precision", "recall", "recall_low", "recall_high", "f1", "images"]
    run.log_text(as_csv(header, zip(*columns, strict=True)), "figures/per_class_accuracy.csv")
    run.log_text(_pairs(judged, names), "tables/most_confused.csv")
    run.log_text(confusion_matrix.confusion_matrix_csv(judged.confusion_matrix, names), "figures/confusion_matrix.csv")
    if judged.superclass_accuracy:
        run.log_text(as_csv(["superclass", "accuracy"], judged.superclass_accuracy.items()), "tables/superclasses.csv")


def pictures(album: PlotLog, judged: SplitEvaluation, split: Split, names: Sequence[str]) -> None:
    """Store every picture of a judgement by the images of a split; `tables` stores the data of the first two."""
    by_class = judged.class_metrics
    album.log_figure(confusion_matrix.plot_confusion_matrix(judged.confusion_matrix, names), "confusion_matrix")
    bars = recall_by_class.plot_recall_by_class(by_class.recall, by_class.support, names, by_class.recall_interval())
    album.log_figure(bars, "per_class_accuracy")
    _reliability(album, judged)
    _roc(album, judged)
    _predictions(album, judged, split, names)


def _reliability(album: PlotLog, judged: SplitEvaluation) -> None:
    labels = judged.predictions.labels
    before = calibration.bin_by_confidence(labels, judged.predictions.probabilities())
    after = None
    if "ece_scaled" in judged.metrics:
        after = calibration.bin_by_confidence(labels, judged.predictions.probabilities(judged.temperature))
    album.run.log_text(reliability_diagram.reliability_diagram_csv(before, after), "figures/reliability.csv")
    picture = reliability_diagram.plot_reliability_diagram(before, after, before.ece, None if after is None else after.ece)
    album.log_figure(picture, "reliability")


def _roc(album: PlotLog, judged: SplitEvaluation) -> None:
    if "auc_ovr_macro" not in judged.metrics:  # all images are of one class
        return
    found = roc.macro_roc_curve(judged.predictions.labels, judged.predictions.probabilities())
    curve = (found.false_positive, found.true_positive_mean, found.low, found.high)
    album.run.log_text(roc_figure.roc_curve_csv(*curve), "figures/roc.csv")
    album.log_figure(roc_figure.plot_roc_curve(*curve, judged.metrics["auc_ovr_macro"]), "roc")


def _predictions(album: PlotLog, judged: SplitEvaluation, split: Split, names: Sequence[str]) -> None:
    """Some right answers, some wrong ones, and the wrong ones that were given most confidently."""
    probabilities = judged.predictions.probabilities()
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    for name, title, places in _chosen(predicted == judged.predictions.labels, confidence):
        if len(places) == 0:
            continue
        true = [names[label] for label in judged.predictions.labels[places]]
        taken = [names[label] for label in predicted[places]]
        album.log_figure(prediction_grid.plot_predictions(split.images(places), true, taken, confidence[places], title), name)
        rows = zip(split.rows[places], true, taken, confidence[places], strict=True)
        album.run.log_text(as_csv(["image", "true", "predicted", "confidence"], rows), f"figures/{name}.csv")


def _chosen(right: NDArray[np.bool_], confidence: NDArray[np.float64]) -> list[tuple[str, str, NDArray[np.int64]]]:
    """Which images to show, by what; those of the first two are drawn by chance, and the same for every model."""
    order = np.random.default_rng(0).permutation(len(right))
    wrong = np.flatnonzero(~right)
    return [
        ("right", "Right answers, drawn by chance", order[right[order]][:_SHOWN]),
        ("wrong", "Wrong answers, drawn by chance", order[~right[order]][:_SHOWN]),
        (
            "worst",
            "Wrong answers, the most confident first",
            wrong[np.argsort(-confidence[wrong], kind="stable")][:_SHOWN],
        ),
    ]


def _pairs(judged: SplitEvaluation, names: Sequence[str]) -> str:
    pairs = metrics.most_confused_pairs(judged.confusion_matrix)
    rows = [(names[true], names[taken], count, judged.class_metrics.support[true]) for true, taken, count in pairs]
    return as_csv(["true", "predicted", "images", "of"], rows)
