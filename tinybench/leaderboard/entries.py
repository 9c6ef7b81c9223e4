"""The phases of finished runs that a board may rank, grouped into models that differ by more than the seed."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from tinybench.config.run_config import PHASES, SETTINGS
from tinybench.tracking import run_kinds, tags
from tinybench.tracking.run_cache import StoredRun

_OVERRIDDEN = "recipe."
"""How `mlflow run` names the parameter of a setting that the user left to the recipe."""
_IGNORED = ("seed", "recipe", "phases", "data.folds")
_MAX_SETTINGS = 3  # in the name of a model


def name_file(model: str) -> str:
    """Return a model's name; of a file its name without the folder and the suffix."""
    return PurePath(model).stem if model.endswith(".keras") else model


@dataclass(frozen=True)
class Entry:
    """A finished phase of a run.

    Attributes:
        run: The run.
        phase_run: The run of the phase, which has its metrics and predictions.
        phase: The phase.
        is_last: Whether it is the last phase of its run.
        settings: The settings of the run, as text, without the seed.
        seed: The seed.
    """

    run: StoredRun
    phase_run: StoredRun
    phase: str
    is_last: bool
    settings: dict[str, str]
    seed: int

    @property
    def model(self) -> str:
        """The model; of a file its name."""
        return name_file(self.settings.get("model", ""))

    @property
    def dataset(self) -> str:
        """The data set."""
        return self.settings.get("dataset", "")

    @property
    def recipe(self) -> str:
        """The recipe."""
        return self.run.params.get("recipe", "")

    @property
    def images_hash(self) -> str:
        """The hash of the test images; empty if the run has none."""
        return self.phase_run.tags.get(tags.TEST_HASH) or self.run.tags.get(tags.TEST_HASH, "")

    def key(self) -> str:
        """Return a hash of what runs of one model share: the settings, the files of the model, and the phase."""
        files = [self.run.tags.get(tag, "") for tag in (tags.MODEL_SHA256, tags.WEIGHTS_SHA256)]
        text = json.dumps([self.phase, files, sorted(self.settings.items())])
        return hashlib.sha256(text.encode()).hexdigest()


def list_entries(runs: Iterable[StoredRun]) -> list[Entry]:
    """Return the finished phases of training runs, the oldest first; those of trials and folds are not among them."""
    trainings, phase_runs = {}, []
    for run in runs:
        kind = run_kinds.kind_of(run.tags)
        if kind == run_kinds.TRAINING:
            trainings[run.run_id] = run
        elif kind == run_kinds.PHASE and run.tags.get(tags.PHASE) in PHASES:
            phase_runs.append(run)
    entries = []
    for phase_run in phase_runs:
        parent = trainings.get(phase_run.tags.get(tags.PARENT_RUN, ""))
        if parent is not None:
            entries.append(_make_entry(parent, phase_run))
    return entries


def _make_entry(run: StoredRun, phase_run: StoredRun) -> Entry:
    params = {name: value for name, value in run.params.items() if name in SETTINGS}
    params |= {
        name.removeprefix(_OVERRIDDEN): value for name, value in run.params.items() if name.startswith(_OVERRIDDEN)
    }
    phase = phase_run.tags[tags.PHASE]
    phases = params.get("phases", phase).replace(" ", "").split(",")
    seed = params.get("seed", "0")
    later = tuple(f"{name}." for name in PHASES[PHASES.index(phase) + 1 :])  # they have no effect on this phase
    settings = {name: value for name, value in params.items() if name not in _IGNORED and not name.startswith(later)}
    return Entry(run, phase_run, phase, phase == phases[-1], settings, int(seed) if seed.lstrip("-").isdigit() else 0)


def group_models(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return the entries of each model by a name that is unique among them."""
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.key()].append(entry)
    members = [*groups.values()]
    named = [_name_model(group[0], [entry_of_model[0] for entry_of_model in members]) for group in members]
    for index, name in enumerate(named):
        if named.count(name) > 1:
            named[index] = f"{name} ({members[index][0].run.run_id[:8]})"
    return dict(zip(named, members, strict=True))


def _name_model(entry: Entry, entries: Sequence[Entry]) -> str:
    """Return the model's name, with its phase where phases differ, and settings where those of the same model do."""
    phase = f" {entry.phase}" if len({entry_of_model.phase for entry_of_model in entries}) > 1 else ""
    alike = [
        entry_of_model
        for entry_of_model in entries
        if (entry_of_model.model, entry_of_model.phase) == (entry.model, entry.phase)
    ]
    keys = dict.fromkeys(key for entry_of_model in alike for key in entry_of_model.settings)
    differing = [key for key in keys if len({entry_of_model.settings.get(key) for entry_of_model in alike}) > 1]
    named = [key for key in differing if entry.settings.get(key) is not None and key not in ("model", "dataset")]
    settings = ", ".join(f"{key} {entry.settings[key]}" for key in named[:_MAX_SETTINGS])
    return f"{entry.model}{phase}" + (f" [{settings}]" if settings else "")
