"""Drive a sweep from its space to its winner; start reading this package here.

The driver creates the study and its run, queues trials, starts workers in other processes and reports their progress.
At the end it logs the results and trains the best configuration once more, as a run with everything that a run has:
only this run uses the test images.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from optuna.exceptions import StorageInternalError

from tinybench import data, models
from tinybench.config import run_config as configuration
from tinybench.config.effects import compared_text
from tinybench.core.errors import ConfigError, TrackingError, format_error
from tinybench.core.redaction import redact
from tinybench.job import description, preflight
from tinybench.sweeps import optuna_storage, study_files, study_results, trial_runs, winner
from tinybench.sweeps.deadline import Deadline
from tinybench.sweeps.driver_lease import DriverLease
from tinybench.sweeps.study import Study
from tinybench.sweeps.study_progress import StudyProgress
from tinybench.sweeps.sweep_result import SweepResult
from tinybench.sweeps.trial_queue import TrialQueue
from tinybench.tracking import run_kinds, tags
from tinybench.tracking.run_writer import RunWriter, status_and_reason
from tinybench.tracking.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinybench.config.sections import TrackConfig
    from tinybench.sweeps.space import Space
    from tinybench.sweeps.sweep_callbacks import SweepCallbacks

_POLL_SECONDS = 1.0  # between two looks at the study
_SPARE_TRIALS = 2  # that wait where only the time is limited


class WorkerPool(AbstractContextManager[object], Protocol):
    """The workers of a study; a context manager that ends them."""

    def start_missing(self, trials_taken: int, trials_trained: int) -> None:
        """Start workers in place of those that ended; called once a second.

        Args:
            trials_taken: Trials that workers have taken so far.
            trials_trained: Trials that came to a result.
        """


CreateWorkers = Callable[[str, "Space", str], WorkerPool]
"""Creates the workers of a study from its name, its space and the address of the tracking store."""


def start(
    space: Space,
    overrides: Mapping[str, Any],
    *,
    name: str | None,
    storage: str,
    track: TrackConfig,
    create_workers: CreateWorkers,
    callbacks: SweepCallbacks,
) -> SweepResult:
    """Create a study and run it to its end.

    Args:
        space: What to search, and how long.
        overrides: The settings that `space` was read with.
        name: Name of the study; the name of the space with the time when None.
        storage: Address of the database of studies.
        track: Where to track.
        create_workers: Creates the workers.
        callbacks: Receives the events.

    Raises:
        TinybenchError: The user can correct the cause.
    """
    _check_space(space, callbacks)  # before anything is created that would have to be removed again
    database = optuna_storage.connect(storage)
    tracker = Tracker(track, may_be_away=True)
    tracker.check_parent_run()
    name = name or f"{space.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    workers = create_workers(name, space, tracker.uri)
    return _drive(Study.create(database, name, space, overrides), tracker, workers, callbacks)


def resume(
    name: str,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    retry_failed: bool = False,
    storage: str,
    track: TrackConfig,
    create_workers: CreateWorkers,
    callbacks: SweepCallbacks,
) -> SweepResult:
    """Go on with a study, in the same MLflow runs.

    Args:
        name: Name of the study.
        trials: The number of trials in the end; as before when None.
        minutes: Minutes from now on; those that are left when None.
        retry_failed: Whether to run failed trials again.
        storage: Address of the database of studies.
        track: Where to track.
        create_workers: Creates the workers.
        callbacks: Receives the events.

    Raises:
        TinybenchError: There is no such study, another process drives it, or the user can correct another cause.
    """
    study = Study.load(optuna_storage.connect(storage, must_exist=True), name)
    _check_space(study.space, callbacks)
    if trials is not None:
        finished = study.counts().finished
        if trials < finished:
            raise ConfigError(f"Invalid value for `--trials`: {finished} of them are done, got {trials}.")
        study.budget = trials
    tracker = Tracker(track, may_be_away=True)
    workers = create_workers(name, study.space, tracker.uri)
    return _drive(study, tracker, workers, callbacks, minutes=minutes, retry_failed=retry_failed)


def _check_space(space: Space, callbacks: SweepCallbacks) -> None:
    """Raise if all trials would fail; this also decodes the images, which are then cached for the workers.

    What a reader of the results should know about the data is told.
    """
    preflight.check_run(space.base)
    for parameter in space.parameters:
        if parameter.key == "model":
            for model in parameter.choices:
                models.check(configuration.replace(space.base, {"model": model}))
    dataset = data.load(space.base.dataset, space.base.data, space.base.seed, image_size=space.base.image_size)
    for warning in description.list_warnings(space.base, dataset):
        callbacks.on_message(f"Note: {warning}")


def _drive(
    study: Study,
    tracker: Tracker,
    workers: WorkerPool,
    callbacks: SweepCallbacks,
    *,
    minutes: float | None = None,
    retry_failed: bool = False,
) -> SweepResult:
    lease = DriverLease(study)
    with _convert_storage_errors(study), lease.hold():
        parent = _open_parent_run(study, tracker)
        with closing(tracker), _end_parent_run(study, parent):
            trial_runs.close_orphans(study, tracker)
            link = tracker.link(parent) or f"{parent.id}, not sent to {redact(tracker.uri)} yet"
            callbacks.on_study_begin(study, link)
            Deadline(study).stop_clock(minutes)
            if retry_failed:
                callbacks.on_message(f"{TrialQueue(study).retry_failed()} failed trials are run again.")
            _run_trials(study, lease, workers, parent, callbacks)
            return _conclude(study, tracker, parent, callbacks)


@contextmanager
def _convert_storage_errors(study: Study) -> Iterator[None]:
    try:
        yield
    except StorageInternalError as error:
        raise TrackingError(
            f"Cannot write to {redact(study.storage.url)}: {format_error(error.__cause__ or error)} "
            f"Free disk space or repair the database, then run: tinybench sweep --resume {study.name}"
        ) from error


def _open_parent_run(study: Study, tracker: Tracker) -> RunWriter:
    """Open the study's run, which a resume opens again, and log the study's settings to a new one."""
    if study.parent_run is not None:
        return tracker.reopen(tracker.get_run(study.parent_run))
    run = tracker.open_parent_run(f"sweep {study.name}", run_kinds.STUDY)
    space = study.space
    settings = {
        "study": study.name,
        "space": space.name,
        "sampler": space.sampler,
        "pruner": space.pruner,
        "objective": ", ".join(objective.metric for objective in space.objectives),
        "seeds_a_trial": space.seeds,
        "trials": space.trials,
        "minutes": space.minutes,
    }
    run.log_params({f"sweep.{key}": "none" if value is None else value for key, value in settings.items()})
    searched = {parameter.key for parameter in space.parameters}
    run.log_params({key: value for key, value in compared_text(space.base).items() if key not in searched})
    run.log_text(space.text, f"{space.name}.toml")
    run.set_tags({tags.STUDY: study.name})
    study.parent_run = run.id  # last: it tells workers that all else is there
    return run


@contextmanager
def _end_parent_run(study: Study, parent: RunWriter) -> Iterator[None]:
    """End the study's run with the block: FINISHED, or FAILED or KILLED with the reason and the way to resume."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"Resume it with: tinybench sweep --resume {study.name}")
        status, reason = status_and_reason(error)
        parent.end(status, reason)
        raise
    parent.end("FINISHED")


