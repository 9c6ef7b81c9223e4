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
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import optuna
import psutil
from optuna.exceptions import DuplicatedStudyError, UpdateFinishedTrialError
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, Trial, TrialState

from tinybench.config.run_config import check
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.redaction import without_secrets
from tinybench.sweeps import optuna_storage, samplers, slots, space_file
from tinybench.sweeps.slots import ERROR, RETRY, SLOT, Counts
from tinybench.sweeps.space import Space

_SPACE = "space"
_PARENT = "parent_run"
_BUDGET = "budget"
_DEADLINE = "deadline"
_LEFT = "seconds_left"
_DRIVER = "driver"
_SILENCE = 20.0  # seconds
_NAME = re.compile(r"[\w-][\w. -]{0,99}")


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
        return space_file.read(kept["text"], kept["name"], kept["overrides"])

    @cached_property
    def optuna(self) -> optuna.Study:
        """Optuna's own, with this study's sampler and pruner."""
        with optuna_storage.settled():
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
        return [by_slot for _, by_slot in sorted(slots.filled(self.trials()).items())]

    def dead(self) -> list[FrozenTrial]:
        """Those whose process died, and that count for nothing."""
        return [each for each in self.trials() if slots.died(each)]

    def counts(self) -> Counts:
        """How far it is."""
        return slots.counts(self.trials())

    def best(self) -> list[FrozenTrial]:
        """The best, or of several objectives those that no other beats; the best in the first objective is first."""
        return self.best_of(self.counted())

    def best_of(self, trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
        """As `best`, of some trials."""
        return slots.front(trials, [each.direction == "maximize" for each in self.space.objectives])

    def plan(self, spare: int = 1) -> None:
        """Give every slot of the budget a trial that waits, unless it has one; at most one process at a time does it.

        The values to try first come first. A trial whose process died is given out again with the values that it had;
        after some deaths the slot has failed: it is those values that end processes.

        Args:
            spare: Trials that shall wait where only the time is limited.
        """
        with optuna_storage.settled():
            fail_stale_trials(self.optuna)
        if self.settled():
            return
        for slot in slots.deadly(self.trials()):
            self._fail(slot)
        trials = self.trials()
        taken = {trial.user_attrs[SLOT] for trial in trials if slots.live(trial)} | {*slots.filled(trials)}
        before = {trial.user_attrs[SLOT]: trial for trial in trials if SLOT in trial.user_attrs}
        waiting = sum(trial.state == TrialState.WAITING for trial in trials)
        wanted = len(before) + max(spare - waiting, 0) if self.budget is None else self.budget
        for slot in range(wanted):
            if slot not in taken:
                values = slots.fixed(before[slot]) if slot in before else self._first(slot)
                retry = {RETRY: before[slot].number} if slot in before else {}
                self.optuna.enqueue_trial(dict(values), user_attrs={SLOT: slot} | retry)

    def again(self) -> int:
        """Give the slots out again whose trials failed; gives how many there were."""
        failed = [each for each in self.counted() if each.state == TrialState.FAIL]
        for trial in failed:
            about = {SLOT: trial.user_attrs[SLOT], RETRY: trial.number}
            self.optuna.enqueue_trial(dict(slots.fixed(trial)), user_attrs=about)
        return len(failed)

    def _fail(self, slot: int) -> None:
        """Fill a slot with a trial that failed, in place of one that would only die again."""
        last = [each for each in self.dead() if each.user_attrs.get(SLOT) == slot][-1]
        reason = f"Its process died {slots.MOST_DEATHS} times, as when memory ends, at last in trial {last.number}."
        for trial in self.trials():
            if trial.state == TrialState.WAITING and trial.user_attrs.get(SLOT) == slot:
                self.storage.set_trial_state_values(trial._trial_id, state=TrialState.FAIL)
        self.optuna.add_trial(
            optuna.create_trial(
                state=TrialState.FAIL,
                params=last.params,
                distributions=last.distributions,
                user_attrs={SLOT: slot, RETRY: last.number, ERROR: reason},
            )
        )

    def settled(self) -> bool:
        """Whether every slot of the budget is filled."""
        return self.budget is not None and self.counts().done >= self.budget

    def over(self) -> bool:
        """Whether the time is over."""
        return self.seconds_left() == 0

    def stop_clock(self, minutes: float | None = None) -> None:
        """Let the time run from the next trial on: what is left of it, or as much as is given."""
        left = self.kept(_LEFT) if minutes is None else 60 * minutes
        self.keep(_LEFT, left)
        self.keep(_DEADLINE, 0 if left == 0 else None)

    def seconds_left(self) -> float | None:
        """Until the time is over; None where it is not limited, or no trial was taken yet."""
        deadline = self._attributes.get(_DEADLINE)
        return None if deadline is None else max(0.0, deadline - time.time())

    def drive(self, who: str) -> None:
        """Say that a process gives out the trials, and go on saying it.

        Raises:
            TrackingError: another one does.
        """
        holder = self._attributes.get(_DRIVER)
        if holder is not None and holder["who"] != who and not self.abandoned():
            raise TrackingError(
                f"Another process drives study {self.name!r} ({holder['who']}): join it by "
                f"tinybench sweep-worker {self.name}, or wait until it has ended."
            )
        if holder is not None and holder["who"] != who and holder["left"] is not None:
            self.keep(_LEFT, holder["left"])
        here = {"host": platform.node(), "process": os.getpid(), "left": self.seconds_left()}
        self.keep(_DRIVER, {"who": who, "at": time.time()} | here)

    def leave(self, who: str) -> None:
        """A process gives out trials no more."""
        holder = self._attributes.get(_DRIVER)
        if holder is not None and holder["who"] == who:
            left = self.seconds_left()
            if left is not None:
                self.keep(_LEFT, left)
            self.keep(_DRIVER, None)

    def abandoned(self) -> bool:
        """Whether no process gives out trials: its machine knows, others go by its signs of life."""
        holder = self._attributes.get(_DRIVER)
        if holder is None:
            return True
        if holder["host"] == platform.node():
            return not psutil.pid_exists(holder["process"])
        return bool(time.time() - holder["at"] > _SILENCE)

    def _first(self, slot: int) -> Mapping[str, Any]:
        """Values to begin with; the sampler draws the others."""
        first = self.space.first
        return first[slot] if slot < len(first) else {}

    def take(self) -> Trial | None:
        """A trial that waited and is now this worker's; None when none waits, or enough are under way."""
        counts = self.counts()
        if self.budget is not None and counts.done + counts.running >= self.budget:
            return None
        # By Optuna's own study, whose cache must know of a trial that it is to work with
        waiting = self.optuna.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        for trial in sorted(waiting, key=lambda each: each.user_attrs.get(SLOT, math.inf)):
            number = trial._trial_id
            try:
                # Before it runs: one without any sign of life would never be taken for dead
                self.storage.record_heartbeat(number)
                if self.storage.set_trial_state_values(number, state=TrialState.RUNNING):
                    self._start_clock()
                    return Trial(self.optuna, number)
            except UpdateFinishedTrialError:
                continue
        return None

    def _start_clock(self) -> None:
        """The minutes of the budget begin with the first trial, not while its process starts."""
        kept, minutes = self._attributes, self.space.minutes
        left = kept.get(_LEFT)
        if left is None and minutes is not None:
            left = 60 * minutes
        if left is not None and kept.get(_DEADLINE) is None:
            self.keep(_DEADLINE, time.time() + left)

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
        ConfigError: there is one of that name, or it is none.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"Invalid value for `--study`: expected letters, digits, spaces, . _ and -, at most 100, got {name!r}."
        )
    directions = [each.direction for each in space.objectives]
    try:
        made = optuna.create_study(study_name=name, storage=storage, directions=directions)
    except DuplicatedStudyError:
        raise ConfigError(
            f"There is a study {name!r} already: go on with it by --resume {name}, or give another --study."
        ) from None
    with optuna_storage.settled():
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
    if _SPACE not in found._attributes or not _NAME.fullmatch(name):
        raise TrackingError(f"Study {name!r} was not made by tinybench.")
    return found
