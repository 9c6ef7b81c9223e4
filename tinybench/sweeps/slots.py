"""Slots, one for each trial of a study's budget, seen in its trials: which are filled, which are open, which are best.

A slot is filled by the first trial of it that ended for good: completed, pruned, or failed with a reason. A trial
whose process died counts for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

# Attributes of a trial
SLOT = "slot"
ERROR = "error"
RUN = "run_id"
FIGURES = "figures"
RETRY = "retry_of"
INTERRUPTED = "interrupted"

MOST_DEATHS = 3  # processes that a slot may end


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


def counts(trials: Iterable[FrozenTrial]) -> Counts:
    """How far a study is."""
    trials = list(trials)
    ended = filled(trials)
    states = [trial.state for trial in ended.values()]
    open_slots = {trial.user_attrs[SLOT]: trial.state for trial in trials if live(trial)}
    left = [state for slot, state in open_slots.items() if slot not in ended]
    return Counts(
        *(states.count(state) for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)),
        *(left.count(state) for state in (TrialState.RUNNING, TrialState.WAITING)),
    )


def front(trials: Iterable[FrozenTrial], rising: Sequence[bool]) -> list[FrozenTrial]:
    """The best trial, or of several objectives those that no other beats; the best in the first one is first.

    Args:
        trials: Those that were not completed are left out.
        rising: For each objective, whether the greatest is best.
    """
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    losses = {
        trial.number: [-value if up else value for up, value in zip(rising, trial.values, strict=True)]
        for trial in done
    }
    best = [
        trial
        for trial in done
        if not any(_beats(losses[other.number], losses[trial.number]) for other in done if other is not trial)
    ]
    best.sort(key=lambda trial: (losses[trial.number], trial.number))
    return best[:1] if len(rising) == 1 else best


def deadly(trials: Sequence[FrozenTrial]) -> list[int]:
    """Slots that have ended too many processes, and are not filled."""
    ended = filled(trials)
    deaths = Counter(each.user_attrs[SLOT] for each in trials if died(each) and INTERRUPTED not in each.user_attrs)
    return [slot for slot, count in deaths.items() if count >= MOST_DEATHS and slot not in ended]


def died(trial: FrozenTrial) -> bool:
    """Whether its process ended with it: it counts for nothing."""
    return SLOT in trial.user_attrs and trial.state == TrialState.FAIL and ERROR not in trial.user_attrs


def fixed(trial: FrozenTrial) -> Mapping[str, Any]:
    """The values that a trial had drawn, or was to have, when its process died."""
    return trial.params or dict(trial.system_attrs.get("fixed_params", {}))


def live(trial: FrozenTrial) -> bool:
    """Whether it waits or runs."""
    return SLOT in trial.user_attrs and trial.state in (TrialState.RUNNING, TrialState.WAITING)


def filled(trials: Iterable[FrozenTrial]) -> dict[int, FrozenTrial]:
    """By slot the first trial that ended for good; one that is only dead has no reason.

    A trial that failed counts until its slot is given out again.
    """
    found: dict[int, FrozenTrial] = {}
    for trial in trials:
        slot = int(trial.user_attrs.get(SLOT, -1))
        known = found.get(slot)
        failed = trial.state == TrialState.FAIL and ERROR in trial.user_attrs
        if slot < 0 or (known is not None and known.state != TrialState.FAIL):
            continue
        if failed or trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            found[slot] = trial
        elif live(trial):
            found.pop(slot, None)
    return found


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and list(one) != list(other)
