"""Read and write MLflow's model registry: the versions of a registered model, their tags and aliases.

MLflow's stages are not used: MLflow has deprecated them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from tinybench.core.errors import TrackingError
from tinybench.tracking import store, tags

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion as MlflowModelVersion

CHAMPION = "champion"
CHALLENGER = "challenger"
_MAX_DESCRIPTION_LENGTH = 5000
_NOT_FOUND = "RESOURCE_DOES_NOT_EXIST"


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model.

    Attributes:
        name: The registered model.
        number: The version, counted from 1.
        run_id: The run that trained it.
        source: The folder of its files.
        tags: Its tags by name.
        description: The model card, as Markdown.
        created: Milliseconds since 1970.
    """

    name: str
    number: int
    run_id: str
    source: str
    tags: Mapping[str, str]
    description: str
    created: int

    @property
    def made_by_tinybench(self) -> bool:
        """True if tinybench registered it."""
        return tags.MADE_BY_TINYBENCH in self.tags

    @property
    def uri(self) -> str:
        """The address for `mlflow.pyfunc.load_model`."""
        return f"models:/{self.name}/{self.number}"


class RegisteredModel:
    """A registered model in a store.

    Args:
        client: A client of the store.
        name: The name of the model, which need not be registered yet.
    """

    def __init__(self, client: MlflowClient, name: str) -> None:
        self.client = client
        self.name = name

    @property
    def exists(self) -> bool:
        """True if the name is registered."""
        return self._get() is not None

    def aliases(self) -> dict[str, int]:
        """Return version numbers by alias."""
        model = self._get()
        return {} if model is None else {alias: int(number) for alias, number in model.aliases.items()}

    def tags(self) -> dict[str, str]:
        """Return the tags of the registered model itself, which remain when a version is deleted."""
        model = self._get()
        return {} if model is None else dict(model.tags)

    def get_by_alias(self, alias: str) -> ModelVersion | None:
        """Return the version that has an alias; None if there is no such alias."""
        number = self.aliases().get(alias)
        return None if number is None else self.version(number)

    def versions(self) -> list[ModelVersion]:
        """Return all versions, the oldest first."""
        entities: list[MlflowModelVersion] = []
        token = None
        while True:
            page = self.client.search_model_versions(f"name = '{self.name}'", max_results=1000, page_token=token)
            entities += page
            token = page.token
            if not token:
                return sorted(map(_convert_version, entities), key=lambda version: version.number)

    def version(self, number: int) -> ModelVersion:
        """Return a version by its number.

        Raises:
            TrackingError: There is no such version.
        """
        try:
            return _convert_version(self.client.get_model_version(self.name, str(number)))
        except MlflowException as error:
            if error.error_code != _NOT_FOUND:
                raise
            numbers = ", ".join(str(version.number) for version in self.versions())
            existing = f", but {numbers}" if numbers else ": all of them have been deleted"
            raise TrackingError(f"{self.name} has no version {number}{existing}.") from error

    def find_by_model(self, model_uri: str) -> ModelVersion | None:
        """Return the newest version of a logged model; None if it was never registered under this name."""
        location = self._get_logged_model(model_uri).artifact_location
        matching = [version for version in self.versions() if version.source == location]
        return matching[-1] if matching else None

    def register(self, run_id: str, model_uri: str, description: str) -> ModelVersion:
        """Return the version of a logged model; a new one is created only if there is none."""
        existing = self.find_by_model(model_uri)
        if existing is not None:
            return existing
        made_by_tinybench = {tags.MADE_BY_TINYBENCH: "1"}
        if self.exists:
            self.set_tags(made_by_tinybench)
        else:
            self.client.create_registered_model(self.name, tags=made_by_tinybench)
        logged = self._get_logged_model(model_uri)
        with store.without_retries():
            created = self.client.create_model_version(
                self.name,
                logged.artifact_location,
                run_id,
                tags=made_by_tinybench,
                description=description[:_MAX_DESCRIPTION_LENGTH],
                model_id=logged.model_id,
            )
        return _convert_version(created)

    def set_version_tags(self, number: int, values: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for key, value in values.items():
            self.client.set_model_version_tag(self.name, str(number), key, value)

    def set_tags(self, values: Mapping[str, str]) -> None:
        """Set tags of the registered model itself."""
        for key, value in values.items():
            self.client.set_registered_model_tag(self.name, key, value)

    def set_alias(self, alias: str, number: int) -> None:
        """Give an alias to a version; this is a single write to the store."""
        self.client.set_registered_model_alias(self.name, alias, str(number))

    def delete_alias(self, alias: str) -> None:
        """Delete an alias."""
        self.client.delete_registered_model_alias(self.name, alias)

    def _get_logged_model(self, model_uri: str) -> LoggedModel:
        return self.client.get_logged_model(model_uri.removeprefix("models:/"))

    def _get(self) -> Any:
        try:
            return self.client.get_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != _NOT_FOUND:
                raise
            return None


def list_names(client: MlflowClient) -> list[str]:
    """Return the names of the registered models that tinybench made, in alphabetical order."""
    names, token = [], None
    while True:
        page = client.search_registered_models(f"tags.`{tags.MADE_BY_TINYBENCH}` = '1'", page_token=token)
        names += [model.name for model in page]
        token = page.token
        if not token:
            return sorted(names)


def _convert_version(version: MlflowModelVersion) -> ModelVersion:
    return ModelVersion(
        version.name,
        int(version.version),
        str(version.run_id or ""),
        str(version.source),
        dict(version.tags),
        version.description or "",
        int(version.creation_timestamp),
    )
