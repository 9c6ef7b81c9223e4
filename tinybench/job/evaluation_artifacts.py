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
    from tinybench.evaluation.split_metrics import Judgement
    from tinybench.tracking.image_log import Album
    from tinybench.tracking.run import Run

_SHOWN = 24  # pictures on a page


def tables(run: Run, judged: Judgement, names: Sequence[str]) -> None:
    """Store the figures of classes, of pairs of them and of superclasses."""
    by_class = judged.by_class
    low, high = by_class.interval().T
    columns = (names, by_class.precision, by_class.recall, low, high, by_class.f1, by_class.support)
    header = ["class", "precision", "recall", "recall_low", "recall_high", "f1", "images"]
    run.text(as_csv(header, zip(*columns, strict=True)), "figures/per_class_accuracy.csv")
    run.text(_pairs(judged, names), "tables/most_confused.csv")
    run.text(confusion_matrix.table(judged.confusion, names), "figures/confusion_matrix.csv")
    if judged.by_superclass:
        run.text(as_csv(["superclass", "accuracy"], judged.by_superclass.items()), "tables/superclasses.csv")


def pictures(album: Album, judged: Judgement, split: Split, names: Sequence[str]) -> None:
    """Store every picture of a judgement by the images of a split; `tables` stores the data of the first two."""
    by_class = judged.by_class
    album.figure(confusion_matrix.matrix(judged.confusion, names), "confusion_matrix")
    bars = recall_by_class.bars(by_class.recall, by_class.support, names, by_class.interval())
    album.figure(bars, "per_class_accuracy")
    _reliability(album, judged)
    _roc(album, judged)
    _predictions(album, judged, split, names)


def _reliability(album: Album, judged: Judgement) -> None:
    labels = judged.answers.labels
    before = calibration.bins(labels, judged.answers.probabilities())
    after = None
    if "ece_scaled" in judged.figures:
        after = calibration.bins(labels, judged.answers.probabilities(judged.temperature))
    album.run.text(reliability_diagram.table(before, after), "figures/reliability.csv")
    picture = reliability_diagram.diagram(before, after, before.ece, None if after is None else after.ece)
    album.figure(picture, "reliability")


def _roc(album: Album, judged: Judgement) -> None:
    if "auc_ovr_macro" not in judged.figures:  # all images are of one class
        return
    found = roc.macro(judged.answers.labels, judged.answers.probabilities())
    curve = (found.false_positive, found.true_positive_mean, found.low, found.high)
    album.run.text(roc_figure.table(*curve), "figures/roc.csv")
    album.figure(roc_figure.macro(*curve, judged.figures["auc_ovr_macro"]), "roc")


def _predictions(album: Album, judged: Judgement, split: Split, names: Sequence[str]) -> None:
    """Some right answers, some wrong ones, and the wrong ones that were given most confidently."""
    probabilities = judged.answers.probabilities()
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    for name, title, places in _chosen(predicted == judged.answers.labels, confidence):
        if len(places) == 0:
            continue
        true = [names[label] for label in judged.answers.labels[places]]
        taken = [names[label] for label in predicted[places]]
        album.figure(prediction_grid.grid(split.images(places), true, taken, confidence[places], title), name)
        rows = zip(split.rows[places], true, taken, confidence[places], strict=True)
        album.run.text(as_csv(["image", "true", "predicted", "confidence"], rows), f"figures/{name}.csv")


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


def _pairs(judged: Judgement, names: Sequence[str]) -> str:
    pairs = metrics.most_confused(judged.confusion)
    rows = [(names[true], names[taken], count, judged.by_class.support[true]) for true, taken, count in pairs]
    return as_csv(["true", "predicted", "images", "of"], rows)
