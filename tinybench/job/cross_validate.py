"""Stratified cross-validation: a run a fold, then the test images, once, by all folds together.

Each fold trains on the other folds' images and is judged on its own, which also choose its best epoch; so the
mean over folds flatters a little. The official test images are touched once, when all folds are done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import keras
import numpy as np

from tinybench.core.errors import TrackingError
from tinybench.data import splits
from tinybench.evaluation import metrics
from tinybench.evaluation.predict_split import Answerer
from tinybench.evaluation.predictions import Answers
from tinybench.job import description, phase_evaluation, run_costs
from tinybench.plots import training_curves
from tinybench.tracking import model_logging as tracked_models
from tinybench.tracking import run_record
from tinybench.tracking.image_log import Album
from tinybench.tracking.results import FoldResult, PhaseResult, Result

if TYPE_CHECKING:
    from tinybench.job.train import Job

_HELD_OUT = "out_of_fold"

Train = Callable[["Job"], tuple[keras.Model, dict[str, PhaseResult]]]


def cross_validate(job: Job, count: int, train: Train) -> Result:
    """Train every fold that is not finished, then score them together.

    Args:
        job: The whole run.
        count: How many folds.
        train: Trains the phases of a job and gives the model.

    Raises:
        DataError: a class has fewer training images than there are folds.
    """
    done = tuple(_fold(job, number, count, train) for number in range(1, count + 1))
    members = [run_record.final_model(job.tracker, each.run_id) for each in done]
    model = ensemble(members, job.dataset.shape)
    found = _over_folds(done) | _held_out_together(job, done) | _on_test(job, members) | _carried(job, done)
    with TemporaryDirectory() as folder:
        file = run_record.best(job.parent, model, Path(folder))
        mode, used = job.config.track.costs, job.used
        found |= run_costs.of_run(job.parent, job.folder, file, mode, used, job.console)
    found |= run_costs.ratio(found)
    epochs = [job.tracker.epochs(each.run_id) for each in done]
    job.parent.metrics(found, count, max(each[-1].timestamp for each in epochs))
    if job.config.track.pictures:
        job.parent.figure(training_curves.of_folds(epochs, description.name(job.config)), "figures/curves.png")
    job.parent.text(training_curves.table_of_folds(epochs), "figures/curves.csv")
    job.parent.tags({"mlflow.note.content": description.folds(job.config, job.dataset, done, found)})
    job.write_events(job.parent)
    model_uri = tracked_models.log_once(job.parent, model, job.dataset, count)
    result = Result(job.parent.id, job.tracker.uri, job.tracker.link(job.parent), model_uri, folds=done, summary=found)
    job.console.on_folds_end(result)
    return result


def ensemble(members: list[keras.Model], shape: tuple[int, int, int]) -> keras.Model:
    """One model whose probabilities are the mean of its members'."""
    pixels = keras.Input(shape, name="pixels")
    for number, member in enumerate(members, 1):
        member.name = f"fold_{number}"
    mean = keras.layers.Average(name="probabilities", dtype="float32")([member(pixels) for member in members])
    return keras.Model(pixels, mean, name="classifier")


