"""Open, create and find runs in a tracking store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mlflow
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from tinybench.config.sections import TrackConfig
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.redaction import redact
from tinybench.tracking import links, provenance, run_kinds, store, tags
from tinybench.tracking.experiments import get_or_create_experiment
from tinybench.tracking.journal.journal import find_journals, is_key
from tinybench.tracking.run_reader import RunReader, key_of
from tinybench.tracking.run_writer import RunWriter
from tinybench.tracking.store_writer import StoreWriter

DEFAULT_EXPERIMENT = "tinybench"
"""The experiment of runs for which the user names none."""
OFFLINE_VARIABLE = "TINYBENCH_OFFLINE"


class Tracker(RunReader):
    """A store of runs, by default MLflow's own `sqlite:///mlflow.db` in the working directory.

    Args:
        config: The address of the store, and the experiment, name and tags of new runs.
        may_be_away: Whether a store that does not answer is no error: what is written stays on this machine until it
            does, and runs are read from the journals of this machine.

    Attributes:
        config: The same.
        uri: The address of the store.
        error: Why the store does not answer; None if it does.

    Raises:
        ConfigError: `mlflow run` has chosen another store.
        TrackingError: The address is not one of a store, or its server does not answer.
    """

    def __init__(self, config: TrackConfig, *, may_be_away: bool = False) -> None:
        self.config = config
        self.offline = may_be_away and (config.offline or is_offline())
        self._writer: StoreWriter | None = None
        mlflow_run_uri = os.environ.get("MLFLOW_TRACKING_URI") if "MLFLOW_RUN_ID" in os.environ else None
        if config.uri and mlflow_run_uri not in (None, config.uri):
            raise ConfigError(
                f"Invalid value for `track.uri`: mlflow run has chosen {redact(str(mlflow_run_uri))}. "
                "Set MLFLOW_TRACKING_URI for mlflow run instead."
            )
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
        return cls(TrackConfig(uri=uri), may_be_away=may_be_away)

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
            ConfigError: `mlflow run` has chosen another experiment.
            TrackingError: The store refuses the run.
        """
        run_id = os.environ.get("MLFLOW_RUN_ID")
        with self._converting_errors("Cannot open a run in"):
            run = self._adopt(run_id, name) if run_id else self._create(self.config.run_name or name)
        run.set_tags({tags.KIND: kind} | provenance.environment_tags() | self._user_tags())
        self.writer.wait_for_id(run.key)
        self._raise_refusal(run)
        return run

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

    def create_child_run(self, parent: RunWriter, name: str, kind: str = run_kinds.TRAINING) -> RunWriter:
        """Create a complete run with phases of its own that is listed below another run."""
        run = self._create_child(parent, {tags.KIND: kind}, name)
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
        """Mark a run as running again and return it for writing."""
        return self.writer.reopen_run(key_of(run), run.info.run_id, run.data.tags, run.data.metrics)

    def amend(self, run: MlflowRun) -> RunWriter:
        """Return a run for writing that another process wrote; its status stays."""
        return self.writer.amend_run(key_of(run))

    def mark_failed(self, run_id: str, reason: str) -> None:
        """Mark a run FAILED with a reason, unless it already has one."""
        run = self.get_run(run_id)
        if tags.ERROR not in run.data.tags:
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
            run = self.get_run(run_id)
            experiment = self._client.get_experiment(run.info.experiment_id).name
            if self.config.experiment not in (None, experiment):
                raise ConfigError(
                    f"Invalid value for `track.experiment`: mlflow run has chosen {experiment!r}. "
                    "Give mlflow run --experiment-name instead."
                )
        is_given = self.config.run_name is not None
        return self.writer.adopt_run(run_id, self.config.run_name or name, is_given=is_given)

    def _create(self, name: str) -> RunWriter:
        """Create a run, as a child of the user's active run if there is one."""
        run_tags: dict[str, Any] = provenance.source_tags()
        active = mlflow.active_run()
        if active is not None:
            run_tags[tags.PARENT_RUN] = active.info.run_id
        experiment = self._experiment()
        if active is not None and not self.config.experiment:
            experiment = {"id": active.info.experiment_id}
        if self._client is not None and "name" in experiment:  # an experiment that was deleted is an error now
            self._require_experiment(self._client, experiment["name"])
        return self.writer.create_run(experiment, name, run_tags)

    def _require_experiment(self, client: MlflowClient, name: str) -> None:
        """Create an experiment unless it exists.

        Raises:
            TrackingError: This login may not create it.
        """
        try:
            get_or_create_experiment(client, name)
        except MlflowException as error:
            if not store.is_refused(error):
                raise
            raise TrackingError(
                f"Cannot create the experiment {name!r} in {redact(self.uri)}: {store.describe_error(error)} Or name "
                "one that you may write to: --track.experiment NAME."
            ) from error

    def _experiment(self) -> dict[str, str]:
        """Return the experiment for new runs; it is created if it does not exist.

        MLflow's own experiment, Default, is not used: the MLflow UI shows it as one of prompts and traces.
        """
        name = self.config.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        experiment_id = os.environ.get("MLFLOW_EXPERIMENT_ID")  # which `mlflow.set_experiment` sets
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