def _run_trials(
    study: Study, lease: DriverLease, workers: WorkerPool, parent: RunWriter, callbacks: SweepCallbacks
) -> None:
    """Keep the queue filled and workers running until the budget is spent."""
    queue, deadline = TrialQueue(study), Deadline(study)
    progress = StudyProgress(study, parent, callbacks)
    with workers:
        while True:
            lease.acquire()
            queue.fill(_SPARE_TRIALS)
            progress.update()
            while (notice := parent.store.take_notice()) is not None:
                callbacks.on_message(notice)
            counts = study.counts()
            callbacks.on_study_step(counts, study.budget, deadline.seconds_left())
            is_spent = study.is_finished() or deadline.is_over()
            if is_spent and not counts.running:
                break
            if not is_spent:
                progress.check_failures()
                workers.start_missing(counts.finished + counts.running, counts.complete + counts.pruned)
            time.sleep(_POLL_SECONDS)
    progress.update()


def _conclude(study: Study, tracker: Tracker, parent: RunWriter, callbacks: SweepCallbacks) -> SweepResult:
    """Log the results, train the winner, and send what processes could not send before.

    Raises:
        TrackingError: No trial is complete.
    """
    study_files.remove_stale_folders(study.name)
    best = study.best_trials()
    tracker.writer.flush()
    tracker.writer.send_left_behind()  # what workers that died did not send
    study_results.log_results(study, best, tracker, parent, callbacks)
    result = winner.train_winner(study, best[0], tracker, parent, callbacks) if best else None
    trial_runs.close_orphans(study, tracker)
    tracker.writer.flush()
    unsent = tracker.writer.count_unsent()
    if not best:
        raise TrackingError(study_results.explain_no_result(study))
    settings = study_files.study_folder(study.name) / study_results.BEST_SETTINGS
    return SweepResult(study, best, result, settings, unsent)
