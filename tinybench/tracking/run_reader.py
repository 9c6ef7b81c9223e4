"""Read runs from a tracking store, and from the journals of this machine what the store does not have yet."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlflow.entities import LifecycleStage
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from tinybench.core.errors import TrackingError
from tinybench.core.redaction import redact
from tinybench.tracking import artifact_location, store, tags
from tinybench.tracking.experiments import list_experiment_ids, refuse_deleted
from tinybench.tracking.journal.journal import is_key
from tinybench.tracking.journal.local_runs import LocalRun, LocalRuns
from tinybench.tracking.journal.sender import SEND_ERRORS, send_left_behind
from tinybench.tracking.run_writer import RunWriter
from tinybench.training.progress import EPOCH_METRICS, RESTATED_AFTER_MS, Epoch

_NOT_FOUND = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


class RunReader:
    """Reads the runs of a store.

    Args:
        uri: Address of the store.
        client: A client of it; None if it does not answer.
        error: Why it does not answer; None if it does.
        reads_journals: Whether runs are also read from the journals of this machine; otherwise a run that is not wholly
            sent is an error.

    Attributes:
        uri: The same.
        error: The same.
    """

    def __init__(
        self, uri: str, client: MlflowClient | None, error: TrackingError | None, *, reads_journals: bool
    ) -> None:
        self.uri = uri
        self.error = error
        self._client = client
        self._reads_journals = reads_journals

    @property
    def _own_journal(self) -> str | None:
        """The id of the journal that this process writes; None if it writes none."""
        return None

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

    def get_run(self, run_id: str) -> MlflowRun:
        """Return a run by its id or its key; if the store may be away, with what this machine has not sent yet.

        Raises:
            TrackingError: There is no such run, or it is not wholly sent to a store that must not be away.
        """
        if not self._reads_journals:
            self._require_sent(run_id)
        local = self._local_run(run_id)
        if local is not None and self._is_known_here(local):
            return local.apply_to(None)
        if self._client is None:
            assert self.error is not None
            raise self.error
        try:
            stored = self._client.get_run(self._id_in_store(local.id if local else run_id))
        except MlflowException as error:
            if not is_not_found(error):
                raise TrackingError(self._describe_error("Cannot reach", error)) from error
            raise self._not_found(run_id) from error
        return stored if local is None else local.apply_to(stored)

    def _is_written_here(self, local: LocalRun) -> bool:
        """Return whether this process has written the whole of a run, so that the store cannot know more of it."""
        return local.is_complete and local.journal_ids == {self._own_journal}

    def _is_known_here(self, local: LocalRun) -> bool:
        """Return whether the journals alone say what a run is: the store does not answer, or can add nothing."""
        is_all_there_is = self._client is None or is_key(local.id)
        return (local.is_complete and is_all_there_is) or self._is_written_here(local)

    def _local_run(self, run_id: str) -> LocalRun | None:
        return self._local_runs().get(run_id) if self._reads_journals else None

    def _local_runs(self) -> LocalRuns:
        return LocalRuns(store.identity(self.uri))

    def _id_in_store(self, run_id: str) -> str:
        """Return the id of a run; one that is given by its key is searched for."""
        if not is_key(run_id):
            return run_id
        experiments = list_experiment_ids(self.client)
        runs = self.client.search_runs(experiments, f"tags.`{tags.KEY}` = '{run_id}'", max_results=1)
        return str(runs[0].info.run_id) if runs else run_id

    def _not_found(self, run_id: str) -> TrackingError:
        return TrackingError(
            f"No run {run_id!r} in {redact(self.uri)}: tinybench runs lists them; --uri names another store."
        )

    def require_active(self, run: MlflowRun) -> None:
        """Raise if a run is deleted, with the command that restores it, or its experiment.

        Raises:
            TrackingError: It is deleted.
        """
        if run.info.lifecycle_stage == LifecycleStage.DELETED and self._client is not None:
            refuse_deleted(self._client, self.uri, run)

    def _require_sent(self, run_id: str) -> None:
        """Raise if this machine has not sent all of a run, so that what the store says of it is not the whole.

        Raises:
            TrackingError: Entries of the run, or of its phases, are unsent.
        """
        unsent = self._count_unsent(run_id)
        if unsent:
            self.send_left_behind()
            unsent = self._count_unsent(run_id)
        if unsent:
            raise TrackingError(
                f"Run {run_id} is not wholly sent to {redact(self.uri)}: {unsent} entries are on this machine. "
                "Send them with tinybench sync, then try again; if it is still running, wait for its end."
            )

    def search_runs(self, query: str = "", *, page_size: int = 200) -> Iterator[MlflowRun]:
        """Yield the runs of all experiments that match a query, the newest first.

        If the store may be away, runs that only this machine knows come before them, whether they match or not: the
        journals cannot be queried.

        Args:
            query: A condition in MLflow's filter language; empty for all runs.
            page_size: Number of runs that are asked for at once.

        Raises:
            TrackingError: The store does not answer, and this machine knows no run.
        """
        local = self._list_local_only_runs()
        yield from local
        if self._client is None:
            if not local:
                assert self.error is not None
                raise self.error
            return
        client, experiments = self._client, list_experiment_ids(self._client)
        newest_first = ["attributes.start_time DESC"]
        yield from store.pages(
            lambda token: client.search_runs(experiments, query, 1, page_size, newest_first, page_token=token)
        )

    def _list_local_only_runs(self) -> list[MlflowRun]:
        """Return the runs that the store does not have yet, the newest first."""
        if not self._reads_journals:
            return []
        runs = [local.apply_to(None) for local in self._local_runs() if local.is_complete and is_key(local.id)]
        return sorted(runs, key=lambda run: -run.info.start_time)

    def send_left_behind(self) -> None:
        """Send what processes that have ended left on this machine for the store, as far as it takes it."""
        if self._client is not None:
            with suppress(*SEND_ERRORS):  # what cannot be sent is listed by `tinybench status`
                send_left_behind(self.uri, self._client)

    def _count_unsent(self, run_id: str) -> int:
        """Return the number of entries of a run and of the runs below it that other journals of this machine hold."""
        runs = LocalRuns(store.identity(self.uri), without=self._own_journal)
        local = runs.get(run_id)
        return sum(run.unsent for run in [*([local] if local else []), *runs.children(run_id)])

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
        for name in EPOCH_METRICS:  # the first of them are those of training
            for point in self.read_metric(run_id, name):
                epoch = by_step.get(point.step)
                if epoch is None or (name == EPOCH_METRICS[0] and point.timestamp > epoch.timestamp):
                    epoch = by_step[point.step] = Epoch(point.step, {}, point.timestamp)
                if point.timestamp - epoch.timestamp != RESTATED_AFTER_MS:
                    epoch.metrics[name] = point.value
        return [by_step[step] for step in sorted(by_step)]

    def read_metric(self, run_id: str, name: str) -> list[Any]:
        """Return the points of a metric, those that are not sent included."""
        local = self._local_run(run_id)
        points = local.metric_points(name) if local else []
        if self._client is None or (local is not None and self._is_known_here(local)):
            return points
        stored = self._client.get_metric_history(local.id if local else self._id_in_store(run_id), name)
        known = set(map(_identify, stored))
        return [*stored, *(point for point in points if _identify(point) not in known)]

    def metric_names(self, run_id: str) -> list[str]:
        """Return the names of the metrics of a run."""
        return list(self.get_run(run_id).data.metrics)

    def list_artifacts(self, run_id: str, folder: str) -> list[str]:
        """Return the paths of the artifacts in a folder of a run, those that are not sent included.

        Raises:
            TrackingError: The artifacts are not where the store says.
        """
        local = self._local_run(run_id)
        paths = [path for path in local.artifacts() if path.startswith(f"{folder}/")] if local else []
        if self._client is None or (local is not None and self._is_known_here(local)):
            return sorted(paths)
        run_id = local.id if local else self._id_in_store(run_id)
        stored = self._client.list_artifacts(run_id, folder)
        if not stored:
            self._require_artifacts(self._client, run_id)
        return sorted({*paths, *(item.path for item in stored)})

    def download_artifact(self, run_id: str, path: str, folder: Path) -> Path:
        """Copy an artifact of a run into a folder and return the file.

        Raises:
            OSError: The run has no such artifact.
            TrackingError: Its artifacts are not where the store says.
        """
        local = self._local_run(run_id)
        if local is not None and local.copy_artifact(path, folder / path):
            return folder / path
        if self._client is None:
            raise FileNotFoundError(path)
        run_id = local.id if local else self._id_in_store(run_id)
        try:
            return Path(self._client.download_artifacts(run_id, path, str(folder)))
        except (MlflowException, FileNotFoundError) as error:
            self._require_artifacts(self._client, run_id)
            raise FileNotFoundError(path) from error

    def _require_artifacts(self, client: MlflowClient, run_id: str) -> None:
        """Raise if the artifacts of all runs of an experiment are not where the store says.

        Raises:
            TrackingError: They are not.
        """
        try:
            run = client.get_run(run_id)
        except MlflowException:  # it has not been sent yet
            return
        if tags.CONFIG_HASH in run.data.tags and artifact_location.is_moved(run.info.artifact_uri):
            what = f"The artifacts of run {run_id}"
            raise TrackingError(artifact_location.explain_absence(what, run.info.artifact_uri, self.uri))

    def experiment_name(self, run: MlflowRun) -> str | None:
        """Return the name of a run's experiment; None if only its id is known, or if it is MLflow's default."""
        local = self._local_run(run.info.run_id)
        if self._client is None or is_key(run.info.run_id):
            return local.experiment.get("name") if local else None
        return str(self._client.get_experiment(run.info.experiment_id).name)

    def _describe_error(self, failed_action: str, error: Exception) -> str:
        reason = store.describe_error(error)
        return f"{failed_action} {redact(self.uri)}: {reason} {store.way_out(self.uri, error)}"


def _identify(point: Any) -> tuple[int, int, str]:
    """Return what tells a point from others of its metric; a store has the largest number for infinity."""
    is_infinite = math.isinf(point.value)
    value = math.copysign(sys.float_info.max, point.value) if is_infinite else point.value
    return point.step, point.timestamp, repr(value)


def is_not_found(error: MlflowException) -> bool:
    """Return whether a store says that it has no run or experiment with an id."""
    return error.error_code in _NOT_FOUND


def key_of(run: MlflowRun) -> str:
    """Return the key of a run; its id if no journal created it."""
    key = run.data.tags.get(tags.KEY, "")
    return key if is_key(key) else str(run.info.run_id)
