"""A sweep from its space to its winner: the page to read first of this folder.

The driver makes the study and its run, gives out trials, keeps workers at work and shows how far they are. At the end
it draws what was found and trains the best configuration once more, as a run with everything that a run has: only
there are the test images touched.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from optuna.exceptions import StorageInternalError

from tinybench import data, models
from tinybench.config import run_config as configuration
from tinybench.core.errors import ConfigError, TrackingError, in_one_line
from tinybench.core.redaction import without_secrets
from tinybench.job import preflight
from tinybench.sweeps import optuna_storage, study, study_files, study_results, trial_runs
from tinybench.sweeps.study import Study
from tinybench.sweeps.study_progress import Story
from tinybench.sweeps.sweep_result import Outcome
from tinybench.tracking import tags
from tinybench.tracking.journal import Journal
from tinybench.tracking.run import Run, status_and_reason
from tinybench.tracking.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinybench.config.sections import TrackConfig
    from tinybench.sweeps.space import Space
    from tinybench.sweeps.sweep_result import Watcher

_LOOK = 1.0  # seconds between looks at the study


class Workers(AbstractContextManager[object], Protocol):
    """What carries trials out: a context that stops them at its end."""

    def tend(self, begun: int, trained: int) -> None:
        """Start what is missing; called once a second with how many trials began, and were not in vain."""


# Makes the workers of a study by its name and space, whose trials are tracked at an address
Engine = Callable[[str, "Space", str], Workers]


def begin(
    space: Space,
    overrides: Mapping[str, Any],
    *,
    name: str | None,
    storage: str,
    track: TrackConfig,
    engine: Engine,
    watcher: Watcher,
) -> Outcome:
    """A new study, carried out.

    Args:
        space: What to look for.
        overrides: As `space` was read with.
        name: Of the study; made from the space's and the time when None.
        storage: Address of the study's database.
        track: Where to track.
        engine: Makes its workers.
        watcher: Is told.

    Raises:
        TinybenchError: what the user can mend.
    """
    _check(space)  # before there is anything to be removed again
    kept = optuna_storage.connect(storage)
    tracker = Tracker(track)
    name = name or f"{space.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    workers = engine(name, space, tracker.uri)
    return _drive(study.create(kept, name, space, overrides), tracker, workers, watcher)


def resume(
    name: str,
    *,
    trials: int | None = None,
    minutes: float | None = None,
    again: bool = False,
    storage: str,
    track: TrackConfig,
    engine: Engine,
    watcher: Watcher,
) -> Outcome:
    """Go on with a study, in the same runs; with more trials or minutes, or `again` with those that failed.

    Raises:
        TinybenchError: there is no such study, or another process drives it.
    """
    kept = optuna_storage.connect(storage, there=True)
    found = study.find(kept, name)
    _check(found.space)
    if trials is not None:
        if trials < found.counts().done:
            raise ConfigError(f"Invalid value for `--trials`: {found.counts().done} of them are done, got {trials}.")
        found.budget = trials
    tracker = Tracker(track)
    workers = engine(name, found.space, tracker.uri)
    return _drive(found, tracker, workers, watcher, minutes=minutes, again=again)


def _check(space: Space) -> None:
    """Refuse a study whose trials could only fail; the images are loaded, and kept for its workers."""
    preflight.check_run(space.base)
    for parameter in space.parameters:
        if parameter.key == "model":
            for choice in parameter.choices:
                models.check(configuration.replace(space.base, {"model": choice}))
    data.load(space.base.dataset, space.base.data, space.base.seed, image_size=space.base.image_size)


def _drive(
    made: Study,
    tracker: Tracker,
    workers: Workers,
    watcher: Watcher,
    *,
    minutes: float | None = None,
    again: bool = False,
) -> Outcome:
    with _driving(made) as who:
        parent = _parent(made, tracker)
        journal = Journal(tracker.client, study_files.folder(made.name) / f"driver-{os.getpid()}.jsonl")
        with _open(made.name, parent, journal):
            trial_runs.bury(made, tracker, journal)
            watcher.on_study_begin(made, tracker.link(parent))
            made.stop_clock(minutes)
            if again:
                watcher.on_message(f"{made.again()} trials that failed are given out again.")
            _trials(made, who, workers, journal, parent, watcher)
            return study_results.draw(made, tracker, parent, journal, watcher)


@contextmanager
def _driving(made: Study) -> Iterator[str]:
    """Drive a study while the block lasts, with signs of life also while it is busy with other things."""
    who, ended = f"{platform.node()}, process {os.getpid()}", threading.Event()

    def beat() -> None:
        while not ended.wait(optuna_storage.HEARTBEAT):
            with suppress(Exception):  # a storage that does not answer now may do so the next time
                made.drive(who)

    made.drive(who)
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield who
    except StorageInternalError as error:
        raise TrackingError(
            f"Cannot write to {without_secrets(made.storage.url)}: {in_one_line(error.__cause__ or error)} "
            f"Make room or mend it, then go on by: tinybench sweep --resume {made.name}"
        ) from error
    finally:
        ended.set()
        thread.join()
        with suppress(StorageInternalError):  # what went wrong before matters more
            made.leave(who)


def _parent(made: Study, tracker: Tracker) -> Run:
    """The study's run, which a resume opens again."""
    if made.parent is not None:
        return tracker.reopen(tracker.get_run(made.parent))
    run = tracker.open_parent_run(f"sweep {made.name}")
    space = made.space
    about: dict[str, Any] = {"study": made.name, "space": space.name, "sampler": space.sampler, "pruner": space.pruner}
    about |= {"objective": ", ".join(each.figure for each in space.objectives), "seeds_a_trial": space.seeds}
    about |= {"trials": space.trials, "minutes": space.minutes}
    run.log_params({f"sweep.{key}": "none" if value is None else value for key, value in about.items()})
    run.log_params({key: value for key, value in space.base.words().items() if key not in _searched(space)})
    run.log_text(space.text, f"{space.name}.toml")
    run.set_tags({tags.STUDY: made.name})
    made.keep("experiment", run.client.get_run(run.id).info.experiment_id)
    made.parent = run.id  # last: it says that all is there
    return run


def _searched(space: Space) -> set[str]:
    return {parameter.key for parameter in space.parameters}


@contextmanager
def _open(name: str, parent: Run, journal: Journal) -> Iterator[None]:
    """End the run of a study with what becomes of the block, as soon as the store takes it."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"Go on with it by: tinybench sweep --resume {name}")
        status, reason = status_and_reason(error)
        journal.set_tags(parent.id, {tags.ERROR: reason})
        journal.end(parent.id, status)
        raise
    journal.end(parent.id, "FINISHED")


def _trials(made: Study, who: str, workers: Workers, journal: Journal, parent: Run, watcher: Watcher) -> None:
    """Keep workers at work until the budget is spent."""
    story = Story(made, journal, parent.id, watcher)
    with workers:
        while True:
            made.drive(who)
            made.plan(spare=2)
            story.goes_on()
            counts = made.counts()
            watcher.on_study_step(counts, made.budget, made.seconds_left())
            if (made.settled() or made.over()) and not counts.running:
                break
            if not (made.settled() or made.over()):
                story.check()
                workers.tend(counts.done + counts.running, counts.complete + counts.pruned)
            time.sleep(_LOOK)
    story.goes_on()
