"""A run, from its configuration to a tracked result: the page to read first.

A parent run holds the whole; each phase is a child run. A phase trains from the best weights of the one
before, puts its own best weights back, is scored once on the test images and logs what a person needs to
judge it. At the end the model goes in once, with the parent. With folds, each fold is such a parent of
phases in its turn, and `folds` puts them together.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from tinybench import data, models
from tinybench.cli.console import Console
from tinybench.core.errors import TrackingError
from tinybench.core.redaction import without_secrets
from tinybench.data import splits
from tinybench.efficiency import cost_metrics, training_cost
from tinybench.features.feed import Feed
from tinybench.hardware import device
from tinybench.job import cross_validate, data_plots, description, phase_evaluation, preflight, run_costs
from tinybench.plots import training_curves
from tinybench.tracking import model_logging as tracked_models
from tinybench.tracking import run_record, tensorboard_events
from tinybench.tracking.image_log import Album
from tinybench.tracking.results import PhaseResult, Result
from tinybench.tracking.tracker import SOURCE_TAG, Tracker
from tinybench.training import loop, phases, precision, run_directory, run_phase
from tinybench.training.checkpoint import Store
from tinybench.training.progress import Epoch, Progress

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.tracking.run import Run

_SECONDS = "efficiency/training_seconds"
_SUMMED = {_SECONDS, "efficiency/features_seconds"}  # over the phases, in the parent


@dataclass(frozen=True)
class Job:
    """What every step of a run needs.

    Attributes:
        config: What to do.
        tracker: The store.
        parent: The run that holds the phases: the whole one, or that of a fold.
        console: Where progress is shown.
        dataset: The images; of a fold, split as the fold has it.
        folder: Where the phases keep their checkpoints.
        resumed: There may be phases that are finished.
        scored: The phases are scored on the test images; those of folds are not.
        used: The device, as `device.use` says it.
    """

    config: RunConfig
    tracker: Tracker
    parent: Run
    console: Console
    dataset: Dataset
    folder: Path
    resumed: bool
    scored: bool = True
    used: str = "cpu"

    def write_events(self, run: Run) -> None:
        """TensorBoard's files of a run that is as good as done, where they are asked for."""
        if self.config.track.tensorboard:
            tensorboard_events.write(run)


def run(
    config: RunConfig, *, start_from: str | None = None, below: Run | None = None, console: Console | None = None
) -> Result:
    """Carry out a run.

    Args:
        config: What to do.
        start_from: A run whose best weights the first phase starts from, instead of a fresh model.
        below: The run that this one belongs to, such as that of a study.
        console: Where progress is shown; nowhere when None.

    Raises:
        TinybenchError: what the user can mend; the run is then FAILED, with the reason in a tag.
    """
    preflight.before_a_run(config)
    tracker = Tracker(config.track)
    title = description.name(config)
    parent = tracker.parent(title) if below is None else tracker.below(below, title)
    way_back = partial(_way_back, parent, config.track.uri)
    with parent.open(way_back), run_directory.held(parent.id), closing(console or Console()) as shown:
        run_record.begin(parent, config, start_from)
        return _carry_out(config, tracker, parent, shown, start_from, resumed=False)


def resume(run_id: str, uri: str | None = None, console: Console | None = None) -> Result:
    """Go on with a run that was interrupted, from its last finished epoch, in the same runs.

    Args:
        run_id: The parent run, or one of its phases.
        uri: The store that holds it; MLflow's default when None.
        console: Where progress is shown; nowhere when None.

    Raises:
        TrackingError: there is nothing to resume, or another process is at it.
    """
    tracker = Tracker.at(uri)
    found = tracker.top(run_id)
    if found.info.status == "FINISHED":
        raise TrackingError(f"Run {found.info.run_id} is finished: there is nothing to resume.")
    config = run_record.config_of(tracker, found)
    preflight.extras(config)
    with run_directory.held(found.info.run_id):
        parent = tracker.open(found)
        with parent.open(partial(_way_back, parent, uri)), closing(console or Console()) as shown:
            start_from = found.data.tags.get(SOURCE_TAG)
            return _carry_out(config, tracker, parent, shown, start_from, resumed=True)


