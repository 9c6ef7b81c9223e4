"""A study in its storage: its slots, one for each trial of the budget, and who has which.

A slot is filled by the first trial of it that ended for good: completed, pruned, or failed with a reason. A trial
whose process died counts for nothing; its slot is given out again with the same values. All of a study's state is in
the storage, so that any number of workers on any machine can come and go.
"""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import optuna
import psutil
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, Trial, TrialState

from tinybench.config import check
from tinybench.errors import ConfigError, TrackingError
from tinybench.redaction import without_secrets
from tinybench.sweeps import reading, samplers, store
from tinybench.sweeps.space import Space

SLOT = "slot"
ERROR = "error"
RUN = "run_id"
FIGURES = "figures"

RETRY = "retry_of"

_SPACE = "space"
_PARENT = "parent_run"
_BUDGET = "budget"
_DEADLINE = "deadline"
_DRIVER = "driver"
_SILENCE = 20.0  # seconds


@dataclass(frozen=True)
class Counts:
    """Slots by what became of them.

    Attributes:
        complete: With values.
        pruned: Stopped, since others did better.
        failed: With a reason.
        running: At this moment.
        waiting: To be taken.
    """

    complete: int
    pruned: int
    failed: int
    running: int
    waiting: int

    @property
    def done(self) -> int:
        """Ended for good."""
        return self.complete + self.pruned + self.failed


class Study:
    """A study that is there."""

    def __init__(self, storage: RDBStorage, name: str) -> None:
        self.storage = storage
        self.name = name
        self._id = storage.get_study_id_from_name(name)

    @cached_property
    def space(self) -> Space:
        """What it looks for."""
        kept = json.loads(self._attributes[_SPACE])
        return reading.read(kept["text"], kept["name"], kept["overrides"])

    @cached_property
    def optuna(self) -> optuna.Study:
        """Optuna's own, with this study's sampler and pruner."""
        with store.settled():
            return optuna.load_study(
                study_name=self.name,
                storage=self.storage,
                sampler=samplers.sampler(self.space, len(self.counted())),
                pruner=samplers.pruner(self.space),
            )

    @property
    def _attributes(self) -> dict[str, Any]:
        return dict(self.storage.get_study_user_attrs(self._id))

    @property
    def budget(self) -> int | None:
        """How many trials; None for as many as the time allows. A resume may ask for more."""
        return self._attributes.get(_BUDGET, self.space.trials)

    @budget.setter
    def budget(self, trials: int) -> None:
        self.keep(_BUDGET, trials)

    @property
    def parent(self) -> str | None:
        """The run that holds the trials' runs."""
        return self._attributes.get(_PARENT)

    @parent.setter
    def parent(self, run_id: str) -> None:
        self.storage.set_study_user_attr(self._id, _PARENT, run_id)

    def kept(self, key: str) -> Any:
        """What was kept for all workers under a key; None where nothing was."""
        return self._attributes.get(key)

    def keep(self, key: str, value: Any) -> None:
        """Keep something for all workers."""
        self.storage.set_study_user_attr(self._id, key, value)

    def trials(self) -> list[FrozenTrial]:
        """All of them, also those that count for nothing."""
        return list(self.storage.get_all_trials(self._id, deepcopy=False))

    def counted(self) -> list[FrozenTrial]:
        """Those that fill a slot, in the order of slots."""
        return [by_slot for _, by_slot in sorted(_filled(self.trials()).items())]

    def dead(self) -> list[FrozenTrial]:
        """Those whose process died, and that count for nothing."""
        return [each for each in self.trials() if each.state == TrialState.FAIL and ERROR not in each.user_attrs]

    def counts(self) -> Counts:
        """How far it is."""
        trials = self.trials()
        filled = _filled(trials)
        states = [trial.state for trial in filled.values()]
        open_slots = {trial.user_attrs[SLOT]: trial.state for trial in trials if _live(trial)}
        live = [state for slot, state in open_slots.items() if slot not in filled]
        return Counts(
            *(states.count(state) for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)),
            *(live.count(state) for state in (TrialState.RUNNING, TrialState.WAITING)),
        )

    def best(self) -> list[FrozenTrial]:
        """The best, or of several objectives those that no other beats; the best in the first objective is first."""
        done = [trial for trial in self.counted() if trial.state == TrialState.COMPLETE]
        signs = [-1 if each.direction == "maximize" else 1 for each in self.space.objectives]
        losses = {
            trial.number: [sign * value for sign, value in zip(signs, trial.values, strict=True)] for trial in done
        }
        front = [
            trial
            for trial in done
            if not any(_beats(losses[other.number], losses[trial.number]) for other in done if other is not trial)
        ]
        front.sort(key=lambda trial: (losses[trial.number], trial.number))
        return front[:1] if len(signs) == 1 else front

    def plan(self, spare: int = 1) -> None:
        """Give every slot of the budget a trial that waits, unless it has one; at most one process at a time does it.

        The values to try first come first; a trial whose process died is given out again with the values that it had.

        Args:
            spare: Trials that shall wait where only the time is limited.
        """
        with store.settled():
            fail_stale_trials(self.optuna)
        trials = self.trials()
        taken = {trial.user_attrs[SLOT] for trial in trials if _live(trial)} | {*_filled(trials)}
        before = {trial.user_attrs[SLOT]: trial for trial in trials if SLOT in trial.user_attrs}
        waiting = sum(trial.state == TrialState.WAITING for trial in trials)
        slots = len(before) + max(spare - waiting, 0) if self.budget is None else self.budget
        for slot in range(slots):
            if slot not in taken:
                values = _fixed(before[slot]) if slot in before else self._first(slot)
                retry = {RETRY: before[slot].number} if slot in before else {}
                self.optuna.enqueue_trial(dict(values), user_attrs={SLOT: slot} | retry)

    def settled(self) -> bool:
        """Whether every slot of the budget is filled."""
        return self.budget is not None and self.counts().done >= self.budget

    def over(self) -> bool:
        """Whether the time is over."""
        return bool(time.time() > self._attributes.get(_DEADLINE, math.inf))

    def start_clock(self) -> None:
        """The minutes of the budget begin now."""
        if self.space.minutes is not None:
            self.keep(_DEADLINE, time.time() + 60 * self.space.minutes)

    def drive(self, who: str) -> None:
        """Say that a process gives out the trials, and go on saying it.

        Raises:
            TrackingError: another one does.
        """
        holder = self._attributes.get(_DRIVER)
        if holder is not None and holder["who"] != who and not self.abandoned():
            raise TrackingError(
                f"Another process drives study {self.name!r} ({holder['who']}): join it by "
                f"tinybench sweep-worker {self.name}, or wait until it has ended ({_SILENCE:.0f} s if it was killed)."
            )
        here = {"host": platform.node(), "process": os.getpid()}
        self.keep(_DRIVER, {"who": who, "at": time.time()} | here)

    def leave(self) -> None:
        """No process gives out trials any more."""
        self.keep(_DRIVER, None)

    def abandoned(self) -> bool:
        """Whether no process gives out trials, or it has shown no sign of life for long."""
        holder = self._attributes.get(_DRIVER)
        if holder is None or time.time() - holder["at"] > _SILENCE:
            return True
        return holder["host"] == platform.node() and not psutil.pid_exists(holder["process"])

    def _first(self, slot: int) -> Mapping[str, Any]:
        """Values to begin with; the sampler draws the others."""
        first = self.space.first
        return first[slot] if slot < len(first) else {}

    def take(self) -> Trial | None:
        """A trial that waited and is now this worker's; None when none waits."""
        # By Optuna's own study, whose cache must know of a trial that it is to work with
        for trial in self.optuna.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            number = trial._trial_id
            try:
                if self.storage.set_trial_state_values(number, state=TrialState.RUNNING):
                    return Trial(self.optuna, number)
            except UpdateFinishedTrialError:
                continue
        return None

    def draw(self, trial: Trial) -> dict[str, Any]:
        """The values of a trial by key, for the parameters whose conditions hold."""
        values = dict(self.space.base.flat())
        drawn: dict[str, Any] = {}
        for parameter in self.space.parameters:
            if parameter.active(values):
                drawn[parameter.key] = samplers.suggest(trial, parameter)
                values[parameter.key] = check(parameter.key, drawn[parameter.key])
        return drawn

    def end(self, trial: Trial, values: Sequence[float] | None, state: TrialState) -> None:
        """Say what became of a trial; one that was given out again meanwhile, since it seemed dead, is left."""
        self.optuna.tell(trial, values, state, skip_if_finished=True)


