"""The tracking store: opens the parent run and its children, and finds them again."""

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
from tinybench.core.errors import ConfigError, TrackingError, in_one_line
from tinybench.core.redaction import without_secrets
from tinybench.tracking import provenance
from tinybench.tracking.run import ERROR_TAG, Run, first_or_second
from tinybench.training.progress import EPOCH_METRICS, Epoch

PHASE_TAG = "tinybench.phase"
FOLD_TAG = "tinybench.fold"
SOURCE_TAG = "tinybench.source_run"
WARNING_TAG = "data.warnings"
_NOT_THERE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_SECONDS_TO_ANSWER = 15
_KIND_TAG = "mlflow.experimentKind"
_PARENT_TAG = "mlflow.parentRunId"


class Tracker:
    """A store of runs, by default MLflow's own `sqlite:///mlflow.db` in the working directory."""

    def __init__(self, config: TrackConfig) -> None:
        """Connect.

        Raises:
            ConfigError: `mlflow run` has chosen another store.
            TrackingError: there can be no such store, or its server does not answer.
        """
        self.config = config
        chosen = os.environ.get("MLFLOW_TRACKING_URI") if "MLFLOW_RUN_ID" in os.environ else None
        if config.uri and chosen not in (None, config.uri):
            raise ConfigError(
                f"Invalid value for `track.uri`: mlflow run has chosen {without_secrets(str(chosen))}. "
                "Set MLFLOW_TRACKING_URI for mlflow run instead."
            )
        if config.uri:
            mlflow.set_tracking_uri(config.uri)
        self.uri = mlflow.get_tracking_uri()
        with self._reaching("Cannot use"):
            self._knock()
            self.client = MlflowClient()

    @classmethod
    def at(cls, uri: str | None) -> Tracker:
        """The store at an address; MLflow's default when None."""
        return cls(TrackConfig(uri=uri))

    def parent(self, name: str) -> Run:
        """A parent run: the one that `mlflow run` made when there is one, else a new one.

        Raises:
            ConfigError: `mlflow run` has chosen another experiment.
            TrackingError: the store cannot be reached, or refuses the run.
        """
        made = os.environ.get("MLFLOW_RUN_ID")
        with self._reaching("Cannot open a run in"):
            run = self._adopt(made, name) if made else self._create(self.config.run_name or name)
            try:
                run.tags(provenance.tags() | self._own_tags())
            except MlflowException as error:
                run.end("FAILED", in_one_line(error))
                raise
        return run

    def child(self, parent: Run, phase: str, name: str) -> Run:
        """A new child run for a phase."""
        return self._child(parent, {PHASE_TAG: phase}, name)

    def below(self, parent: Run, name: str) -> Run:
        """A new run that is a whole one, but belongs to another."""
        with self._reaching("Cannot open a run in"):
            return self._child(parent, {}, name)

    def fold(self, parent: Run, number: int, name: str) -> Run:
        """A new child run for a fold."""
        return self._child(parent, {FOLD_TAG: str(number)}, name)

    def _child(self, parent: Run, own: dict[str, str], name: str) -> Run:
        experiment = self.client.get_run(parent.id).info.experiment_id
        tags = own | {_PARENT_TAG: parent.id} | provenance.source() | provenance.tags() | self._own_tags()
        return Run(self.client, self.client.create_run(experiment, tags=tags, run_name=name).info.run_id)

    def open(self, found: MlflowRun) -> Run:
        """A run that was found, marked as running again."""
        run = Run(self.client, found.info.run_id)
        run.restart()
        return run

    def get(self, run_id: str) -> MlflowRun:
        """A run by its id.

        Raises:
            TrackingError: there is none of that id in this store.
        """
        try:
            return self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code not in _NOT_THERE:
                raise TrackingError(self._unreachable("Cannot reach", error)) from error
            raise TrackingError(
                f"No run {run_id!r} in {without_secrets(self.uri)}: check the id, or name its store with --uri."
            ) from error

    def top(self, run_id: str) -> MlflowRun:
        """The run that a phase or a fold belongs to, or the run itself when it is no child of ours."""
        run = self.get(run_id)
        while run.data.tags.keys() & {PHASE_TAG, FOLD_TAG}:
            run = self.get(run.data.tags[_PARENT_TAG])
        return run

    def phase_run(self, parent_id: str, phase: str) -> MlflowRun | None:
        """The child run of a phase, if there is one."""
        return self._find(parent_id, PHASE_TAG, phase)

    def fold_run(self, parent_id: str, number: int) -> MlflowRun | None:
        """The child run of a fold, if there is one."""
        return self._find(parent_id, FOLD_TAG, str(number))

    def _find(self, parent_id: str, tag: str, value: str) -> MlflowRun | None:
        found = self.client.search_runs(
            [self.get(parent_id).info.experiment_id],
            f"tags.`{_PARENT_TAG}` = '{parent_id}' and tags.`{tag}` = '{value}'",
            max_results=1,
        )
        return found[0] if found else None

    def running_below(self, parent_id: str) -> list[MlflowRun]:
        """The child runs of a run that have not ended."""
        found = self.client.search_runs(
            [self.get(parent_id).info.experiment_id],
            f"tags.`{_PARENT_TAG}` = '{parent_id}' and attributes.status = 'RUNNING'",
        )
        return list(found)

    def epochs(self, run_id: str) -> list[Epoch]:
        """Every epoch that a run logged, in order."""
        by_step: dict[int, Epoch] = {}
        for name in EPOCH_METRICS:
            for point in self.client.get_metric_history(run_id, name):
                epoch = by_step.setdefault(point.step, Epoch(point.step, {}, point.timestamp))
                epoch.metrics[name] = point.value
        return [by_step[step] for step in sorted(by_step)]

    def download(self, found: MlflowRun, path: str, folder: Path) -> Path:
        """An artifact of a run as a file in a folder.

        Raises:
            OSError: the run has no such artifact.
        """
        try:
            return Path(self.client.download_artifacts(found.info.run_id, path, str(folder)))
        except MlflowException as error:
            raise FileNotFoundError(path) from error

    def fail(self, run_id: str, reason: str) -> None:
        """Mark a run FAILED with a reason, unless it has ended with one already."""
        found = self.get(run_id)
        if ERROR_TAG not in found.data.tags:
            Run(self.client, run_id).end("FAILED", reason)

    def link(self, run: Run) -> str:
        """A run's page: where the store is no server, as `mlflow ui` on this machine would show it."""
        experiment = self.client.get_run(run.id).info.experiment_id
        uri = without_secrets(self.uri)
        server = uri.rstrip("/") if uri.startswith("http") else "http://127.0.0.1:5000"
        return f"{server}/#/experiments/{experiment}/runs/{run.id}"

    def _adopt(self, run_id: str, name: str) -> Run:
        run = self.get(run_id)
        self._say_its_kind(run.info.experiment_id)
        experiment = self.client.get_experiment(run.info.experiment_id).name
        if self.config.experiment not in (None, experiment):
            raise ConfigError(
                f"Invalid value for `track.experiment`: mlflow run has chosen {experiment!r}. "
                "Give mlflow run --experiment-name instead."
            )
        if self.config.run_name or _is_made_up(run.info.run_name):
            self.client.update_run(run_id, name=self.config.run_name or name)
        return Run(self.client, run_id)

    def _create(self, name: str) -> Run:
        tags: dict[str, Any] = provenance.source()
        active = mlflow.active_run()
        if active is not None:
            tags[_PARENT_TAG] = active.info.run_id
        experiment = self._experiment()
        self._say_its_kind(experiment)
        return Run(self.client, self.client.create_run(experiment, tags=tags, run_name=name).info.run_id)

    def _experiment(self) -> str:
        wanted = self.config.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        if not wanted:
            return os.environ.get("MLFLOW_EXPERIMENT_ID", "0")
        first_or_second(lambda: self.client.get_experiment_by_name(wanted) or self.client.create_experiment(wanted))
        return str(self.client.get_experiment_by_name(wanted).experiment_id)

    def _say_its_kind(self, experiment_id: str) -> None:
        """Let the UI show training runs first; without a kind it takes an experiment for one of prompts."""
        if _KIND_TAG not in self.client.get_experiment(experiment_id).tags:
            kind = (experiment_id, _KIND_TAG, "custom_model_development")
            first_or_second(lambda: self.client.set_experiment_tag(*kind))

    @contextmanager
    def _reaching(self, trouble: str) -> Iterator[None]:
        """Tell what the store will not do in one line."""
        try:
            yield
        except (MlflowException, SQLAlchemyError, requests.RequestException) as error:
            raise TrackingError(self._unreachable(trouble, error)) from error

    def _knock(self) -> None:
        """See at once whether a server is there: MLflow's own calls go on trying for minutes."""
        if self.uri.startswith("http"):
            with suppress(requests.exceptions.SSLError):  # it is there; its certificate is MLflow's to judge
                requests.get(self.uri, timeout=_SECONDS_TO_ANSWER, stream=True).close()

    def _unreachable(self, trouble: str, error: Exception) -> str:
        lines = str(error).splitlines()
        telling = [line for line in lines if "OperationalError" in line]  # below what SQLAlchemy thinks of it
        reason = without_secrets((telling or lines)[0])
        return f"{trouble} {without_secrets(self.uri)}: {reason} Check the address and that its server runs."

    def _own_tags(self) -> dict[str, str]:
        pairs = (tag.partition("=") for tag in self.config.tags)
        return {name: value for name, _, value in pairs}


def _is_made_up(name: str) -> bool:
    """Whether MLflow chose a run's name, such as wise-squid-86, since nobody gave one."""
    predicate, _, rest = name.partition("-")
    noun, _, number = rest.partition("-")
    return predicate in _GENERATOR_PREDICATES and noun in _GENERATOR_NOUNS and number.isdigit()