def _carry_out(
    config: RunConfig, tracker: Tracker, parent: Run, console: Console, start_from: str | None, *, resumed: bool
) -> Result:
    used = device.use(config.device)
    dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
    run_record.about_data(parent, dataset)
    parent.tags({"device": used})
    shown = splits.fold(dataset, 0, config.data.folds, config.seed) if config.data.folds else dataset
    if config.track.pictures:
        data_plots.of_data(parent, shown)
    console.on_run_begin(config, shown, used, tracker.link(parent))
    job = Job(config, tracker, parent, console, dataset, run_directory.folder(parent.id), resumed, used=used)
    if config.data.folds:
        return cross_validate.cross_validate(job, config.data.folds, _phases)
    model, done = _phases(job, start_from)
    return _conclude(job, model, done)


def _phases(job: Job, start_from: str | None = None) -> tuple[keras.Model, dict[str, PhaseResult]]:
    """The phases in order, each from the best weights of the one before, and their joined curves."""
    device.repeatable(job.config.seed, job.config.deterministic)
    done: dict[str, PhaseResult] = {}
    model = None
    for phase in job.config.phases:
        start = partial(_first_model, job, start_from) if model is None else partial(_same, model)
        model, done[phase] = _phase(job, phase, start, done, trained=bool(done) or start_from is not None)
    _join_curves(job, done)
    return model, done


def _first_model(job: Job, start_from: str | None) -> keras.Model:
    """A fresh model, or the best weights of an earlier run."""
    if start_from is not None:
        return run_record.best_model(job.tracker, start_from, job.dataset)
    model = models.build(job.config, job.dataset.shape, len(job.dataset.class_names))
    phases.check(model, job.config)  # before hours of training, not after
    return model


def _same(model: keras.Model) -> keras.Model:
    """The next phase starts from the weights of the one before."""
    return model


def _phase(
    job: Job, phase: str, start: Callable[[], keras.Model], done: dict[str, PhaseResult], *, trained: bool
) -> tuple[keras.Model, PhaseResult]:
    """Train one phase in a child run and log what it found; a finished one is only read back."""
    earlier = job.tracker.phase_run(job.parent.id, phase) if job.resumed else None
    if earlier is not None and earlier.info.status == "FINISHED":
        return run_record.finished_phase(job.tracker, earlier)
    title = description.name(job.config, phase)
    child = job.tracker.open(earlier) if earlier else job.tracker.child(job.parent, phase, title)
    store = Store(job.folder / phase, job.config.checkpoint.keep)
    before = max((result.last_epoch for result in done.values()), default=0)
    with child.open():
        model = _start_weights(store, start, earlier is not None)
        run_record.begin_phase(child, job.config, job.dataset)
        with run_phase.ready(
            model, job.config, phase, job.dataset, store.folder, trained=trained, watcher=job.console
        ) as ready:
            model, decision = ready.model, ready.decision
            run_record.fed(child, decision, ready.computed)
            if job.config.track.pictures:
                data_plots.of_augmentation(child, job.config, phase, job.dataset, augmented=decision.augmented)
            with precision.computing(ready.trainer, ready.computed.precision), training_cost.gpu(job.used) as seen:
                progress = _train(job, phase, ready.trainer, ready.feed, store, child, before, trained=trained)
        found = (
            cost_metrics.parameters(model, ready.trainer)
            | cost_metrics.features(decision)
            | _scores(job, phase, model, progress, child)
        )
        found |= training_cost.trained(progress) | seen.figures()
        found |= _costs(job, child, store, found)
        child.tags(seen.tags())
        _report(job, phase, progress, decision.words, found, child, done)
        run_record.checkpoints(child, model, store)
    run_directory.clear(store.folder)
    return model, PhaseResult(child.id, progress.epochs[-1].number, progress.best_epoch, found)


def _start_weights(store: Store, start: Callable[[], keras.Model], resumed: bool) -> keras.Model:
    """The model as the phase began: made once, then read back by every resume."""
    if store.start.exists():
        return models.load(store.start)
    if resumed and store.checkpoints():
        raise TrackingError(f"The checkpoints in {store.folder} are incomplete: start a new run.")
    model = start()
    store.save_start(model)
    return model


