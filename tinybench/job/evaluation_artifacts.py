"""Log the tables and plots of an evaluation, each plot with its data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinybench.core.csv_text import to_csv
from tinybench.evaluation import calibration, metrics, roc
from tinybench.plots import confusion_matrix, prediction_grid, recall_by_class, reliability_diagram, roc_curve

if TYPE_CHECKING:
    from tinybench.data.dataset import Split
    from tinybench.evaluation.split_metrics import SplitEvaluation
    from tinybench.tracking.plot_log import PlotLog
    from tinybench.tracking.run_writer import RunWriter

_MAX_IMAGES = 24  # in a plot of predictions
_MIN_CLASS_IMAGES = 5  # of most classes: the accuracy of fewer has an interval from about 0.5 to 1
_MIN_RELIABILITY_IMAGES = 100  # ten bins of ten images
_MIN_ROC_IMAGES = 50  # with two classes: the interval of an area of fewer is more than 0.3 wide


def log_tables(run: RunWriter, evaluation: SplitEvaluation, class_names: Sequence[str]) -> None:
    """Log the metrics of classes, of confused pairs of classes, and of superclasses."""
    by_class = evaluation.class_metrics
    low, high = by_class.recall_interval().T
    columns = (class_names, by_class.precision, by_class.recall, low, high, by_class.f1, by_class.support)
    header = ["class", "precision", "recall", "recall_low", "recall_high", "f1", "images"]
    run.log_text(to_csv(header, zip(*columns, strict=True)), "figures/per_class_accuracy.csv")
    counts = evaluation.confusion_matrix
    pairs = [
        (class_names[true], class_names[predicted], count, by_class.support[true])
        for true, predicted, count in metrics.most_confused_pairs(counts)
    ]
    run.log_text(to_csv(["true", "predicted", "images", "of"], pairs), "tables/most_confused.csv")
    run.log_text(confusion_matrix.confusion_matrix_csv(counts, class_names), "figures/confusion_matrix.csv")
    if evaluation.superclass_accuracy:
        accuracies = evaluation.superclass_accuracy.items()
        run.log_text(to_csv(["superclass", "accuracy"], accuracies), "tables/superclasses.csv")


def log_plots(plot_log: PlotLog, evaluation: SplitEvaluation, split: Split, class_names: Sequence[str]) -> None:
    """Log every plot of the evaluation of a split that says something, and the data that `log_tables` does not log.

    Args:
        plot_log: Where the plots are logged to.
        evaluation: The evaluation of all images of the split.
        split: The images.
        class_names: One name per label.
    """
    by_class = evaluation.class_metrics
    counts = evaluation.confusion_matrix
    plot_log.log_figure(confusion_matrix.plot_confusion_matrix(counts, class_names), "confusion_matrix")
    few = _describe_few(by_class.support)
    if few:
        plot_log.leave_out("per_class_accuracy", few)
    else:
        recall, interval = by_class.recall, by_class.recall_interval()
        bars = recall_by_class.plot_recall_by_class(recall, by_class.support, class_names, interval)
        plot_log.log_figure(bars, "per_class_accuracy")
    _log_reliability(plot_log, evaluation)
    _log_roc(plot_log, evaluation)
    _log_predictions(plot_log, evaluation, split, class_names)


def _describe_few(support: NDArray[np.integer[Any]]) -> str:
    """Return why metrics of single classes say nothing; empty if most classes have enough images."""
    median = np.median(support[support > 0])
    return f"half of the classes have fewer than {_MIN_CLASS_IMAGES} images" if median < _MIN_CLASS_IMAGES else ""


def _log_reliability(plot_log: PlotLog, evaluation: SplitEvaluation) -> None:
    """Log the reliability diagram of the model, also after temperature scaling if a temperature was fitted."""
    predictions = evaluation.predictions
    before = calibration.bin_by_confidence(predictions.labels, predictions.probabilities())
    after = None
    if "ece_scaled" in evaluation.metrics:
        scaled = predictions.probabilities(evaluation.temperature)
        after = calibration.bin_by_confidence(predictions.labels, scaled)
    plot_log.run.log_text(reliability_diagram.reliability_diagram_csv(before, after), "figures/reliability.csv")
    ece_after = None if after is None else after.ece
    images = len(predictions.labels)
    if images < _MIN_RELIABILITY_IMAGES:
        plot_log.leave_out("reliability", f"{images} images are too few for bins, at least {_MIN_RELIABILITY_IMAGES}")
        return
    figure = reliability_diagram.plot_reliability_diagram(before, after, before.ece, ece_after)
    plot_log.log_figure(figure, "reliability")


def _log_roc(plot_log: PlotLog, evaluation: SplitEvaluation) -> None:
    if "auc_ovr_macro" not in evaluation.metrics:
        plot_log.leave_out("roc", "it is not defined for images of a single class")
        return
    predictions = evaluation.predictions
    curve = roc.macro_roc_curve(predictions.labels, predictions.probabilities())
    columns = (curve.false_positive, curve.true_positive_mean, curve.low, curve.high)
    plot_log.run.log_text(roc_curve.roc_curve_csv(*columns), "figures/roc.csv")
    images = len(predictions.labels)
    if images < _MIN_ROC_IMAGES:
        plot_log.leave_out("roc", f"{images} images are too few for a curve, at least {_MIN_ROC_IMAGES}")
        return
    plot_log.log_figure(roc_curve.plot_roc_curve(*columns, evaluation.metrics["auc_ovr_macro"]), "roc")


def _log_predictions(plot_log: PlotLog, evaluation: SplitEvaluation, split: Split, class_names: Sequence[str]) -> None:
    """Log images with correct and wrong predictions, drawn at random, and with the most confident wrong ones.

    The order of the draw does not depend on the model.
    """
    labels, probabilities = evaluation.predictions.labels, evaluation.predictions.probabilities()
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    correct = predicted == labels
    order = np.random.default_rng(0).permutation(len(correct))
    wrong = np.flatnonzero(~correct)
    most_confident = wrong[np.argsort(-confidence[wrong], kind="stable")]
    for name, title, candidates in (
        ("right", "Correct predictions, drawn at random", order[correct[order]]),
        ("wrong", "Wrong predictions, drawn at random", order[~correct[order]]),
        ("worst", "Wrong predictions, the most confident first", most_confident),
    ):
        indices = candidates[:_MAX_IMAGES]
        if len(indices) == 0:
            plot_log.leave_out(name, f"no prediction is {'correct' if name == 'right' else 'wrong'}")
            continue
        if name == "wrong" and len(wrong) <= _MAX_IMAGES:
            plot_log.leave_out(name, f"worst has all {len(wrong)} wrong predictions")
            continue
        true_names = [class_names[label] for label in labels[indices]]
        predicted_names = [class_names[label] for label in predicted[indices]]
        figure = prediction_grid.plot_predictions(
            split.images(indices), true_names, predicted_names, confidence[indices], title
        )
        plot_log.log_figure(figure, name)
        rows = zip(split.rows[indices], true_names, predicted_names, confidence[indices], strict=True)
        table = to_csv(["image", "true", "predicted", "confidence"], rows)
        plot_log.run.log_text(table, f"figures/{name}.csv")
