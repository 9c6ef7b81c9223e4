"""Train and log a run, from its configuration to the logged model: the page to read first.

A parent run holds the whole; each phase is a child run. A phase trains from the best weights of the previous
one, restores its own best weights, is evaluated once on the test images, and logs its metrics, plots and
checkpoints. At the end the model is logged once, with the parent run. In cross-validation each fold is such a
parent of phases, and `cross_validate` combines them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keras

from tinybench import models
from tinybench.core import waiting
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.redaction import redact
from tinybench.efficiency import cost_metrics, training_cost
from tinybench.hardware import device
from tinybench.job import data_plots, description, phase_evaluation, preflight, remote_checkpoints, run_costs
from tinybench.job.cross_validate import cross_validate
from tinybench.job.phase_logger import PhaseLogger
from tinybench.job.run_context import RunContext
from tinybench.job.run_inputs import RunInputs, build_first_model, load_inputs
from tinybench.job.summary_metrics import select_summary
from tinybench.plots import training_curves
from tinybench.tracking import model_logging, references, run_record, tags
from tinybench.tracking.plot_log import PlotLog
from tinybench.tracking.results import PhaseResult, Result
from tinybench.tracking.run_reader import key_of
from tinybench.tracking.tracker import Tracker
from tinybench.training import phases, run_directory
from tinybench.training.checkpoint import Checkpoints
from tinybench.training.phase_context import PhaseContext, PhaseOutcome
from tinybench.training.progress import RESTATED_AFTER_MS, best_metric_name
from tinybench.training.run_callbacks import CallbackChain, RunCallbacks
from tinybench.training.run_phase import run_phase

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.tracking.run_writer import RunWriter

_SECONDS = "efficiency/training_seconds"
_SUMMED = {_SECONDS, "efficiency/features_seconds"}  # over the phases, in the parent run


def train_run(
    config: RunConfig,
    *,
    start_from: str | None = None,
    parent: RunWriter | None = None,
    run_tags: Mapping[str, str] | None = None,
    callbacks: RunCallbacks | None = None,
) -> Result:
    """Train and log a run.

    Args:
        config: The run's configuration.
        start_from: A run whose best weights the first phase starts from; a new model is built if None.
        parent: The run to which this one belongs, such as that of a study.
        run_tags: Tags that a run with a parent has from its first moment.
        callbacks: Receives the events of the run.

    Raises:
        TinybenchError: The user can correct the cause. Before training no run is left; later it is FAILED.
    """
    preflight.check_run(config)
    tracker = Tracker(config.track, may_be_away=True)
    with closing(tracker), _tell(callbacks) as events:
        if parent is None:
            tracker.check_parent_run()  # the data of a run may take hours to download
        inputs = load_inputs(config)  # before the run is opened: what fails here leaves none
        model = None if config.data.folds else build_first_model(config, inputs.dataset, tracker, start_from)
        title = description.run_name(config)
        if parent is None:
            run = tracker.open_parent_run(title)
        else:
            run = tracker.create_child_run(parent, title, run_tags=run_tags)
        with _open(run, config.track.uri), run_directory.lock_run(run.key):
            run_record.log_configuration(run, config, start_from)
            context = _begin(config, inputs, tracker, run, events, start_from, model)
            if config.data.folds:
                return cross_validate(context, train_phases)
            return _conclude(context, *train_phases(context))


def resume_run(run_id: str, uri: str | None = None, callbacks: RunCallbacks | None = None) -> Result:
    """Resume an interrupted run from its latest checkpoint, in the same MLflow runs.

    Args:
        run_id: The parent run, or one of its phases.
        uri: The tracking store; MLflow's default if None.
        callbacks: Receives the events of the run.

    Raises:
        TrackingError: There is nothing to resume, the checkpoints are on another machine, or another process is working
            on the run.
    """
    tracker = Tracker.at(uri, may_be_away=True)
    stored = tracker.find_top_run(references.find_run_id(tracker, run_id))
    if stored.info.status == "FINISHED":
        raise TrackingError(f"Run {stored.info.run_id} is finished: there is nothing to resume.")
    config = run_record.read_config(tracker, stored)
    preflight.check_extras(config)
    remote_checkpoints.require_checkpoints(tracker, key_of(stored), config)
    with closing(tracker), _tell(callbacks) as events, run_directory.lock_run(key_of(stored), stored.info.run_id):
        inputs = load_inputs(config)
        run = tracker.reopen(stored)
        with _open(run, uri):
            start_from = stored.data.tags.get(tags.SOURCE_RUN)
            context = _begin(config, inputs, tracker, run, events, start_from, resumed=True)
            if config.data.folds:
                return cross_validate(context, train_phases)
            return _conclude(context, *train_phases(context))


def finetune_run(
    run_id: str, settings: Mapping[str, Any], *, uri: str | None = None, callbacks: RunCallbacks | None = None
) -> Result:
    """Fine-tune from the best weights of an earlier run, as a new run that is linked to it.

    Args:
        run_id: The earlier run, or its transfer phase.
        settings: Values by dotted key that differ from those of the earlier run.
        uri: The tracking store; MLflow's default if None.
        callbacks: Receives the events of the run.

    Raises:
        ConfigError: The earlier run has folds, or a setting cannot differ from it.
    """
    tracker = Tracker.at(uri, may_be_away=True)
    run_id = references.find_run_id(tracker, run_id)
    source = tracker.find_top_run(run_id)
    if run_record.read_config(tracker, source).data.folds:
        raise ConfigError(
            f"Run {run_id} has folds, which cannot be fine-tuned afterwards: train with phases=transfer,finetune."
        )
    fixed = ("recipe", "model", "weights", "image_size", "phases", "data.folds", "data.resize", "data.range",
             "backbone.", "network.", "head.")  # fmt: skip
    config = run_record.derive_config(tracker, source, settings, fixed, phases=("finetune",), callbacks=())
    return train_run(config, start_from=run_id, callbacks=callbacks)


@contextmanager
def _tell(callbacks: RunCallbacks | None) -> Iterator[RunCallbacks]:
    """Have the callbacks told what is waited for during the block, and close them at its end."""
    if not isinstance(callbacks, RunCallbacks | None):
        raise ConfigError(f"Invalid value for `run_callbacks`: expected tinybench.RunCallbacks, got {callbacks!r}.")
    with closing(callbacks or RunCallbacks()) as events, waiting.told_to(events.on_message):
        yield events


@contextmanager
def _open(run: RunWriter, uri: str | None) -> Iterator[None]:
    """End a run with the block: FINISHED, or FAILED or KILLED with the reason and the way to resume."""

    def resume_hint(error: BaseException) -> str:
        if not (getattr(error, "resumable", True) and run_directory.can_resume(run.key)):
            return ""
        store = f" --uri {redact(uri)}" if uri else ""
        return f"Resume it with: tinybench resume {run.id}{store}"

    with run.open(resume_hint):
        yield


def _begin(
    config: RunConfig,
    inputs: RunInputs,
    tracker: Tracker,
    run: RunWriter,
    callbacks: RunCallbacks,
    start_from: str | None,
    first_model: keras.Model | None = None,
    *,
    resumed: bool = False,
) -> RunContext:
    """Log what is known before training."""
    dataset, device_name, first_split = inputs.dataset, inputs.device, inputs.first_split
    run_record.log_data(run, dataset)
    run.set_tags({tags.DEVICE: device_name})
    if config.track.pictures:
        data_plots.log_data_plots(run, first_split)
    link = tracker.link(run) or f"{run.id}, not sent to {redact(tracker.uri)} yet"
    callbacks.on_run_begin(config, first_split, device_name, link)
    folder = run_directory.run_directory(run.key)
    return RunContext(config, tracker, run, callbacks, dataset, folder, device_name, start_from, first_model, resumed)


def train_phases(context: RunContext) -> tuple[keras.Model, dict[str, PhaseResult]]:
    """Train the phases of a run in order, each in a child run and from the best weights of the previous one.

    Returns:
        The model with the best weights of the last phase, and the results by phase.
    """
    config, tracker = context.config, context.tracker
    model = context.first_model
    if model is None:
        device.make_repeatable(config.seed, config.deterministic)
    results: dict[str, PhaseResult] = {}
    for phase in config.phases:
        stored = tracker.find_phase_run(context.run.key, phase) if context.resumed else None
        if stored is not None and stored.info.status == "FINISHED":
            model, results[phase] = run_record.read_finished_phase(tracker, stored)
            context.callbacks.on_message(f"{phase} is finished already: its best weights are read from its run")
            continue
        child = (
            tracker.reopen(stored)
            if stored
            else tracker.create_phase_run(context.run, phase, description.run_name(config, phase))
        )
        with child.open():
            checkpoints = Checkpoints(context.folder / phase, config.checkpoint.keep)
            if stored is not None and not checkpoints.start.exists():
                remote_checkpoints.download(tracker, stored.info.run_id, checkpoints.folder)
            phase_context = PhaseContext(
                config,
                phase,
                context.dataset,
                checkpoints,
                epochs_before=max((result.last_epoch for result in results.values()), default=0),
                pretrained=bool(results) or context.start_from is not None,
            )
            model = _start_model(context, checkpoints, model, resumed=stored is not None)
            for note in phases.list_notes(model, config) if not results else ():
                context.callbacks.on_message(f"Note: {note}")
            run_record.log_phase_inputs(child, config, context.dataset)
            with closing(PhaseLogger(context, child)) as logger:
                outcome = run_phase(phase_context, model, CallbackChain(logger, context.callbacks))
            model = outcome.model
            metrics = _phase_metrics(context, phase_context, outcome, logger, child)
            _log_phase(context, phase, outcome, metrics, child, results)
            run_record.log_checkpoints(child, model, checkpoints)
        logger.clear_remote_checkpoints()  # once the run has ended: until then they may be needed
        run_directory.clear_phase(checkpoints.folder)
        progress = outcome.progress
        results[phase] = PhaseResult(
            child.key, progress.epochs[-1].number, progress.best_epoch, metrics, tuple(progress.epochs)
        )
    assert model is not None, "a configuration has at least one phase"
    _log_joined_curves(context, results)
    return model, results


def _start_model(
    context: RunContext, checkpoints: Checkpoints, previous: keras.Model | None, *, resumed: bool
) -> keras.Model:
    """Return the model as the phase begins: saved by the first attempt, and loaded by each resume."""
    if checkpoints.start.exists():
        return models.load(checkpoints.start)
    if resumed and checkpoints.paths():
        raise TrackingError(f"The checkpoints in {checkpoints.folder} are incomplete: start a new run.")
    model = previous
    if model is None:
        model = build_first_model(context.config, context.dataset, context.tracker, context.start_from)
    checkpoints.save_start(model)
    return model


def _phase_metrics(
    context: RunContext, phase_context: PhaseContext, outcome: PhaseOutcome, logger: PhaseLogger, child: RunWriter
) -> dict[str, float]:
    """Evaluate the best weights, once, on the test images; measure what the model costs; gather all final metrics."""
    progress, track = outcome.progress, context.config.track
    metrics = cost_metrics.parameter_metrics(outcome.model, outcome.trainer) | cost_metrics.feature_metrics(
        outcome.feed
    )
    if context.scored:
        plot_log = PlotLog(child, track.pictures, context.run, context.config.phases.index(phase_context.phase))
        metrics |= phase_evaluation.evaluate_phase(plot_log, outcome.model, context.dataset, context.config)
    metrics |= {best_metric_name(name): value for name, value in progress.best.items()}
    metrics |= progress.overfitting_gap | {"best/epoch": float(progress.best_epoch), _SECONDS: progress.seconds}
    metrics |= training_cost.training_speed(progress) | logger.gpu.metrics()
    if context.scored:  # the model of a fold is not kept
        start = phase_context.checkpoints.start
        costs = run_costs.measure_run(child, context.folder, start, track.costs, context.device, context.callbacks)
        metrics |= costs | run_costs.efficiency_ratio(metrics | costs)
    child.set_tags(logger.gpu.tags())
    return metrics


def _log_phase(
    context: RunContext,
    phase: str,
    outcome: PhaseOutcome,
    metrics: dict[str, float],
    child: RunWriter,
    earlier: dict[str, PhaseResult],
) -> None:
    """Log the final metrics and the curves of a phase."""
    config, progress = context.config, outcome.progress
    # With the time of the last epoch, metrics that are sent again after a crash are the same points
    last = progress.epochs[-1]
    child.log_metrics(metrics, last.number, last.timestamp)
    sums = {
        name: metrics[name] + sum(result.metrics.get(name, 0) for result in earlier.values())
        for name in _SUMMED & {*metrics}
    }
    context.run.log_metrics(select_summary(metrics | sums), last.number, last.timestamp)
    if progress.best_epoch != last.number:
        for run in (child, context.run) if phase == config.phases[-1] else (child,):
            run.log_metrics(progress.best, last.number, last.timestamp + RESTATED_AFTER_MS)
    if config.track.pictures:
        title = description.run_title(config, phase)
        figure = training_curves.plot_training_curves(progress.epochs, title, best=progress.best_epoch)
        child.log_figure(figure, "figures/curves.png")
    child.log_text(training_curves.training_curves_csv(progress.epochs), "figures/curves.csv")
    warning = description.warn_of_guessing(metrics, context.dataset.test.labels)
    note = description.describe_phase(phase, config, progress, outcome.feed.description, metrics, warning)
    child.set_tags({tags.NOTE: note})
    context.write_events(child)
    context.callbacks.on_phase_end(phase, metrics)
    if warning:
        context.callbacks.on_message(f"Note: {warning}")


def _log_joined_curves(context: RunContext, results: dict[str, PhaseResult]) -> None:
    """Log the curves of all phases in the run that holds them."""
    epochs, last = [epoch for result in results.values() for epoch in result.epochs], [*results.values()][-1]
    switch = results["transfer"].last_epoch if len(results) > 1 else None
    if context.config.track.pictures:
        title = description.run_title(context.config)
        figure = training_curves.plot_training_curves(epochs, title, switch=switch, best=last.best_epoch)
        context.run.log_figure(figure, "figures/curves.png")
    context.run.log_text(training_curves.training_curves_csv(epochs), "figures/curves.csv")


def _conclude(context: RunContext, model: keras.Model, results: dict[str, PhaseResult]) -> Result:
    """Log the parent run's summary and, once, the model."""
    run = context.run
    run.set_tags({tags.NOTE: description.describe_run(context.config, context.dataset, results)})
    context.write_events(run)
    last = [*results.values()][-1]
    temperature = last.metrics.get("best/temperature", 1.0)
    with waiting.tell_if_slow("storing the model"):
        model_key = model_logging.log_model(run, model, context.dataset, last.last_epoch, temperature)
    result = Result(
        **context.send_all(model_key),
        phases={
            phase: replace(phase_result, run_id=run.store.id_of(phase_result.run_id))
            for phase, phase_result in results.items()
        },
    )
    context.callbacks.on_run_end(result)
    return result
