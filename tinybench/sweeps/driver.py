"""A sweep from its space to its winner: the page to read first of this folder.

The driver makes the study and its run, gives out trials, keeps workers at work and shows how far they are. At the end
it draws what was found and trains the best configuration once more, as a run with everything that a run has: only
there are the test images touched.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tinybench import checks, paths
from tinybench.errors import ConfigError
from tinybench.sweeps import conclusion, store, study, tracked
from tinybench.sweeps.outcome import Outcome
from tinybench.sweeps.study import RUN, Study
from tinybench.tracking.journal import Journal
from tinybench.tracking.run import ERROR_TAG, Run, outcome_of
from tinybench.tracking.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tinybench.sections import TrackConfig
    from tinybench.sweeps.outcome import Watcher
    from tinybench.sweeps.space import Space

_LOOK = 1.0  # seconds between looks at the study
_STUDY_TAG = "tinybench.study"


class Workers(AbstractContextManager[object], Protocol):
    """What carries trials out: a context that stops them at its end."""

    def tend(self, done: int) -> None:
        """Start what is missing; called once a second with the number of trials that have ended."""


def begin(
    space: Space,
    overrides: Mapping[str, Any],
    *,
    name: str | None,
    storage: str,
    track: TrackConfig,
    engine: Callable[[Study, str], Workers],
    watcher: Watcher,
) -> Outcome:
    """A new study, carried out.

    Args:
        space: What to look for.
        overrides: As `space` was read with.
        name: Of the study; made from the space's and the time when None.
        storage: Address of the study's database.
        track: Where to track.
        engine: Makes the workers of a study whose trials are tracked at an address.
        watcher: Is told.

    Raises:
        TinybenchError: what the user can mend.
    """
    checks.before_a_run(space.base)  # before there is anything to be removed again
    kept = store.connect(storage)
    tracker = Tracker(track)
    made = study.create(kept, name or f"{space.name}-{time.strftime('%Y%m%d-%H%M%S')}", space, overrides)
    return _drive(made, tracker, engine, watcher)


def resume(
    name: str,
    *,
    trials: int | None,
    storage: str,
    track: TrackConfig,
    engine: Callable[[Study, str], Workers],
    watcher: Watcher,
) -> Outcome:
    """Go on with a study, in the same runs; with more trials where that is asked for.

    Raises:
        TinybenchError: there is no such study, or another process drives it.
    """
    kept = store.connect(storage)
    found = study.find(kept, name)
    if trials is not None:
        if trials < found.counts().done:
            raise ConfigError(f"Invalid value for `trials`: {found.counts().done} of them are done, got {trials}.")
        found.budget = trials
    return _drive(found, Tracker(track), engine, watcher)


def _drive(made: Study, tracker: Tracker, engine: Callable[[Study, str], Workers], watcher: Watcher) -> Outcome:
    who = f"{platform.node()}, process {os.getpid()}"
    made.drive(who)
    try:
        parent = _parent(made, tracker)
        journal = Journal(tracker.client, folder(made.name) / f"driver-{os.getpid()}.jsonl")
        with _open(made.name, parent, journal):
            watcher.begins(made, tracker.link(parent))
            made.start_clock()
            _trials(made, who, engine(made, tracker.uri), journal, parent, watcher)
            return conclusion.draw(made, tracker, parent, journal, folder(made.name), watcher)
    finally:
        made.leave()


def folder(name: str) -> Path:
    """What a study leaves on this machine: pictures, its best settings, what could not be sent."""
    return paths.state() / "sweeps" / name


def _parent(made: Study, tracker: Tracker) -> Run:
    """The study's run, which a resume opens again."""
    if made.parent is not None:
        return tracker.open(tracker.get(made.parent))
    run = tracker.parent(f"sweep {made.name}")
    space = made.space
    about: dict[str, Any] = {"study": made.name, "space": space.name, "sampler": space.sampler, "pruner": space.pruner}
    about |= {"objective": ", ".join(each.figure for each in space.objectives), "seeds_a_trial": space.seeds}
    about |= {"trials": space.trials, "minutes": space.minutes}
    run.params({f"sweep.{key}": "none" if value is None else value for key, value in about.items()})
    run.params({key: value for key, value in space.base.words().items() if key not in _searched(space)})
    run.text(space.text, f"{space.name}.toml")
    run.tags({_STUDY_TAG: made.name})
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
        status, reason = outcome_of(error)
        journal.tags(parent.id, {ERROR_TAG: reason})
        journal.end(parent.id, status)
        error.add_note(f"Go on with it by: tinybench sweep --resume {name}")
        raise
    journal.end(parent.id, "FINISHED")


def _trials(made: Study, who: str, workers: Workers, journal: Journal, parent: Run, watcher: Watcher) -> None:
    """Keep workers at work until the budget is spent."""
    told: set[int] = set()
    with workers:
        while True:
            made.drive(who)
            made.plan(spare=2)
            _tell(made, told, journal, parent, watcher)
            _bury(made, told, journal)
            counts = made.counts()
            watcher.goes_on(counts, made.budget)
            if made.settled() or (made.over() and not counts.running):
                return
            if not made.over():
                workers.tend(counts.done)
            time.sleep(_LOOK)


def _tell(made: Study, told: set[int], journal: Journal, parent: Run, watcher: Watcher) -> None:
    """Tell about the trials that ended since, and log the best value after each."""
    fresh = [trial for trial in made.counted() if trial.number not in told]
    for trial in sorted(fresh, key=lambda each: each.datetime_complete or datetime.max):
        told.add(trial.number)
        best = made.best()
        watcher.trial_ends(made, trial, best[0] if best else None)
        if best:
            values = {f"best_value/{each.figure}": value for each, value in conclusion.values(made, best[0])}
            done = made.counts().done - len(fresh) + fresh.index(trial) + 1
            journal.metrics(parent.id, values, done, journal.now())


def _bury(made: Study, told: set[int], journal: Journal) -> None:
    """Close the runs of trials whose process died, which could not do so itself."""
    for trial in made.dead():
        if trial.number not in told:
            told.add(trial.number)
            if RUN in trial.user_attrs:
                tracked.lost(journal, trial.user_attrs[RUN], "Its process died; the trial is given out again.")
