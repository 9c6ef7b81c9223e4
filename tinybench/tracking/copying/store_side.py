"""Read one of the two stores between which is copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mlflow.entities import LifecycleStage, LoggedModel, ViewType
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from tinybench.tracking import store
from tinybench.tracking.copying.artifact_folder import ArtifactFolder

_WRITTEN_BY_LOADING = ("registered_model_meta", "__pycache__")  # into a logged model on this machine's disk


@dataclass(frozen=True)
class StoreSide:
    """One of the two stores.

    Attributes:
        uri: Its address.
        client: A client of its runs and of its registry, whatever registry the environment names.
    """

    uri: str
    client: MlflowClient

    @classmethod
    def open(cls, uri: str) -> StoreSide:
        """Connect to a store.

        Raises:
            TrackingError: It does not answer, or is none.
        """
        store.connect(uri)
        return cls(uri, MlflowClient(uri, registry_uri=uri))

    def list_experiments(self, view: int = ViewType.ACTIVE_ONLY) -> list[Any]:
        """Return the experiments, the oldest first."""
        search = self.client.search_experiments
        order = ["creation_time ASC", "experiment_id ASC"]
        return list(store.pages(lambda token: search(view, order_by=order, page_token=token)))

    def runs(self, experiment_id: str, view: int = ViewType.ACTIVE_ONLY) -> Iterator[MlflowRun]:
        """Yield the runs of an experiment, the oldest first."""
        search = self.client.search_runs
        order = ["attributes.start_time ASC"]
        return store.pages(
            lambda token: search([experiment_id], "", view, max_results=500, order_by=order, page_token=token)
        )

    def models(self, experiment_id: str) -> Iterator[LoggedModel]:
        """Yield the logged models of an experiment."""
        search = self.client.search_logged_models
        return store.pages(lambda token: search([experiment_id], page_token=token))

    def has_run(self, run_id: str) -> bool:
        """Return whether the store has a run that is not deleted."""
        run = self._get(self.client.get_run, run_id)
        return run is not None and run.info.lifecycle_stage == LifecycleStage.ACTIVE

    def has_model(self, model_id: str) -> bool:
        """Return whether the store has a logged model that is not deleted."""
        return self._get(self.client.get_logged_model, model_id) is not None

    def get_registered_model(self, name: str) -> Any:
        """Return a registered model; None if there is none of that name."""
        return self._get(self.client.get_registered_model, name)

    def registered_models(self) -> Iterator[Any]:
        """Yield the registered models, without MLflow's prompts."""
        search = self.client.search_registered_models
        return store.pages(lambda token: search(page_token=token))

    def versions(self, name: str) -> Iterator[Any]:
        """Yield the versions of a registered model, in the order of their numbers."""
        search = self.client.search_model_versions
        versions = store.pages(lambda token: search(f"name = '{name}'", page_token=token))
        yield from sorted(versions, key=lambda version: int(version.version))

    @staticmethod
    def _get(get: Callable[[str], Any], name: str) -> Any:
        try:
            return get(name)
        except MlflowException as error:
            if not store.is_permanent(error):
                raise
            return None

    def files_of_run(self, run: MlflowRun) -> ArtifactFolder:
        """Return the artifacts of a run, without those of its logged models."""
        return ArtifactFolder(run.info.artifact_uri, self.uri)

    def files_of_model(self, model: LoggedModel) -> ArtifactFolder:
        """Return the files of a logged model."""
        return ArtifactFolder(model.artifact_location, self.uri, _WRITTEN_BY_LOADING)
