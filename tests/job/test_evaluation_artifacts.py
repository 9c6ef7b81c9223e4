"""Which plots an evaluation leaves: those that say something, and why the others are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from stores import fresh

from tinybench.config.sections import TrackConfig
from tinybench.data.dataset import ImagePool, Split
from tinybench.evaluation.predictions import Predictions
from tinybench.evaluation.split_metrics import evaluate_predictions
from tinybench.job import evaluation_artifacts
from tinybench.tracking import tags
from tinybench.tracking.plot_log import PlotLog
from tinybench.tracking.run_writer import RunWriter
from tinybench.tracking.tracker import Tracker

ALL = {"confusion_matrix", "per_class_accuracy", "reliability", "roc", "right", "wrong", "worst"}


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunWriter]:
    with closing(Tracker(TrackConfig(uri=fresh(tmp_path_factory)), may_be_away=True)) as tracker:
        yield tracker.open_parent_run("x")


def log(run: RunWriter, classes: int, images: int, wrong: int) -> tuple[set[str], dict[str, str]]:
    """Log the plots of images of which some are predicted wrongly; return the plots, and why others are missing."""
    labels = (np.arange(images) % classes).astype(np.int32)
    logits = np.random.default_rng(0).normal(size=(images, classes))
    logits[np.arange(images), np.where(np.arange(images) < wrong, (labels + 1) % classes, labels)] += 6
    rows = np.arange(images)
    pool = ImagePool(np.zeros((images, 8, 8, 3), np.uint8), labels, np.zeros(images, "S16"))
    evaluation = evaluate_predictions(Predictions.from_logits(rows, labels, logits))
    plot_log = PlotLog(run)
    evaluation_artifacts.log_plots(
        plot_log, evaluation, Split(pool, rows, labels), [f"class {label}" for label in range(classes)]
    )
    assert run.store.flush()
    client = MlflowClient(run.store.uri)
    told = client.get_run(run.id).data.tags.get(tags.FIGURES_ABSENT, "")
    reasons = dict(part.split(": ", 1) for part in told.split("; ")) if told else {}
    assert reasons == plot_log.absent
    pictures = {Path(item.path).stem for item in client.list_artifacts(run.id, "figures") if item.path.endswith("png")}
    return pictures, reasons


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_four_hundred_images_say_all_there_is(run: RunWriter, classes: int) -> None:
    assert log(run, classes, images=400, wrong=40) == (ALL, {})


def test_few_images_of_a_class_and_few_of_all_say_nothing_of_each(run: RunWriter) -> None:
    pictures, reasons = log(run, classes=10, images=12, wrong=5)
    assert pictures == {"confusion_matrix", "right", "worst"}
    assert reasons == {
        "per_class_accuracy": "half of the classes have fewer than 5 images",
        "reliability": "12 images are too few for bins, at least 100",
        "roc": "12 images are too few for a curve, at least 50",
        "wrong": "worst has all 5 wrong predictions",
    }


def test_few_images_of_each_of_many_classes_have_a_mean_roc_curve(run: RunWriter) -> None:
    pictures, reasons = log(run, classes=50, images=200, wrong=40)
    assert pictures == ALL - {"per_class_accuracy"}
    assert set(reasons) == {"per_class_accuracy"}


def test_two_classes_of_six_images_are_compared(run: RunWriter) -> None:
    pictures, reasons = log(run, classes=2, images=12, wrong=2)
    assert pictures == {"confusion_matrix", "per_class_accuracy", "right", "worst"}
    assert set(reasons) == {"reliability", "roc", "wrong"}


@pytest.mark.parametrize(
    ("wrong", "missing", "reason"), [(0, ["wrong", "worst"], "wrong"), (400, ["right"], "correct")]
)
def test_where_nothing_is_wrong_or_all_is_there_is_nothing_to_show(
    run: RunWriter, wrong: int, missing: list[str], reason: str
) -> None:
    pictures, reasons = log(run, classes=3, images=400, wrong=wrong)
    assert pictures == ALL - {*missing}
    assert reasons == dict.fromkeys(missing, f"no prediction is {reason}")


def test_images_of_one_class_have_no_roc_curve(run: RunWriter) -> None:
    labels = np.zeros(200, np.int32)
    logits = np.random.default_rng(0).normal(size=(200, 2))
    pool = ImagePool(np.zeros((200, 8, 8, 1), np.uint8), labels, np.zeros(200, "S16"))
    evaluation = evaluate_predictions(Predictions.from_logits(np.arange(200), labels, logits))
    plot_log = PlotLog(run)
    evaluation_artifacts.log_plots(plot_log, evaluation, Split(pool, np.arange(200), labels), ["cat", "dog"])
    assert plot_log.absent == {"roc": "it is not defined for images of a single class"}
