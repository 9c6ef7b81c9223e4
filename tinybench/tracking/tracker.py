"""Open, create and find runs in a tracking store."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import mlflow
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from tinybench.config.sections import TrackConfig
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.redaction import redact
from tinybench.tracking import environment_run, experiments, links, provenance, run_kinds, store, tags
from tinybench.tracking.journal.journal import find_journals, is_key
from tinybench.tracking.run_reader import RunReader, is_not_found, key_of
from tinybench.tracking.run_writer import RunWriter
from tinybench.tracking.store_writer import StoreWriter

DEFAULT_EXPERIMENT = "tinybench"
"""The experiment of runs for which the user names none."""
_OTHER_EXPERIMENT = "Name another one (--track.experiment NAME), or restore it with"
OFFLINE_VARIABLE = "TINYBENCH_OFFLINE"


class Tracker(RunReader):
    """A store of runs, by default MLflow's own `sqlite:///mlflow.db` in the working directory.

    Args:
        config: The address of the store, and the experiment, name and tags of new runs.
        may_be_away: Whether a store that does not answer is no error: what is written stays on this machine until it
            does, and runs are read from the journals of this machine.
        opens_runs: Whether `open_parent_run` may be called, so that the store must be the one that `mlflow run` has
            chosen.

    Attributes:
        config: The same.
        uri: The address of the store.
        error: Why the store does not answer; None if it does.

    Raises:
        ConfigError: `mlflow run` has chosen another store.
        TrackingError: The address is not one of a store, or its server does not answer.
    """

    def __init__(self, config: TrackConfig, *, may_be_away: bool = False, opens_runs: bool = True) -> None:
        self.config = config
        self.offline = may_be_away and (config.offline or is_offline())
        self._writer: StoreWriter | None = None
        if opens_runs:
            self._check_choice_of_mlflow_run()
        if config.uri:
            mlflow.set_tracking_uri(config.uri)
        uri = store.default_uri()
        client: MlflowClient | None = None
        error: TrackingError | None = None
        if self.offline:
            error = TrackingError(f"This run is offline, and {redact(uri)} is not asked.")
        else:
            try:
                client = store.connect(uri)
            except store.UnreachableError as unreachable:
                if not may_be_away:
                    raise
                error = unreachable
        super().__init__(uri, client, error, reads_journals=may_be_away)

    @classmethod
    def at(cls, uri: str | None, *, may_be_away: bool = False) -> Tracker:
        """Connect to the store at an address, to read from it; to MLflow's default store when None.

        Raises:
            TrackingError: The address is not one of a store, or its server does not answer; or there is no such SQLite
                file, which to open would create it.
        """
        address = uri or store.default_uri()
        if not any(find_journals(store.identity(address))):
            store.require_exists(address)
        return cls(TrackConfig(uri=uri), may_be_away=may_be_away, opens_runs=False)

    def _check_choice_of_mlflow_run(self) -> None:
        chosen = os.environ.get("MLFLOW_TRACKING_URI") if environment_run.named_run_id() else None
        if self.config.uri and chosen not in (None, self.config.uri):
            raise ConfigError(
                f"Invalid value for `track.uri`: mlflow run has chosen {redact(str(chosen))}. Set MLFLOW_TRACKING_URI "
                f"for mlflow run instead; unset {environment_run.VARIABLE} if it is a leftover."
            )

    @property
    def _own_journal(self) -> str | None:
        return None if self._writer is None else self._writer.journal.id

    @property
    def writer(self) -> StoreWriter:
        """The journal of this process for the store; it begins when it is first used."""
        if self._writer is None:
            self._writer = StoreWriter(self.uri, self._client, offline=self.offline)
        return self._writer

    def require_flush(self) -> None:
        """Wait until the store has everything that was written.

        Raises:
            TrackingError: It does not take it.
        """
        if not self.writer.flush():
            raise TrackingError(
                f"{redact(self.uri)} does not take what was written: nothing is decided. Try again when it answers."
            )

    def close(self) -> None:
        """Send what was written, as far as the store takes it, and end the thread that sends."""
        if self._writer is not None:
            self._writer.close()

    def open_parent_run(self, name: str, kind: str = run_kinds.TRAINING) -> RunWriter:
        """Return the parent run that `mlflow run` created, or create one if there is none.

        Args:
            name: Its name, unless the user gave one.
            kind: Its kind, see `run_kinds`.

        Raises:
            ConfigError: `mlflow run` has chosen another experiment, or MLFLOW_RUN_ID names a run that is not for this
                process.
            TrackingError: The store refuses the run, or its experiment is deleted.
        """
        run_id = environment_run.named_run_id()
        with self._converting_errors("Cannot open a run in"):
            run = self._adopt(run_id, name) if run_id else self._create(self.config.run_name or name)
        run.set_tags({tags.KIND: kind} | provenance.environment_tags() | self._user_tags())
        self.writer.wait_for_id(run.key)
        self._raise_refusal(run)
        return run

    def check_parent_run(self) -> None:
        """Raise now what `open_parent_run` would raise later; nothing is created.

        Raises:
            ConfigError: As `open_parent_run` does.
            TrackingError: As `open_parent_run` does.
        """
        run_id = environment_run.named_run_id()
        if self._client is None:
            return
        with self._converting_errors("Cannot open a run in"):
            if run_id:
                self._require_own_run(self._client, run_id)
            else:
                self._check_experiment(self._client, self._choose_experiment())

    def _raise_refusal(self, run: RunWriter) -> None:
        """Raise if the store refuses a new run or one of its tags, before anything is trained."""
        reasons = [*self.writer.journal.sent.refused.values(), *filter(None, [self.writer.login_refusal()])]
        if reasons:
            run.end("FAILED", reasons[0])
            self.writer.discard()
            raise TrackingError(f"Cannot open a run in {redact(self.uri)}: {reasons[0]}")

    def create_phase_run(self, parent: RunWriter, phase: str, name: str) -> RunWriter:
        """Create the child run of a phase."""
        return self._create_child(parent, {tags.KIND: run_kinds.PHASE, tags.PHASE: phase}, name)

    def create_child_run(
        self,
        parent: RunWriter,
        name: str,
        kind: str = run_kinds.TRAINING,
        run_tags: Mapping[str, str] | None = None,
    ) -> RunWriter:
        """Create a complete run with phases of its own that is listed below another run.

        Args:
            parent: The other run.
            name: The name of the new one.
            kind: Its kind, see `run_kinds`.
            run_tags: Tags that it has from its first moment.
        """
        run = self._create_child(parent, {tags.KIND: kind, **(run_tags or {})}, name)
        self.writer.wait_for_id(run.key)
        return run

    def create_fold_run(self, parent: RunWriter, number: int, name: str) -> RunWriter:
        """Create the child run of a fold, counted from 1."""
        return self._create_child(parent, {tags.KIND: run_kinds.FOLD, tags.FOLD: str(number)}, name)

    def _create_child(self, parent: RunWriter, child_tags: dict[str, str], name: str) -> RunWriter:
        all_tags = child_tags | {tags.PARENT_RUN: parent.key}
        all_tags |= provenance.source_tags() | provenance.environment_tags() | self._user_tags()
        return self.writer.create_run({"run": parent.key}, name, all_tags)

    def reopen(self, run: MlflowRun) -> RunWriter:
        """Mark a run as running again and return it for writing.

        Raises:
            TrackingError: The run is deleted.
        """
        self.require_active(run)
        return self.writer.reopen_run(key_of(run), run.info.run_id, run.data.tags, run.data.metrics)

    def amend(self, run: MlflowRun) -> RunWriter:
        """Return a run for writing that another process wrote; its status stays."""
        return self.writer.amend_run(key_of(run))

    def mark_failed(self, run_id: str, reason: str) -> None:
        """Mark the run that `mlflow run` opened for this process FAILED with a reason, unless it already has one.

        A run that was not opened for this process stays as it is.
        """
        run = self.get_run(run_id)
        if tags.ERROR not in run.data.tags and environment_run.may_mark_failed(run):
            self.amend(run).end("FAILED", reason)
            self.close()

    def link(self, run: RunWriter) -> str:
        """Return the address of a run's page; if the store is no server, as `mlflow ui` on this machine shows it.

        It is empty for a run that has not been sent yet.
        """
        if is_key(run.id) or self._client is None:
            return ""
        try:
            return links.run_link(self._client, self.uri, run.id)
        except store.STORE_ERRORS:
            return ""

    def _adopt(self, run_id: str, name: str) -> RunWriter:
        """Return the run that `mlflow run` created, with our name unless the user gave it one."""
        if self._client is not None:
            self._require_own_run(self._client, run_id)
        is_given = self.config.run_name is not None
        adopted = self.writer.adopt_run(run_id, self.config.run_name or name, is_given=is_given)
        environment_run.note_used(run_id)
        return adopted

    def _require_own_run(self, client: MlflowClient, run_id: str) -> None:
        """Raise unless the run that MLFLOW_RUN_ID names is for this process, and in the experiment that is asked for.

        Raises:
            ConfigError: It is not.
        """
        variable, way_out = environment_run.VARIABLE, environment_run.UNSET
        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if not is_not_found(error):
                raise
            raise ConfigError(f"{variable} names no run of {redact(self.uri)}: {run_id!r}. {way_out}") from error
        refusal = environment_run.explain_refusal(run)
        if refusal:
            raise ConfigError(f"{variable} names run {run_id}, which {refusal}. It stays as it is. {way_out}")
        experiment = client.get_experiment(run.info.experiment_id).name
        if self.config.experiment not in (None, experiment):
            raise ConfigError(
                f"Invalid value for `track.experiment`: mlflow run has chosen {experiment!r}. Give mlflow run "
                f"--experiment-name instead; unset {variable} if it is a leftover."
            )

    def _create(self, name: str) -> RunWriter:
        """Create a run, as a child of the user's active run if there is one."""
        run_tags: dict[str, Any] = provenance.source_tags()
        active = mlflow.active_run()
        if active is not None:
            run_tags[tags.PARENT_RUN] = active.info.run_id
        experiment = self._choose_experiment()
        if self._client is not None:
            self._check_experiment(self._client, experiment)
            if "name" in experiment:
                self._require_experiment(self._client, experiment["name"])
        return self.writer.create_run(experiment, name, run_tags)

    def _require_experiment(self, client: MlflowClient, name: str) -> None:
        """Create an experiment unless it exists.

        Raises:
            TrackingError: This login may not create it.
        """
        try:
            experiments.get_or_create_experiment(client, name)
        except MlflowException as error:
            if not store.is_refused(error):
                raise
            raise TrackingError(
                f"Cannot create the experiment {name!r} in {redact(self.uri)}: {store.describe_error(error)} Or name "
                "one that you may write to: --track.experiment NAME."
            ) from error

    def _check_experiment(self, client: MlflowClient, experiment: dict[str, str]) -> None:
        """Raise if an experiment is deleted or moved, or if there is none with an id that the environment names.

        Raises:
            ConfigError: There is no such id.
            TrackingError: The experiment is deleted, or its artifacts are not where the store says.
        """
        try:
            experiments.check_usable(client, self.uri, experiment, _OTHER_EXPERIMENT)
        except MlflowException as error:
            if "id" not in experiment or not is_not_found(error):
                raise
            variable = environment_run.EXPERIMENT_VARIABLE
            raise ConfigError(
                f"{variable} names no experiment of {redact(self.uri)}: {experiment['id']!r}. Unset {variable}, or "
                "give --track.experiment NAME."
            ) from error

    def _choose_experiment(self) -> dict[str, str]:
        """Return the experiment for new runs: by its name, if it may have to be created, or by its id.

        MLflow's own experiment, Default, is not used: the MLflow UI shows it as one of prompts and traces.
        """
        active = mlflow.active_run()
        if active is not None and not self.config.experiment:
            return {"id": active.info.experiment_id}
        name = self.config.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        experiment_id = os.environ.get(environment_run.EXPERIMENT_VARIABLE)  # which `mlflow.set_experiment` sets
        return {"id": experiment_id} if experiment_id and not name else {"name": name or DEFAULT_EXPERIMENT}

    @contextmanager
    def _converting_errors(self, failed_action: str) -> Iterator[None]:
        """Raise an error of the store as a TrackingError whose message is one line."""
        try:
            yield
        except store.STORE_ERRORS as error:
            raise TrackingError(self._describe_error(failed_action, error)) from error

    def _user_tags(self) -> dict[str, str]:
        pairs = (tag.partition("=") for tag in self.config.tags)
        return {name: value for name, _, value in pairs}


def is_offline() -> bool:
    """Return whether TINYBENCH_OFFLINE says that no store shall be contacted."""
    return os.environ.get(OFFLINE_VARIABLE, "").lower() in ("1", "true", "yes", "on")
