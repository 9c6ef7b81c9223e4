"""Slots: the trials of a study's budget, numbered from 0, and which Optuna trial fills which slot.

A slot is filled by its first trial that ended for good: complete, pruned, or failed with a reason. A trial whose
process died is lost: it does not count, and its slot is queued again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

# User attributes of a trial
SLOT = "slot"
ERROR = "error"
RUN_ID = "run_id"
METRICS = "figures"
RETRY_OF = "retry_of"
INTERRUPTED = "interrupted"

MAX_DEATHS = 3  # processes that may die in the trials of a slot before the slot has failed


@dataclass(frozen=True)
class TrialCounts:
    """The number of slots in each state.

    Attributes:
        complete: Filled by a trial that was trained to its end.
        pruned: Filled by a trial that the pruner stopped.
        failed: Filled by a trial that failed with a reason.
        running: A worker trains a trial of it now.
        waiting: A trial of it waits for a worker.
    """

    complete: int
    pruned: int
    failed: int
    running: int
    waiting: int

    @property
    def finished(self) -> int:
        """The number of slots that are filled."""
        return self.complete + self.pruned + self.failed


def count_trials(trials: Iterable[FrozenTrial]) -> TrialCounts:
    """Return how many slots are in which state, given all trials of a study."""
    trials = list(trials)
    filled = find_filled_slots(trials)
    final_states = [trial.state for trial in filled.values()]
    unfinished = {trial.user_attrs[SLOT]: trial.state for trial in trials if is_unfinished(trial)}
    open_states = [state for slot, state in unfinished.items() if slot not in filled]
    return TrialCounts(
        *(final_states.count(state) for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)),
        *(open_states.count(state) for state in (TrialState.RUNNING, TrialState.WAITING)),
    )


def find_best(trials: Iterable[FrozenTrial], maximize: Sequence[bool]) -> list[FrozenTrial]:
    """Return the best trial, or for several objectives the trials that no other trial dominates.

    Args:
        trials: Only complete trials are considered.
        maximize: For each objective, whether greater values are better.

    Returns:
        The trials, sorted by the first objective, the best first; empty if none is complete.
    """
    ranked = rank_complete(trials, maximize)
    if len(maximize) == 1:
        return ranked[:1]
    losses = {trial.number: _losses(trial, maximize) for trial in ranked}
    return [
        trial
        for trial in ranked
        if not any(_dominates(losses[rival.number], losses[trial.number]) for rival in ranked if rival is not trial)
    ]


def rank_complete(trials: Iterable[FrozenTrial], maximize: Sequence[bool]) -> list[FrozenTrial]:
    """Return the complete trials, sorted by the first objective, the best first; see `find_best`."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return sorted(complete, key=lambda trial: (_losses(trial, maximize), trial.number))


def _losses(trial: FrozenTrial, maximize: Sequence[bool]) -> list[float]:
    """Return the objectives of a trial, negative where greater values are better."""
    return [-value if rising else value for rising, value in zip(maximize, trial.values, strict=True)]


def find_fatal_slots(trials: Sequence[FrozenTrial]) -> list[int]:
    """Return the unfilled slots in whose trials too many processes died."""
    filled = find_filled_slots(trials)
    deaths = Counter(
        trial.user_attrs[SLOT] for trial in trials if is_lost(trial) and INTERRUPTED not in trial.user_attrs
    )
    return [slot for slot, count in deaths.items() if count >= MAX_DEATHS and slot not in filled]


def is_lost(trial: FrozenTrial) -> bool:
    """Return whether a trial ended without a result or a reason, as when its process died."""
    return SLOT in trial.user_attrs and trial.state == TrialState.FAIL and ERROR not in trial.user_attrs


def get_values(trial: FrozenTrial) -> Mapping[str, Any]:
    """Return the values that a trial was trained with, or was to be trained with when its process died."""
    return trial.params or dict(trial.system_attrs.get("fixed_params", {}))  # where `enqueue_trial` stores them


def is_unfinished(trial: FrozenTrial) -> bool:
    """Return whether a trial waits or runs."""
    return SLOT in trial.user_attrs and trial.state in (TrialState.RUNNING, TrialState.WAITING)


def find_filled_slots(trials: Iterable[FrozenTrial]) -> dict[int, FrozenTrial]:
    """Return by slot the trial that fills it.

    A failed trial fills its slot only until the slot is queued again.
    """
    filled: dict[int, FrozenTrial] = {}
    for trial in trials:
        slot = int(trial.user_attrs.get(SLOT, -1))
        earlier = filled.get(slot)
        has_failed = trial.state == TrialState.FAIL and ERROR in trial.user_attrs
        if slot < 0 or (earlier is not None and earlier.state != TrialState.FAIL):
            continue
        if has_failed or trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            filled[slot] = trial
        elif is_unfinished(trial):
            filled.pop(slot, None)
    return filled


def _dominates(losses: Sequence[float], other_losses: Sequence[float]) -> bool:
    pairs = list(zip(losses, other_losses, strict=True))
    return all(loss <= other_loss for loss, other_loss in pairs) and list(losses) != list(other_losses)