def _fold(job: Job, number: int, count: int, train: Train) -> FoldResult:
    """Train one fold in a child run; a finished one is only read back."""
    earlier = job.tracker.fold_run(job.parent.id, number) if job.resumed else None
    if earlier is not None and earlier.info.status == "FINISHED":
        kept = {name: value for name, value in earlier.data.metrics.items() if name.startswith("out_of_fold/")}
        return FoldResult(number, earlier.info.run_id, kept)
    dataset = splits.fold(job.dataset, number - 1, count, job.config.seed)
    title = f"fold {number}: {description.name(job.config)}"
    run = job.tracker.open(earlier) if earlier else job.tracker.fold(job.parent, number, title)
    job.console.on_fold_begin(number, count)
    with run.open():
        run_record.begin_phase(run, job.config, dataset)
        inner = replace(job, parent=run, dataset=dataset, folder=job.folder / f"fold{number}", scored=False)
        model, _ = train(inner)
        answers = Answerer(model)(dataset.validation, job.config.batch_size)
        run_record.answers(run, _HELD_OUT, answers)
        found = _prefixed("out_of_fold/", metrics.scores(answers.labels, answers.probabilities()))
        # The moment is that of the last epoch: if this is sent again after a crash, they are the same points
        last = job.tracker.epochs(run.id)[-1]
        run.metrics(found, last.number, last.timestamp)
        job.parent.metrics(_prefixed("fold/", _unprefixed(found)), number, last.timestamp)
        job.write_events(run)
    return FoldResult(number, run.id, found)


def _over_folds(done: tuple[FoldResult, ...]) -> dict[str, float]:
    """Mean and standard deviation over the folds of each figure that all of them have."""
    return _spread("folds/", [_unprefixed(each.metrics) for each in done])


def _carried(job: Job, done: tuple[FoldResult, ...]) -> dict[str, float]:
    """What the folds cost, and by how much they are better on what they have seen."""
    each = [job.tracker.get(fold.run_id).data.metrics for fold in done]
    found = {
        "efficiency/parameters": each[0]["efficiency/parameters"],
        "efficiency/training_seconds": sum(figures["efficiency/training_seconds"] for figures in each),
    }
    gaps = [figures["best/overfitting_gap"] for figures in each if "best/overfitting_gap" in figures]
    return found | ({"best/overfitting_gap": float(np.mean(gaps))} if gaps else {})


def _held_out_together(job: Job, done: tuple[FoldResult, ...]) -> dict[str, float]:
    """The figures of all training images, each predicted by the fold that did not see it; the predictions are kept."""
    parts = [_predictions(job, each.run_id).arrays() for each in done]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(joined["rows"])
    answers = Answers(**{name: values[order] for name, values in joined.items()})
    run_record.answers(job.parent, _HELD_OUT, answers)
    return _prefixed("out_of_fold/", metrics.scores(answers.labels, answers.probabilities()))


def _on_test(job: Job, members: list[keras.Model]) -> dict[str, float]:
    """The test images by the ensemble, and by each fold on its own as mean and standard deviation."""
    test = job.dataset.test
    each = [Answerer(member)(test, job.config.batch_size) for member in members]
    for number, answers in enumerate(each, 1):
        run_record.answers(job.parent, f"test_of_fold_{number}", answers)
    mean = np.mean([answers.probabilities() for answers in each], axis=0)
    together = Answers.of_probabilities(test.rows, test.labels, mean)
    judged = phase_evaluation.of_answers(Album(job.parent, job.config.track.pictures), "test", together, job.dataset)
    alone = _spread("folds/test_", [metrics.scores(test.labels, answers.probabilities()) for answers in each])
    return phase_evaluation.named("test", judged) | alone


def _predictions(job: Job, run_id: str) -> Answers:
    found = run_record.answered(job.tracker, job.tracker.get(run_id), _HELD_OUT)
    if found is None:
        raise TrackingError(f"Run {run_id} has lost the predictions of its fold: start a new run.")
    return found


def _spread(prefix: str, found: list[dict[str, float]]) -> dict[str, float]:
    shared = [name for name in found[0] if all(name in each for each in found)]
    values = {name: np.array([each[name] for each in found]) for name in shared}
    means = {f"{prefix}{name}_mean": float(each.mean()) for name, each in values.items()}
    return means | {f"{prefix}{name}_sd": float(each.std(ddof=1)) for name, each in values.items()}


def _prefixed(prefix: str, found: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}{name}": value for name, value in found.items()}


def _unprefixed(found: dict[str, float]) -> dict[str, float]:
    return {name.partition("/")[2]: value for name, value in found.items()}
