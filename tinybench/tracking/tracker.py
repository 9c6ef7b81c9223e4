"""Open, create and find runs in a tracking store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import mlflow
import requests
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.name_utils import _GENERATOR_NOUNS, _GENERATOR_PREDICATES
from sqlalchemy.exc import SQLAlchemyError

from tinybench.config.sections import TrackConfig
from tinybench.core.errors import ConfigError, TrackingError, format_error
from tinybench.core.redaction import redact
from tinybench.tracking import provenance, tags
from tinybench.tracking.run import Run, retry_on_conflict
from tinybench.training.progress import EPOCH_METRICS, Epoch

_NOT_FOUND = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_PING_TIMEOUT_SECONDS = 15


class Tracker:
    """A store of runs, by default MLflow's own `sqlite:///mlflow.db` in the working directory.

    Args:
        config: The address of the store, and the experiment, name and tags of new runs.

    Attributes:
        config: The same.
        uri: The address of the store.
        client: MLflow's client of the store.

    Raises:
        ConfigError: `mlflow run` has chosen another store.
        TrackingError: The address is not one of a store, or its server does not answer.
    """

    def __init__(self, config: TrackConfig) -> None:
        self.config = config
        mlflow_run_uri = os.environ.get("MLFLOW_TRACKING_URI") if "MLFLOW_RUN_ID" in os.environ else None
        if config.uri and mlflow_run_uri not in (None, config.uri):
            raise ConfigError(
                f"Invalid value for `track.uri`: mlflow run has chosen {redact(str(mlflow_run_uri))}. "
                "Set MLFLOW_TRACKING_URI for mlflow run instead."
            )
        if config.uri:
            mlflow.set_tracking_uri(config.uri)
        self.uri = mlflow.get_tracking_uri()
        with self._converting_errors("Cannot use"):
            self._ping()
            self.client = MlflowClient()

    @classmethod
    def at(cls, uri: str | None) -> Tracker:
        """Connect to the store at an address; to MLflow's default store when None."""
        return cls(TrackConfig(uri=uri))

    def open_parent_run(self, name: str) -> Run:
        """Return the parent run that `mlflow run` created, or create one if there is none.

        Raises:
            ConfigError: `mlflow run` has chosen another experiment.
            TrackingError: The store cannot be reached, or refuses the run.
        """
        run_id = os.environ.get("MLFLOW_RUN_ID")
        with self._converting_errors("Cannot open a run in"):
            run = self._adopt(run_id, name) if run_id else self._create(self.config.run_name or name)
            try:
                run.set_tags(provenance.environment_tags() | self._user_tags())
            except MlflowException as error:
                run.end("FAILED", format_error(error))
                raise
        return run

    def create_phase_run(self, parent: Run, phase: str, name: str) -> Run:
        """Create the child run of a phase."""
        return self._create_child(parent, {tags.PHASE: phase}, name)

    def create_child_run(self, parent: Run, name: str) -> Run:
        """Create a complete run with phases of its own that is listed below another run.

        Raises:
            TrackingError: The store cannot be reached, or refuses the run.
        """
        with self._converting_errors("Cannot open a run in"):
            return self._create_child(parent, {}, name)

    def create_fold_run(self, parent: Run, number: int, name: str) -> Run:
        """Create the child run of a fold, counted from 1."""
        return self._create_child(parent, {tags.FOLD: str(number)}, name)

    def _create_child(self, parent: Run, child_tags: dict[str, str], name: str) -> Run:
        experiment = self.client.get_run(parent.id).info.experiment_id
        all_tags = child_tags | {tags.PARENT_RUN: parent.id} | provenance.source_tags() | provenance.environment_tags()
        run = self.client.create_run(experiment, tags=all_tags | self._user_tags(), run_name=name)
        return Run(self.client, run.info.run_id)

    def reopen(self, run: MlflowRun) -> Run:
        """Mark a run as running again and return it for writing."""
        reopened = Run(self.client, run.info.run_id)
        reopened.restart()
        return reopened

    def get_run(self, run_id: str) -> MlflowRun:
        """Return a run by its id.

        Raises:
            TrackingError: The store has no such run, or cannot be reached.
        """
        try:
            return self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in _NOT_FOUND:
                raise TrackingError(self._describe_error("Cannot reach", error)) from error
            raise TrackingError(
                f"No run {run_id!r} in {redact(self.uri)}: check the id, or name its store with --uri."
            ) from error

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
        runs = self.client.search_runs(
            [self.get_run(parent_id).info.experiment_id],
            f"tags.`{tags.PARENT_RUN}` = '{parent_id}' and tags.`{tag}` = '{value}'",
            max_results=1,
        )
        return runs[0] if runs else None

    def find_running_children(self, parent_id: str) -> list[MlflowRun]:
        """Return the child runs of a run that have not ended."""
        runs = self.client.search_runs(
            [self.get_run(parent_id).info.experiment_id],
            f"tags.`{tags.PARENT_RUN}` = '{parent_id}' and attributes.status = 'RUNNING'",
        )
        return list(runs)

    def read_epochs(self, run_id: str) -> list[Epoch]:
        """Return every epoch that a run logged, in order."""
        by_step: dict[int, Epoch] = {}
        for name in EPOCH_METRICS:
            for point in self.client.get_metric_history(run_id, name):
                epoch = by_step.setdefault(point.step, Epoch(point.step, {}, point.timestamp))
                epoch.metrics[name] = point.value
        return [by_step[step] for step in sorted(by_step)]

    def download_artifact(self, run: MlflowRun, path: str, folder: Path) -> Path:
        """Copy an artifact of a run into a folder and return the file.

        Raises:
            OSError: The run has no such artifact.
        """
        try:
            return Path(self.client.download_artifacts(run.info.run_id, path, str(folder)))
        except MlflowException as error:
            raise FileNotFoundError(path) from error

    def mark_failed(self, run_id: str, reason: str) -> None:
        """Mark a run FAILED with a reason, unless it already has one."""
        if tags.ERROR not in self.get_run(run_id).data.tags:
            Run(self.client, run_id).end("FAILED", reason)

    def link(self, run: Run) -> str:
        """Return the address of a run's page; if the store is no server, as `mlflow ui` on this machine shows it."""
        experiment = self.client.get_run(run.id).info.experiment_id
        uri = redact(self.uri)
        server = uri.rstrip("/") if uri.startswith("http") else "http://127.0.0.1:5000"
        return f"{server}/#/experiments/{experiment}/runs/{run.id}"

    def _adopt(self, run_id: str, name: str) -> Run:
        """Return the run that `mlflow run` created, with our name unless the user gave it one."""
        run = self.get_run(run_id)
        self._set_experiment_kind(run.info.experiment_id)
        experiment = self.client.get_experiment(run.info.experiment_id).name
        if self.config.experiment not in (None, experiment):
            raise ConfigError(
                f"Invalid value for `track.experiment`: mlflow run has chosen {experiment!r}. "
                "Give mlflow run --experiment-name instead."
            )
        if self.config.run_name or _is_generated_name(run.info.run_name):
            self.client.update_run(run_id, name=self.config.run_name or name)
        return Run(self.client, run_id)

    def _create(self, name: str) -> Run:
        """Create a run, as a child of the user's active run if there is one."""
        run_tags: dict[str, Any] = provenance.source_tags()
        active = mlflow.active_run()
        if active is not None:
            run_tags[tags.PARENT_RUN] = active.info.run_id
        experiment = self._get_experiment_id()
        self._set_experiment_kind(experiment)
        return Run(self.client, self.client.create_run(experiment, tags=run_tags, run_name=name).info.run_id)

    def _get_experiment_id(self) -> str:
        """Return the id of the experiment for new runs; it is created if it does not exist."""
        name = self.config.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        if not name:
            return os.environ.get("MLFLOW_EXPERIMENT_ID", "0")
        retry_on_conflict(lambda: self.client.get_experiment_by_name(name) or self.client.create_experiment(name))
        return str(self.client.get_experiment_by_name(name).experiment_id)

    def _set_experiment_kind(self, experiment_id: str) -> None:
        """Let the MLflow UI list training runs first; an experiment without a kind is shown as one of prompts."""
        if tags.EXPERIMENT_KIND not in self.client.get_experiment(experiment_id).tags:
            kind_tag = (experiment_id, tags.EXPERIMENT_KIND, "custom_model_development")
            retry_on_conflict(lambda: self.client.set_experiment_tag(*kind_tag))

    @contextmanager
    def _converting_errors(self, failed_action: str) -> Iterator[None]:
        """Raise an error of the store as a TrackingError whose message is one line."""
        try:
            yield
        except (MlflowException, SQLAlchemyError, requests.RequestException) as error:
            raise TrackingError(self._describe_error(failed_action, error)) from error

    def _ping(self) -> None:
        """Raise a RequestException soon if a server does not answer: MLflow's own calls would retry for minutes."""
        if self.uri.startswith("http"):
            with suppress(requests.exceptions.SSLError):  # the server answers; MLflow decides about its certificate
                requests.get(self.uri, timeout=_PING_TIMEOUT_SECONDS, stream=True).close()

    def _describe_error(self, failed_action: str, error: Exception) -> str:
        lines = str(error).splitlines()
        database_errors = [line for line in lines if "OperationalError" in line]  # SQLAlchemy adds general advice
        reason = redact((database_errors or lines)[0])
        return f"{failed_action} {redact(self.uri)}: {reason} Check the address and that its server runs."

    def _user_tags(self) -> dict[str, str]:
        pairs = (tag.partition("=") for tag in self.config.tags)
        return {name: value for name, _, value in pairs}


def _is_generated_name(name: str) -> bool:
    """Return whether MLflow generated a run's name, such as wise-squid-86, because the user gave none."""
    predicate, _, rest = name.partition("-")
    noun, _, number = rest.partition("-")
    return predicate in _GENERATOR_PREDICATES and noun in _GENERATOR_NOUNS and number.isdigit()
