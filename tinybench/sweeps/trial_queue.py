"""The queue of a study: gives every open slot of the budget a trial, and workers the trials that wait."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import fail_stale_trials
from optuna.trial import FrozenTrial, Trial, TrialState

from tinybench.sweeps import heartbeat, optuna_storage, slots
from tinybench.sweeps.deadline import Deadline
from tinybench.sweeps.slots import ERROR, RETRY_OF, SLOT
from tinybench.sweeps.study import Study


class TrialQueue:
    """The trials of a study that wait for a worker."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._deadline = Deadline(study)

    def fill(self, spare: int = 1) -> None:
        """Queue a trial for every slot of the budget that has none; only one process at a time may call this.

        The first trials have the first values of the space. The slot of a lost trial is queued again with the same
        values; after some deaths the slot fails, since it is its values that end processes.

        Args:
            spare: How many trials should wait where only the time is limited.
        """
        # Not by Optuna's RetryHeartbeatStaleTrialCallback: it copies the lost trial's attributes, such as its run,
        # queues nothing if its process dies after failing the trial, and leaves the slot empty after the last retry.
        with optuna_storage.ignore_experimental_warnings():
            fail_stale_trials(self.study.optuna_study)
        if self.study.is_finished():
            return
        for slot in slots.find_fatal_slots(self.study.trials()):
            self._fail_slot(slot)
        trials = self.study.trials()
        occupied = {trial.user_attrs[SLOT] for trial in trials if slots.is_unfinished(trial)}
        occupied |= {*slots.find_filled_slots(trials)}
        latest = {trial.user_attrs[SLOT]: trial for trial in trials if SLOT in trial.user_attrs}
        waiting = sum(trial.state == TrialState.WAITING for trial in trials)
        budget = self.study.budget
        slot_count = len(latest) + max(spare - waiting, 0) if budget is None else budget
        first_values = self.study.space.first_values
        for slot in range(slot_count):
            if slot in occupied:
                continue
            if slot in latest:
                self._retry(latest[slot])
            else:
                values = dict(first_values[slot]) if slot < len(first_values) else {}
                self.study.optuna_study.enqueue_trial(values, user_attrs={SLOT: slot})

    def retry_failed(self) -> int:
        """Queue the slots of failed trials again, and return how many there were."""
        failed = [trial for trial in self.study.counted_trials() if trial.state == TrialState.FAIL]
        for trial in failed:
            self._retry(trial)
        return len(failed)

    def _retry(self, trial: FrozenTrial) -> None:
        """Queue the slot of a trial again, with the same values."""
        attributes = {SLOT: trial.user_attrs[SLOT], RETRY_OF: trial.number}
        self.study.optuna_study.enqueue_trial(dict(slots.get_values(trial)), user_attrs=attributes)

    def _fail_slot(self, slot: int) -> None:
        """Fill a slot with a failed trial, in place of one that would end its process again."""
        last = [trial for trial in self.study.lost_trials() if trial.user_attrs.get(SLOT) == slot][-1]
        reason = f"Its process died {slots.MAX_DEATHS} times, as when memory ends, at last in trial {last.number}."
        for trial in self.study.trials():
            if trial.state == TrialState.WAITING and trial.user_attrs.get(SLOT) == slot:
                self.study.storage.set_trial_state_values(self._get_id(trial.number), state=TrialState.FAIL)
        self.study.optuna_study.add_trial(
            optuna.create_trial(
                state=TrialState.FAIL,
                params=last.params,
                distributions=last.distributions,
                user_attrs={SLOT: slot, RETRY_OF: last.number, ERROR: reason},
            )
        )

    def take(self) -> Trial | None:
        """Take the waiting trial with the lowest slot; None if none waits, or enough of them run.

        `Study.ask` of Optuna does not do: it makes a new trial if none waits, and takes the trial before its first
        heartbeat.
        """
        counts = self.study.counts()
        if self.study.budget is not None and counts.finished + counts.running >= self.study.budget:
            return None
        # Read by Optuna's study, whose cache must know the trial that the study is to work with
        waiting = self.study.optuna_study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        for trial in sorted(waiting, key=lambda trial: trial.user_attrs.get(SLOT, math.inf)):
            trial_id = self._get_id(trial.number)
            try:
                # Before it runs: a running trial without any heartbeat would never count as dead
                self.study.storage.record_heartbeat(trial_id)
                if self.study.storage.set_trial_state_values(trial_id, state=TrialState.RUNNING):
                    self._deadline.start_clock()
                    return Trial(self.study.optuna_study, trial_id)
            except UpdateFinishedTrialError:
                continue
        return None

    @contextmanager
    def keep_alive(self, trial: Trial) -> Iterator[None]:
        """Record heartbeats of a trial that was taken while the block runs, so that it does not count as dead."""
        trial_id = self._get_id(trial.number)
        with heartbeat.repeat(lambda: self.study.storage.record_heartbeat(trial_id), optuna_storage.HEARTBEAT_SECONDS):
            yield

    def tell(self, trial: Trial, values: Sequence[float] | None, state: TrialState) -> None:
        """Store how a trial ended; nothing changes if it counted as dead meanwhile and has been ended."""
        self.study.optuna_study.tell(trial, values, state, skip_if_finished=True)

    def _get_id(self, number: int) -> int:
        return self.study.storage.get_trial_id_from_study_id_trial_number(self.study.id, number)