def create(storage: RDBStorage, name: str, space: Space, overrides: Mapping[str, Any]) -> Study:
    """A new study.

    Raises:
        ConfigError: there is one of that name.
    """
    directions = [each.direction for each in space.objectives]
    try:
        made = optuna.create_study(study_name=name, storage=storage, directions=directions)
    except DuplicatedStudyError:
        raise ConfigError(
            f"There is a study {name!r} already: go on with it by --resume {name}, or give another --study."
        ) from None
    with store.settled():
        made.set_metric_names([each.figure for each in space.objectives])
    made.set_user_attr(_SPACE, json.dumps({"text": space.text, "name": space.name, "overrides": dict(overrides)}))
    return Study(storage, name)


def find(storage: RDBStorage, name: str) -> Study:
    """A study by its name.

    Raises:
        TrackingError: there is none, or it was not made by tinybench.
    """
    try:
        found = Study(storage, name)
    except KeyError:
        known = ", ".join(optuna.get_all_study_names(storage)) or "none"
        place = without_secrets(storage.url)
        raise TrackingError(f"No study {name!r} in {place}, which holds: {known}. Check it, or --storage.") from None
    if _SPACE not in found._attributes:
        raise TrackingError(f"Study {name!r} was not made by tinybench.")
    return found


def _fixed(trial: FrozenTrial) -> Mapping[str, Any]:
    """The values that a trial had drawn, or was to have, when its process died."""
    return trial.params or dict(trial.system_attrs.get("fixed_params", {}))


def _live(trial: FrozenTrial) -> bool:
    return SLOT in trial.user_attrs and trial.state in (TrialState.RUNNING, TrialState.WAITING)


def _filled(trials: Iterable[FrozenTrial]) -> dict[int, FrozenTrial]:
    """By slot the first trial that ended for good; one that is only dead has no reason."""
    found: dict[int, FrozenTrial] = {}
    for trial in trials:
        ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or (
            trial.state == TrialState.FAIL and ERROR in trial.user_attrs
        )
        if ended and SLOT in trial.user_attrs:
            found.setdefault(trial.user_attrs[SLOT], trial)
    return found


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and list(one) != list(other)
