"""Open, create and find runs in a tracking store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from tinybench.config.sections import TrackConfig
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.redaction import redact
from tinybench.tracking import links, provenance, store, tags
from tinybench.tracking.journal.journal import is_key
from tinybench.tracking.journal.local_runs import LocalRun, LocalRuns
from tinybench.tracking.journal.replay import get_or_create_experiment
from tinybench.tracking.journal.store_writer import StoreWriter
from tinybench.tracking.run_writer import RunWriter
from tinybench.training.progress import EPOCH_METRICS, Epoch

_NOT_FOUND = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
OFFLINE_VARIABLE = "TINYBENCH_OFFLINE"


class Tracker:
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
        self._reads_journals = may_be_away
        self.offline = may_be_away and (config.offline or is_offline())
        self.error: TrackingError | None = None
        self._client: MlflowClient | None = None
        self._writer: StoreWriter | None = None
        mlflow_run_uri = os.environ.get("MLFLOW_TRACKING_URI") if "MLFLOW_RUN_ID" in os.environ else None
        if config.uri and mlflow_run_uri not in (None, config.uri):
            raise ConfigError(
                f"Invalid value for `track.uri`: mlflow run has chosen {redact(str(mlflow_run_uri))}. "
                "Set MLFLOW_TRACKING_URI for mlflow run instead."
            )
        if config.uri:
            mlflow.set_tracking_uri(config.uri)
        self.uri = store.default_uri()
        if self.offline:
            self.error = TrackingError(f"This run is offline, and {redact(self.uri)} is not asked.")
            return
        try:
            self._client = store.connect(self.uri)
        except store.UnreachableError as error:
            if not may_be_away:
                raise
            self.error = error

    @classmethod
    def at(cls, uri: str | None, *, may_be_away: bool = False) -> Tracker:
        """Connect to the store at an address; to MLflow's default store when None."""
        return cls(TrackConfig(uri=uri), may_be_away=may_be_away)

    @property
    def client(self) -> MlflowClient:
        """MLflow's client of the store.

        Raises:
            TrackingError: The store does not answer.
        """
        if self._client is None:
            assert self.error is not None
            raise self.error
        return self._client

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

    def open_parent_run(self, name: str) -> RunWriter:
        """Return the parent run that `mlflow run` created, or create one if there is none.

        Raises:
            ConfigError: `mlflow run` has chosen another experiment.
            TrackingError: The store refuses the run.
        """
        run_id = os.environ.get("MLFLOW_RUN_ID")
        with self._converting_errors("Cannot open a run in"):
            run = self._adopt(run_id, name) if run_id else self._create(self.config.run_name or name)
        run.set_tags(provenance.environment_tags() | self._user_tags())
        self.writer.wait_for_id(run.key)
        self._raise_refusal(run)
        return run

    def _raise_refusal(self, run: RunWriter) -> None:
        """Raise if the store refuses a new run or one of its tags, before anything is trained."""
        reasons = [*self.writer.journal.sent.refused.values()]
        if reasons:
            run.end("FAILED", reasons[0])
            self.writer.discard()
            raise TrackingError(f"Cannot open a run in {redact(self.uri)}: {reasons[0]}")

    def create_phase_run(self, parent: RunWriter, phase: str, name: str) -> RunWriter:
        """Create the child run of a phase."""
        return self._create_child(parent, {tags.PHASE: phase}, name)

    def create_child_run(self, parent: RunWriter, name: str) -> RunWriter:
        """Create a complete run with phases of its own that is listed below another run."""
        run = self._create_child(parent, {}, name)
        self.writer.wait_for_id(run.key)
        return run

    def create_fold_run(self, parent: RunWriter, number: int, name: str) -> RunWriter:
        """Create the child run of a fold, counted from 1."""
        return self._create_child(parent, {tags.FOLD: str(number)}, name)

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

    def get_run(self, run_id: str) -> MlflowRun:
        """Return a run by its id or its key; if the store may be away, with what this machine has not sent yet.

        Raises:
            TrackingError: There is no such run, or it is not wholly sent to a store that must not be away.
        """
        if not self._reads_journals:
            self._require_sent(run_id)
        local = self._local_run(run_id)
        if local is not None and self._is_written_here(local):
            return local.apply_to(None)
        if local is not None and local.is_complete and (self._client is None or is_key(local.id)):
            return local.apply_to(None)
        if self._client is None:
            assert self.error is not None
            raise self.error
        try:
            stored = self._client.get_run(self._id_in_store(local.id if local else run_id))
        except MlflowException as error:
            if error.error_code not in _NOT_FOUND:
                raise TrackingError(self._describe_error("Cannot reach", error)) from error
            raise self._not_found(run_id) from error
        return stored if local is None else local.apply_to(stored)

    def _is_written_here(self, local: LocalRun) -> bool:
        """Return whether this process has written the whole of a run, so that the store cannot know more of it."""
        return local.is_complete and self._writer is not None and self._writer.journal.id in local.journal_ids

    def _local_run(self, run_id: str) -> LocalRun | None:
        return self._local_runs().get(run_id) if self._reads_journals else None

    def _local_runs(self) -> LocalRuns:
        return LocalRuns(store.identity(self.uri))

    def _id_in_store(self, run_id: str) -> str:
        """Return the id of a run; one that is given by its key is searched for."""
        if not is_key(run_id):
            return run_id
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        runs = self.client.search_runs(experiments, f"tags.`{tags.KEY}` = '{run_id}'", max_results=1)
        return str(runs[0].info.run_id) if runs else run_id

    def _not_found(self, run_id: str) -> TrackingError:
        return TrackingError(f"No run {run_id!r} in {redact(self.uri)}: check the id, or name its store with --uri.")

    def _require_sent(self, run_id: str) -> None:
        """Raise if this machine has not sent all of a run, so that what the store says of it is not the whole.

        Raises:
            TrackingError: Entries of the run, or of its phases, are unsent.
        """
        own = None if self._writer is None else self._writer.journal.id
        runs = LocalRuns(store.identity(self.uri), without=own)
        local = runs.get(run_id)
        unsent = sum(run.unsent for run in [*([local] if local else []), *runs.children(run_id)])
        if unsent:
            raise TrackingError(
                f"Run {run_id} is not wholly sent to {redact(self.uri)}: {unsent} entries are on this machine. "
                "Send them with tinybench sync, then try again."
            )

    def find_top_run(self, run_id: str) -> MlflowRun:
        """Return the run that a phase or a fold belongs to, or the run itself when it is neither."""
        run = self.get_run(run_id)
        while run.data.tags.keys() & {tags.PHASE, tags.FOLD}:
            run = self.get_run(run.data.tags[tags.PARENT_RUN])
        return run

    def find_phase_run(self, parent_id: str, phase: str) -> MlflowRun | None:
        """Return the child run of a phase; None if there is none."""
        return self._find_child(parent_id, tags.PHASE, phase)

    def find_fold_run(self, parent_id: str, number: int) -> MlflowRun | None:
        """Return the child run of a fold, counted from 1; None if there is none."""
        return self._find_child(parent_id, tags.FOLD, str(number))

    def _find_child(self, parent_id: str, tag: str, value: str) -> MlflowRun | None:
        if self._reads_journals:
            local_runs = self._local_runs()
            for local in local_runs.children(parent_id):
                run = self.get_run(local.key)
                if run.data.tags.get(tag) == value:
                    return run
            local_parent = local_runs.get(parent_id)
            if local_parent is not None and self._is_written_here(local_parent):
                return None
        parent = self.get_run(parent_id)
        if self._client is None or is_key(parent.info.run_id):
            return None
        runs = self._client.search_runs(
            [parent.info.experiment_id],
            f"tags.`{tags.PARENT_RUN}` = '{parent.info.run_id}' and tags.`{tag}` = '{value}'",
            max_results=1,
        )
        return self.get_run(runs[0].info.run_id) if runs else None

    def find_ids(self, parent: RunWriter) -> dict[str, str]:
        """Return the ids that the store gave to the runs below a run, by their keys; empty if it does not answer."""
        if self._client is None or is_key(parent.id):
            return {}
        client, query = self._client, f"tags.`{tags.PARENT_RUN}` = '{parent.id}'"
        try:
            experiments = [client.get_run(parent.id).info.experiment_id]
            runs = list(store.pages(lambda token: client.search_runs(experiments, query, page_token=token)))
        except store.STORE_ERRORS:
            return {}
        return {key_of(run): run.info.run_id for run in runs}

    def find_running_children(self, parent_id: str) -> list[MlflowRun]:
        """Return the child runs of a run that have not ended, as far as the store knows them."""
        parent = self.client.get_run(self._id_in_store(parent_id)).info
        runs = self.client.search_runs(
            [parent.experiment_id],
            f"tags.`{tags.PARENT_RUN}` = '{parent.run_id}' and attributes.status = 'RUNNING'",
        )
        return list(runs)

    def read_epochs(self, run_id: str) -> list[Epoch]:
        """Return every epoch that a run logged, in order."""
        by_step: dict[int, Epoch] = {}
        for name in EPOCH_METRICS:
            for point in self.read_metric(run_id, name):
                epoch = by_step.setdefault(point.step, Epoch(point.step, {}, point.timestamp))
                epoch.metrics[name] = point.value
        return [by_step[step] for step in sorted(by_step)]

    def read_metric(self, run_id: str, name: str) -> list[Any]:
        """Return the points of a metric, those that are not sent included."""
        local = self._local_run(run_id)
        points = local.metric_points(name) if local else []
        if (local is not None and local.is_complete) or self._client is None:
            return points
        stored = self._client.get_metric_history(local.id if local else self._id_in_store(run_id), name)
        known = {(point.step, point.timestamp, point.value) for point in stored}
        return [*stored, *(point for point in points if (point.step, point.timestamp, point.value) not in known)]

    def metric_names(self, run_id: str) -> list[str]:
        """Return the names of the metrics of a run."""
        local = self._local_run(run_id)
        run = local.apply_to(None) if local is not None and local.is_complete else self.get_run(run_id)
        return list(run.data.metrics)

    def list_artifacts(self, run_id: str, folder: str) -> list[str]:
        """Return the paths of the artifacts in a folder of a run, those that are not sent included."""
        local = self._local_run(run_id)
        paths = [path for path in local.artifacts() if path.startswith(f"{folder}/")] if local else []
        if (local is not None and local.is_complete) or self._client is None:
            return sorted(paths)
        stored = self._client.list_artifacts(local.id if local else self._id_in_store(run_id), folder)
        return sorted({*paths, *(item.path for item in stored)})

    def download_artifact(self, run_id: str, path: str, folder: Path) -> Path:
        """Copy an artifact of a run into a folder and return the file.

        Raises:
            OSError: The run has no such artifact.
        """
        local = self._local_run(run_id)
        if local is not None and local.copy_artifact(path, folder / path):
            return folder / path
        if self._client is None:
            raise FileNotFoundError(path)
        try:
            run_id = local.id if local else self._id_in_store(run_id)
            return Path(self._client.download_artifacts(run_id, path, str(folder)))
        except MlflowException as error:
            raise FileNotFoundError(path) from error

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

    def experiment_name(self, run: MlflowRun) -> str | None:
        """Return the name of a run's experiment; None if only its id is known, or if it is MLflow's default."""
        local = self._local_run(run.info.run_id)
        if self._client is None or is_key(run.info.run_id):
            return local.experiment.get("name") if local else None
        return str(self._client.get_experiment(run.info.experiment_id).name)

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
        return self.writer.adopt_run(
            run_id, self.config.run_name or name, is_given=is_given, experiment={"run": run_id}
        )

    def _create(self, name: str) -> RunWriter:
        """Create a run, as a child of the user's active run if there is one."""
        run_tags: dict[str, Any] = provenance.source_tags()
        active = mlflow.active_run()
        if active is not None:
            run_tags[tags.PARENT_RUN] = active.info.run_id
        experiment = self._experiment()
        if self._client is not None and "name" in experiment:  # an experiment that was deleted is an error now
            get_or_create_experiment(self._client, experiment["name"])
        return self.writer.create_run(experiment, name, run_tags)

    def _experiment(self) -> dict[str, str]:
        """Return the experiment for new runs; it is created if it does not exist."""
        name = self.config.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        return {"name": name} if name else {"id": os.environ.get("MLFLOW_EXPERIMENT_ID", "0")}

    @contextmanager
    def _converting_errors(self, failed_action: str) -> Iterator[None]:
        """Raise an error of the store as a TrackingError whose message is one line."""
        try:
            yield
        except store.STORE_ERRORS as error:
            raise TrackingError(self._describe_error(failed_action, error)) from error

    def _describe_error(self, failed_action: str, error: Exception) -> str:
        reason = store.describe_error(error)
        return f"{failed_action} {redact(self.uri)}: {reason} Check the address and that its server runs."

    def _user_tags(self) -> dict[str, str]:
        pairs = (tag.partition("=") for tag in self.config.tags)
        return {name: value for name, _, value in pairs}


def key_of(run: MlflowRun) -> str:
    """Return the key of a run; its id if no journal created it."""
    key = run.data.tags.get(tags.KEY, "")
    return key if is_key(key) else str(run.info.run_id)


def is_offline() -> bool:
    """Return whether TINYBENCH_OFFLINE says that no store shall be contacted."""
    return os.environ.get(OFFLINE_VARIABLE, "").lower() in ("1", "true", "yes", "on")
