"""A study in its Optuna storage: what it searches, its trials, and the best of them.

All of a study's state is in the storage, so that any number of workers on any machine can come and go.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.redaction import redact
from tinybench.core.suggestion import suggest
from tinybench.sweeps import optuna_storage, samplers, slots, space_file
from tinybench.sweeps.slots import TrialCounts
from tinybench.sweeps.space import Space

MAX_FIRST_FAILURES = 5
"""Number of first trials after whose failure the others would fail as well."""
_SPACE = "space"
_PARENT_RUN = "parent_run"
_BUDGET = "budget"
_NAME = re.compile(r"[\w-][\w. -]{0,99}")


class Study:
    """A study that exists in a storage; made by `create` or `load`.

    Args:
        storage: Optuna's storage.
        name: Name of the study.

    Raises:
        KeyError: There is no such study.
    """

    def __init__(self, storage: RDBStorage, name: str) -> None:
        self.storage = storage
        self.name = name
        self.id = storage.get_study_id_from_name(name)

    @classmethod
    def create(cls, storage: RDBStorage, name: str, space: Space, overrides: Mapping[str, Any]) -> Study:
        """Create a study.

        Args:
            storage: Optuna's storage.
            name: Name of the study; also the name of its folder on every machine.
            space: What it searches.
            overrides: The settings that `space` was read with.

        Raises:
            ConfigError: The name is taken or not allowed.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"Invalid value for `--study`: expected letters, digits, spaces, . _ and -, at most 100, got {name!r}."
            )
        directions = [objective.direction for objective in space.objectives]
        try:
            optuna_study = optuna.create_study(study_name=name, storage=storage, directions=directions)
        except DuplicatedStudyError:
            raise ConfigError(
                f"There is a study {name!r} already: go on with it by --resume {name}, or give another --study."
            ) from None
        with optuna_storage.ignore_experimental_warnings():
            optuna_study.set_metric_names([objective.metric for objective in space.objectives])
        source = {"text": space.text, "name": space.name, "overrides": dict(overrides)}
        optuna_study.set_user_attr(_SPACE, json.dumps(source))
        return cls(storage, name)

    @classmethod
    def load(cls, storage: RDBStorage, name: str) -> Study:
        """Load a study by its name.

        Raises:
            TrackingError: There is no such study, or it was not made by tinybench.
        """
        try:
            study = cls(storage, name)
        except KeyError:
            raise TrackingError(_explain_no_study(storage, name)) from None
        if _SPACE not in study.user_attrs or not _NAME.fullmatch(name):
            raise TrackingError(f"Study {name!r} was not made by tinybench.")
        return study

    @cached_property
    def space(self) -> Space:
        """The search space."""
        source = json.loads(self.user_attrs[_SPACE])
        return space_file.read(source["text"], source["name"], source["overrides"], is_stored=True)

    @property
    def settings_of_winner(self) -> dict[str, Any]:
        """The settings that were given for the whole study and that only the run of its winner takes."""
        overrides = json.loads(self.user_attrs[_SPACE])["overrides"]
        return {key: overrides[key] for key in ("track.pictures", "track.costs") if key in overrides}

    @cached_property
    def optuna_study(self) -> optuna.Study:
        """Optuna's object of the study, with the sampler and the pruner of the space."""
        with optuna_storage.ignore_experimental_warnings():
            return optuna.load_study(
                study_name=self.name,
                storage=self.storage,
                sampler=samplers.build_sampler(self.space, len(self.counted_trials())),
                pruner=samplers.build_pruner(self.space),
            )

    @property
    def user_attrs(self) -> dict[str, Any]:
        """The values that the processes of the study share, read from the storage now."""
        return dict(self.storage.get_study_user_attrs(self.id))

    def set_user_attr(self, key: str, value: Any) -> None:
        """Store a value, which must fit into JSON, for all processes of the study."""
        self.storage.set_study_user_attr(self.id, key, value)

    @property
    def budget(self) -> int | None:
        """The number of trials, which a resume may change; None for as many as the time allows."""
        return self.user_attrs.get(_BUDGET, self.space.trials)

    @budget.setter
    def budget(self, trials: int) -> None:
        self.set_user_attr(_BUDGET, trials)

    @property
    def parent_run(self) -> str | None:
        """The id of the study's run, whose children are the runs of the trials; None before a driver has begun."""
        return self.user_attrs.get(_PARENT_RUN)

    @parent_run.setter
    def parent_run(self, run_id: str) -> None:
        self.set_user_attr(_PARENT_RUN, run_id)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, including those that do not count."""
        return list(self.storage.get_all_trials(self.id, deepcopy=False))

    def counted_trials(self) -> list[FrozenTrial]:
        """Return the trials that fill a slot of the budget, in the order of the slots."""
        return [trial for _, trial in sorted(slots.find_filled_slots(self.trials()).items())]

    def lost_trials(self) -> list[FrozenTrial]:
        """Return the trials whose process died, which do not count."""
        return [trial for trial in self.trials() if slots.is_lost(trial)]

    def counts(self) -> TrialCounts:
        """Return how many slots of the budget are in which state."""
        return slots.count_trials(self.trials())

    def is_finished(self) -> bool:
        """Return whether every slot of the budget is filled."""
        return self.budget is not None and self.counts().finished >= self.budget

    def count_hopeless(self) -> int:
        """Return how many trials there were, if the first ones and all others have failed; 0 if there is hope."""
        states = [trial.state for trial in self.counted_trials()]
        return len(states) if len(states) >= MAX_FIRST_FAILURES and {*states} == {TrialState.FAIL} else 0

    def best_trials(self) -> list[FrozenTrial]:
        """Return the best trials of those that count; see `find_best`."""
        return self.find_best(self.counted_trials())

    def find_best(self, trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
        """Return the best of some trials; with several objectives those that no other one dominates.

        They are sorted by the first objective, the best first.
        """
        return slots.find_best(trials, self._maximized())

    def top_trials(self, count: int) -> list[FrozenTrial]:
        """Return the best trials that count, the best first, and at most so many.

        With several objectives they are those that no other one dominates, sorted by the first objective.
        """
        if len(self.space.objectives) > 1:
            return self.best_trials()[:count]
        return slots.rank_complete(self.counted_trials(), self._maximized())[:count]

    def _maximized(self) -> list[bool]:
        return [objective.direction == "maximize" for objective in self.space.objectives]


def _explain_no_study(storage: RDBStorage, name: str) -> str:
    names, url = optuna_storage.list_studies(storage), redact(storage.url)
    if not names:
        return f"No study {name!r}: {url} holds no study. Begin one by tinybench sweep SPACE, or check --storage."
    return f"No study {name!r} in {url}, which holds {', '.join(names)}.{suggest(name, names)} Check it, or --storage."
