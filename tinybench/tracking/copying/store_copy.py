"""Copy a tracking store: experiments, runs, logged models and registered models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from mlflow.entities import ViewType

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.suggestion import suggest
from tinybench.tracking import store, tags
from tinybench.tracking.artifact_location import explain_experiment
from tinybench.tracking.copying.copied_content import list_differences
from tinybench.tracking.copying.copy_check import CopyCheck
from tinybench.tracking.copying.copy_lock import CopyLock, locked
from tinybench.tracking.copying.copy_report import CopyCallbacks, CopyReport
from tinybench.tracking.copying.id_map import IdMap
from tinybench.tracking.copying.logged_model_copy import LoggedModelCopy, list_model_copies
from tinybench.tracking.copying.registry_copy import RegistryCopy
from tinybench.tracking.copying.run_copy import RunCopy, list_run_copies
from tinybench.tracking.copying.store_side import StoreSide
from tinybench.tracking.experiments import get_or_create_experiment

_ATTEMPTS = 5
_CONFLICTS = ("UNIQUE constraint", "duplicate key", "database is locked")  # with a process that logs to the target

_OUTCOMES = {True: "known already", False: "copied", None: "left out"}


class StoreCopy:
    """Copies one store to another, in steps that can be repeated.

    Args:
        source: The store that is copied; nothing is written to it.
        target: The store that gets everything.
        experiments: Names of the experiments that are copied; all if empty.
        callbacks: Are told how far it is.
        lock: The lock on the target.

    Attributes:
        report: The outcome so far.
    """

    def __init__(
        self,
        source: StoreSide,
        target: StoreSide,
        experiments: Sequence[str],
        callbacks: CopyCallbacks,
        lock: CopyLock,
    ) -> None:
        self._source = source
        self._target = target
        self._is_selection = bool(experiments)
        self._callbacks = callbacks
        self._lock = lock
        self._ids = IdMap()
        self.report = CopyReport()
        self._experiments: list[Any] = self._select(experiments)
        self._experiment_ids: dict[str, str] = {}
        self._runs = RunCopy(source, target, self._ids, self.report)
        self._models = LoggedModelCopy(source, target, self._ids, self.report)
        self._registry = RegistryCopy(source, target, self._ids, self.report)
        self._names: list[str] = []  # of registered models
        self._versions: list[Any] = []

    def copy(self) -> None:
        """Copy everything; what the target has already is not sent again."""
        for experiment in self._experiments:
            self._create_copies(experiment)
        run_ids = [run_id for run_id in self._ids.runs if run_id not in self._ids.originals]
        model_ids = [model_id for model_id in self._ids.models if model_id not in self._ids.originals]
        self.report.original_runs = len(self._ids.runs) - len(run_ids)
        self._callbacks.on_stage_begin("runs", len(run_ids))
        for run_id in run_ids:
            self._copy_run(run_id)
        self._callbacks.on_stage_begin("models", len(model_ids))
        for model_id in model_ids:
            self._copy_model(model_id)
        self._copy_registry()
        self._count_deleted()

    def verify(self) -> None:
        """Compare both stores and report how they differ."""
        check, differences = CopyCheck(self._source, self._target, self._ids), self.report.differences
        runs = [run_id for run_id in self._ids.runs if run_id not in self._ids.originals]
        models = [model_id for model_id in self._ids.models if model_id not in self._ids.originals]
        self._callbacks.on_stage_begin("check", len(runs) + len(models))
        for experiment in self._experiments:
            differences += self._check_experiment(experiment)
            differences += check.list_doubled(self._experiment_ids[experiment.experiment_id])
        for identifiers, check_item in ((runs, check.check_run), (models, check.check_model)):
            for identifier in identifiers:
                lines = check_item(identifier)
                differences += lines
                self._callbacks.on_step(f"{identifier}: {f'{len(lines)} differences' if lines else 'the same'}")
        for run_id in self._ids.runs.keys() & self._ids.originals:  # what was added to a copy is not copied back
            differences += [line for line in check.check_run(run_id) if line.endswith("is not in the target")]
        differences += self._check_registry()
        self.report.is_verified = True

    def _select(self, names: Sequence[str]) -> list[Any]:
        existing = {experiment.name: experiment for experiment in self._source.list_experiments()}
        missing = [name for name in names if name not in existing]
        if missing:
            raise ConfigError(
                f"Invalid value for `--experiment`: {store.display(self._source.uri)} has no experiment "
                f"{missing[0]!r}, but {', '.join(existing) or 'no experiment at all'}.{suggest(missing[0], existing)}"
            )
        return [existing[name] for name in dict.fromkeys(names or existing)]

    def _create_copies(self, experiment: Any) -> None:
        """Create the copies of all runs and logged models of an experiment, so that each may refer to each."""
        moved = explain_experiment(experiment.name, experiment.artifact_location, self._source.uri)
        if moved:
            raise TrackingError(moved)
        moved = explain_experiment(experiment.name, experiment.artifact_location, self._source.uri)
        if moved:  # the copies would have no artifacts, and nothing would differ
            raise TrackingError(moved)
        target_id = self._create_experiment(experiment)
        runs, models = list_run_copies(self._target, target_id), list_model_copies(self._target, target_id)
        for run in self._source.runs(experiment.experiment_id):
            self._require_different_stores(run.info.run_id)
            self._repeat(partial(self._runs.create, run, target_id, runs))
        for model in self._source.models(experiment.experiment_id):
            self._repeat(partial(self._models.create, model, target_id, models))

    def _create_experiment(self, experiment: Any) -> str:
        """Return the id of an experiment in the target, which is created if there is none, and copy its tags.

        Raises:
            TrackingError: The target has one of this name that is deleted.
        """
        target_id = get_or_create_experiment(self._target.client, experiment.name)
        copied = self._target.client.get_experiment(target_id)
        for name, value in self._expected_tags(experiment, copied).items():
            if copied.tags.get(name) != value:
                self._repeat(partial(self._target.client.set_experiment_tag, target_id, name, value))
        self._experiment_ids[experiment.experiment_id] = target_id
        return target_id

    def _expected_tags(self, experiment: Any, copied: Any) -> dict[str, str]:
        """Return the tags of an experiment; of counts that both stores have, the larger one."""
        expected = self._ids.rewrite_tags(experiment.tags)
        for name, value in copied.tags.items():
            if (
                name in expected
                and name.startswith(tags.TEST_SET_USES)
                and value.isdigit()
                and expected[name].isdigit()
            ):
                expected[name] = max(value, expected[name], key=int)
        return expected

    def _require_different_stores(self, run_id: str) -> None:
        """Raise before the first run is copied if the target is the source under another address."""
        if not self._ids.runs and self._target.has_run(run_id):
            raise TrackingError(
                f"{store.display(self._source.uri)} and {store.display(self._target.uri)} are the same store: both "
                f"have run {run_id}. Give --to another one."
            )

    def _copy_run(self, run_id: str) -> None:
        was_complete = self._repeat(partial(self._runs.fill, run_id), f"Run {run_id}")
        self.report.runs += was_complete is False
        self.report.known_runs += was_complete is True
        self._callbacks.on_step(f"run {run_id}: {_OUTCOMES[was_complete]}")

    def _copy_model(self, model_id: str) -> None:
        was_complete = self._repeat(partial(self._models.fill, model_id), f"Model {model_id}")
        self.report.models += was_complete is False
        self.report.known_models += was_complete is True
        self._callbacks.on_step(f"model {model_id}: {_OUTCOMES[was_complete]}")

    def _repeat(self, action: Callable[[], Any], label: str = "") -> Any:
        """Call a function, again if another process has just written the same; note what the store refuses.

        Returns:
            What the function returned; None if the store refused it.
        """
        self._lock.require()
        for attempt in range(_ATTEMPTS):
            try:
                return action()
            except store.STORE_ERRORS as error:
                is_conflict = any(text in str(error) for text in _CONFLICTS)
                if is_conflict and attempt < _ATTEMPTS - 1:
                    continue
                if not label or not store.is_permanent(error):
                    raise
                self.report.problems.append(f"{label}: {store.describe_error(error)}")
                return None
        return None

    def _copy_registry(self) -> None:
        self._versions = self._registry.list_versions()
        selected = {version.name for version in self._versions if self._is_selected(version)}
        self._names = [name for name in self._registry.list_names() if not self._is_selection or name in selected]
        self._versions = [version for version in self._versions if version.name in self._names]
        self._callbacks.on_stage_begin("versions", len(self._versions))
        for name in self._names:
            self._repeat(partial(self._registry.create_name, name))
        for version in self._versions:
            label = f"{version.name}/{version.version}"
            was_complete = self._repeat(partial(self._registry.copy_version, version), f"Version {label}")
            self.report.versions += was_complete is False
            self.report.known_versions += was_complete is True
            self._callbacks.on_step(f"version {label}: {_OUTCOMES[was_complete]}")
        for name in self._names:
            self._repeat(partial(self._registry.copy_aliases, name))

    def _is_selected(self, version: Any) -> bool:
        return version.run_id in self._ids.runs or self._ids.rewrite_location(version.source) is not None

    def _count_deleted(self) -> None:
        deleted = ViewType.DELETED_ONLY
        experiments = self._experiments + ([] if self._is_selection else self._source.list_experiments(deleted))
        for experiment in experiments:
            self.report.deleted_runs += sum(1 for _ in self._source.runs(experiment.experiment_id, view=deleted))

    def _check_experiment(self, experiment: Any) -> list[str]:
        copied = self._target.client.get_experiment(self._experiment_ids[experiment.experiment_id])
        expected = self._expected_tags(experiment, copied)
        actual = {name: value for name, value in copied.tags.items() if name in expected}
        return [
            f"experiment {experiment.name}: {line}" for line in list_differences({"tag": expected}, {"tag": actual})
        ]

    def _check_registry(self) -> list[str]:
        lines = []
        for version in self._versions:
            if not self._registry.is_left_out(version):
                lines += self._registry.list_differences(version)
        for name in self._names:
            lines += self._registry.list_name_differences(name)
        return lines


def copy_store(
    source_uri: str,
    target_uri: str,
    *,
    experiments: Sequence[str] = (),
    verify: bool = True,
    callbacks: CopyCallbacks | None = None,
) -> CopyReport:
    """Copy everything of a store to another one; what the target has already is not sent again.

    Args:
        source_uri: The store that is copied; nothing is written to it.
        target_uri: The store that gets everything.
        experiments: Names of the experiments that are copied; all if empty.
        verify: Whether to compare both stores afterwards.
        callbacks: Are told how far it is.

    Raises:
        ConfigError: The addresses are of one store, or there is no such experiment.
        TrackingError: A store does not answer, or fails.
    """
    callbacks = callbacks or CopyCallbacks()
    if store.identity(source_uri) == store.identity(target_uri):
        raise ConfigError(f"--from and --to are both {store.display(source_uri)}: give two stores.")
    for uri in (source_uri, target_uri):
        store.check_address(uri)
    _require_file(source_uri)
    source, target = StoreSide.open(source_uri), StoreSide.open(target_uri)
    with _converting_errors(source_uri, target_uri), locked(target, callbacks) as lock:
        copying = StoreCopy(source, target, experiments, callbacks, lock)
        copying.copy()
        if verify:
            copying.verify()
    store.empty_write_ahead_log(target_uri)
    return copying.report


def _require_file(uri: str) -> None:
    """Raise if the source is a SQLite file that does not exist, which MLflow would create."""
    path = store.sqlite_path(uri)
    if path is not None and not path.is_file():
        raise TrackingError(f"There is no store {store.display(uri)}: check --from.")


@contextmanager
def _converting_errors(source_uri: str, target_uri: str) -> Iterator[None]:
    """Raise an error of a store as a TrackingError whose message is one line."""
    try:
        yield
    except store.STORE_ERRORS as error:
        silent = [uri for uri in (source_uri, target_uri) if not _is_reachable(uri)]
        addresses = " and ".join(map(store.display, silent or (source_uri, target_uri)))
        raise TrackingError(
            f"Copying stopped at {addresses}: {store.describe_error(error)} What is copied stays: run the same command "
            "again to go on."
        ) from error


def _is_reachable(uri: str) -> bool:
    with suppress(*store.STORE_ERRORS):
        store.ping(uri)
        return True
    return False
