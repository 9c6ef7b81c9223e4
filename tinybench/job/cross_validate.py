"""Stratified cross-validation: a run for each fold, then one evaluation of all folds on the test images.

Each fold trains on the images of the other folds and is evaluated on its own, which also choose its best epoch; so
the mean over folds is slightly optimistic. The test images are used once, when all folds are finished.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np

from tinybench.core.errors import TrackingError
from tinybench.data import splits
from tinybench.evaluation import metrics
from tinybench.evaluation.predict_split import SplitPredictor
from tinybench.evaluation.predictions import Predictions
from tinybench.job import description, phase_evaluation, run_costs
from tinybench.job.run_context import RunContext
from tinybench.plots import training_curves
from tinybench.tracking import model_logging, run_record, stored_predictions, tags
from tinybench.tracking.plot_log import PlotLog
from tinybench.tracking.results import FoldResult, PhaseResult, Result

_OUT_OF_FOLD = "out_of_fold"

TrainPhases = Callable[[RunContext], tuple[keras.Model, dict[str, PhaseResult]]]


def cross_validate(context: RunContext, train_phases: TrainPhases) -> Result:
    """Train every fold that is not finished, then evaluate them together.

    Args:
        context: The whole run; `data.folds` is the number of folds.
        train_phases: Trains the phases of a fold and returns its model.

    Raises:
        DataError: A class has fewer training images than there are folds.
    """
    config, run, count = context.config, context.run, context.config.data.folds
    assert count is not None
    trained = [_train_fold(context, number, count, train_phases) for number in range(1, count + 1)]
    folds = tuple(fold for fold, _ in trained)
    models = [run_record.load_final_model(context.tracker, fold.run_id) for fold in folds]
    model = build_ensemble(models, context.dataset.shape)
    summary = (
        _spread("folds/", [_without_prefix(fold.metrics) for fold in folds])
        | _join_out_of_fold(context, folds)
        | _evaluate_on_test(context, models)
        | _training_summary([fold_metrics for _, fold_metrics in trained])
    )
    with TemporaryDirectory() as folder:
        file = run_record.log_best_model(run, model, Path(folder))
        summary |= run_costs.measure_run(
            run, context.folder, file, config.track.costs, context.device, context.callbacks
        )
    epochs = [list(fold.epochs) for fold in folds]
    run.log_metrics(summary, count, max(fold_epochs[-1].timestamp for fold_epochs in epochs))
    summary |= run_costs.efficiency_ratio(summary)  # not logged: runs shall not be ranked by one quick measurement
    if config.track.pictures:
        run.log_figure(training_curves.plot_fold_curves(epochs, description.run_title(config)), "figures/curves.png")
    run.log_text(training_curves.fold_curves_csv(epochs), "figures/curves.csv")
    run.set_tags({tags.NOTE: description.describe_folds(config, context.dataset, folds, summary)})
    context.write_events(run)
    model_key = model_logging.log_model(run, model, context.dataset, count)
    fields = context.send_all(model_key)
    folds = tuple(replace(fold, run_id=run.store.id_of(fold.run_id)) for fold in folds)
    result = Result(**fields, folds=folds, summary=summary)
    context.callbacks.on_folds_end(result)
    if warning := description.warn_of_guessing(summary, context.dataset.test.labels):
        context.callbacks.on_message(f"Note: {warning}")
    return result


def build_ensemble(models: list[keras.Model], shape: tuple[int, int, int]) -> keras.Model:
    """Build a model whose probabilities are the mean of several models'.

    Args:
        models: Raw pixels to probabilities (n, classes); they are renamed `fold_1`, `fold_2`, ….
        shape: Height, width and channels of an image.
    """
    pixels = keras.Input(shape, name="pixels")
    for number, model in enumerate(models, 1):
        model.name = f"fold_{number}"
    mean = keras.layers.Average(name="probabilities", dtype="float32")([model(pixels) for model in models])
    return keras.Model(pixels, mean, name="classifier")


def _train_fold(
    context: RunContext, number: int, count: int, train_phases: TrainPhases
) -> tuple[FoldResult, dict[str, float]]:
    """Train one fold in a child run; a finished one is only read back.

    Returns:
        The result, and the latest value of every metric of the fold's run.
    """
    tracker = context.tracker
    stored = tracker.find_fold_run(context.run.key, number) if context.resumed else None
    if stored is not None and stored.info.status == "FINISHED":
        fold_metrics = {name: value for name, value in stored.data.metrics.items() if name.startswith("out_of_fold/")}
        fold_epochs = tuple(tracker.read_epochs(stored.info.run_id))
        return FoldResult(number, stored.info.run_id, fold_metrics, fold_epochs), dict(stored.data.metrics)
    dataset = splits.make_fold(context.dataset, number - 1, count, context.config.seed)
    title = f"fold {number}: {description.run_title(context.config)}"
    run = tracker.reopen(stored) if stored else tracker.create_fold_run(context.run, number, title)
    context.callbacks.on_fold_begin(number, count)
    with run.open():
        run_record.log_phase_inputs(run, context.config, dataset)
        fold_context = replace(
            context, run=run, dataset=dataset, folder=context.folder / f"fold{number}", start_from=None, scored=False
        )
        model, phase_results = train_phases(fold_context)
        predictions = SplitPredictor(model).predict(dataset.validation, context.config.batch_size)
        stored_predictions.log_predictions(run, _OUT_OF_FOLD, predictions)
        scores = metrics.classification_metrics(predictions.labels, predictions.probabilities())
        fold_metrics = _with_prefix("out_of_fold/", scores)
        # With the time of the last epoch, metrics that are sent again after a crash are the same points
        fold_epochs = tuple(epoch for result in phase_results.values() for epoch in result.epochs)
        last = fold_epochs[-1]
        run.log_metrics(fold_metrics, last.number, last.timestamp)
        context.run.log_metrics(_with_prefix("fold/", scores), number, last.timestamp)
        context.write_events(run)
    return FoldResult(number, run.key, fold_metrics, fold_epochs), run.metrics


def _training_summary(fold_metrics: list[dict[str, float]]) -> dict[str, float]:
    """Return the parameters, the summed training time, and the mean overfitting gap of the folds."""
    summary = {
        "efficiency/parameters": fold_metrics[0]["efficiency/parameters"],
        "efficiency/training_seconds": sum(values["efficiency/training_seconds"] for values in fold_metrics),
    }
    gaps = [values["best/overfitting_gap"] for values in fold_metrics if "best/overfitting_gap" in values]
    return summary | ({"best/overfitting_gap": float(np.mean(gaps))} if gaps else {})


def _join_out_of_fold(context: RunContext, folds: tuple[FoldResult, ...]) -> dict[str, float]:
    """Store the predictions of all training images, each by the fold that did not see it; return their metrics."""
    arrays = [_stored_predictions(context, fold.run_id).arrays() for fold in folds]
    joined = {name: np.concatenate([fold_arrays[name] for fold_arrays in arrays]) for name in arrays[0]}
    order = np.argsort(joined["rows"])
    predictions = Predictions(**{name: values[order] for name, values in joined.items()})
    stored_predictions.log_predictions(context.run, _OUT_OF_FOLD, predictions)
    scores = metrics.classification_metrics(predictions.labels, predictions.probabilities())
    return _with_prefix("out_of_fold/", scores)


def _evaluate_on_test(context: RunContext, models: list[keras.Model]) -> dict[str, float]:
    """Return the test metrics of the ensemble, and mean and standard deviation of those of each fold alone."""
    test = context.dataset.test
    predictions = [SplitPredictor(model).predict(test, context.config.batch_size) for model in models]
    for number, fold_predictions in enumerate(predictions, 1):
        stored_predictions.log_predictions(context.run, f"test_of_fold_{number}", fold_predictions)
    mean = np.mean([fold_predictions.probabilities() for fold_predictions in predictions], axis=0)
    together = Predictions.from_probabilities(test.rows, test.labels, mean)
    plot_log = PlotLog(context.run, context.config.track.pictures)
    evaluation = phase_evaluation.evaluate_split(plot_log, "test", together, context.dataset)
    scores = [
        metrics.classification_metrics(test.labels, fold_predictions.probabilities())
        for fold_predictions in predictions
    ]
    return phase_evaluation.prefix_metrics("test", evaluation) | _spread("folds/test_", scores)


def _stored_predictions(context: RunContext, run_id: str) -> Predictions:
    predictions = stored_predictions.read_predictions(context.tracker, context.tracker.get_run(run_id), _OUT_OF_FOLD)
    if predictions is None:
        raise TrackingError(f"Run {run_id} has lost the predictions of its fold: start a new run.")
    return predictions


def _spread(prefix: str, fold_metrics: list[dict[str, float]]) -> dict[str, float]:
    """Return mean and standard deviation (ddof 1) over the folds of each metric that all of them have."""
    shared = [name for name in fold_metrics[0] if all(name in fold for fold in fold_metrics)]
    values = {name: np.array([fold[name] for fold in fold_metrics]) for name in shared}
    means = {f"{prefix}{name}_mean": float(array.mean()) for name, array in values.items()}
    return means | {f"{prefix}{name}_sd": float(array.std(ddof=1)) for name, array in values.items()}


def _with_prefix(prefix: str, values: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}{name}": value for name, value in values.items()}


def _without_prefix(values: dict[str, float]) -> dict[str, float]:
    return {name.partition("/")[2]: value for name, value in values.items()}