def _train(
    job: Job, phase: str, trainer: keras.Model, feed: Feed, store: Store, child: Run, before: int, *, trained: bool
) -> Progress:
    def on_epoch(epoch: Epoch) -> None:
        for run in (child, job.parent):  # the parent's summary is what the run list shows
            run.metrics(epoch.metrics, epoch.number, epoch.timestamp)
        job.console.on_epoch_end(epoch)

    job.console.on_phase_begin(phase, job.config, len(job.dataset.train), before)
    return loop.fit(
        trainer,
        feed,
        job.config,
        phase,
        store,
        offset=before,
        candidate=trained,
        on_epoch=on_epoch,
        on_step=job.console.on_step_end,
    )


def _scores(job: Job, phase: str, model: keras.Model, progress: Progress, child: Run) -> dict[str, float]:
    """The final figures: the best weights judged once by the test images, and what they were chosen by."""
    found = {}
    if job.scored:
        album = Album(child, job.config.track.pictures, job.parent, job.config.phases.index(phase))
        found = phase_evaluation.of_phase(album, model, job.dataset, job.config)
    found |= {f"best/{name.replace('/', '_')}": value for name, value in progress.best.items()}
    return found | progress.gap | {"best/epoch": float(progress.best_epoch), _SECONDS: progress.seconds}


def _costs(job: Job, child: Run, store: Store, found: dict[str, float]) -> dict[str, float]:
    """What the model takes to run; that of a fold is not kept, and not measured."""
    if not job.scored:
        return {}
    measured = run_costs.of_run(child, job.folder, store.start, job.config.track.costs, job.used, job.console)
    return measured | run_costs.ratio(found | measured)


def _report(
    job: Job,
    phase: str,
    progress: Progress,
    fed: str,
    found: dict[str, float],
    child: Run,
    done: dict[str, PhaseResult],
) -> None:
    """Log the final figures and the curves of a phase."""
    # The moment is the checkpoint's: if this is sent again after a crash, they are the same points
    last = progress.epochs[-1]
    child.metrics(found, last.number, last.timestamp)
    whole = {
        name: found[name] + sum(each.metrics.get(name, 0) for each in done.values()) for name in _SUMMED & {*found}
    }
    job.parent.metrics(found | whole, last.number, last.timestamp)
    title = description.name(job.config, phase)
    if job.config.track.pictures:
        child.figure(training_curves.curves(progress.epochs, title, best=progress.best_epoch), "figures/curves.png")
    child.text(training_curves.table(progress.epochs), "figures/curves.csv")
    child.tags({"mlflow.note.content": description.phase(phase, job.config, progress, fed, found)})
    job.write_events(child)
    job.console.on_phase_end(phase, found)


def _join_curves(job: Job, done: dict[str, PhaseResult]) -> None:
    """The curves of all phases in the run that holds them."""
    epochs, last = job.tracker.epochs(job.parent.id), [*done.values()][-1]
    switch = done["transfer"].last_epoch if len(done) > 1 else None
    if job.config.track.pictures:
        figure = training_curves.curves(epochs, description.name(job.config), switch=switch, best=last.best_epoch)
        job.parent.figure(figure, "figures/curves.png")
    job.parent.text(training_curves.table(epochs), "figures/curves.csv")


def _conclude(job: Job, model: keras.Model, done: dict[str, PhaseResult]) -> Result:
    """The parent's summary and, once, the model."""
    job.parent.tags({"mlflow.note.content": description.run(job.config, job.dataset, done)})
    job.write_events(job.parent)
    last = [*done.values()][-1]
    temperature = last.metrics.get("best/temperature", 1.0)
    model_uri = tracked_models.log_once(job.parent, model, job.dataset, last.last_epoch, temperature)
    result = Result(job.parent.id, job.tracker.uri, job.tracker.link(job.parent), model_uri, done)
    job.console.on_run_end(result)
    return result


def _way_back(parent: Run, uri: str | None, error: BaseException) -> str:
    """How to go on with a run, unless that would end in the same way."""
    if not (getattr(error, "resumable", True) and run_directory.resumable(parent.id)):
        return ""
    store = f" --uri {without_secrets(uri)}" if uri else ""
    return f"Go on with it by: tinybench resume {parent.id}{store}"
