"""MLflow's model registry: versions of one name, their tags and aliases. No stages: MLflow gives them up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from tinybench.core.errors import TrackingError

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
CHALLENGER = "challenger"
OURS = "tinybench"  # tag of names that tinybench made
_MAX_DESCRIPTION_LENGTH = 5000  # of a description
_NOT_FOUND = "RESOURCE_DOES_NOT_EXIST"


@dataclass(frozen=True)
class ModelVersion:
    """A registered version.

    Attributes:
        name: Registered model.
        number: From 1.
        run_id: The run that trained it.
        source: Where its files lie.
        tags: By name.
        description: Its card, as Markdown.
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
        """Whether tinybench made it."""
        return OURS in self.tags

    @property
    def uri(self) -> str:
        """Its address."""
        return f"models:/{self.name}/{self.number}"


class RegisteredModel:
    """One registered model in a store."""

    def __init__(self, client: MlflowClient, name: str) -> None:
        """Args: a client of the store, and the name, which need not be registered yet."""
        self.client = client
        self.name = name

    @property
    def exists(self) -> bool:
        """Whether the name is registered."""
        return self._registered() is not None

    def aliases(self) -> dict[str, int]:
        """Versions by alias."""
        found = self._registered()
        return {} if found is None else {alias: int(number) for alias, number in found.aliases.items()}

    def tags(self) -> dict[str, str]:
        """Of the name itself: they stay when a version is deleted."""
        found = self._registered()
        return {} if found is None else dict(found.tags)

    def get_by_alias(self, alias: str) -> ModelVersion | None:
        """The version that an alias points to; None where it points to none."""
        number = self.aliases().get(alias)
        return None if number is None else self.version(number)

    def versions(self) -> list[ModelVersion]:
        """All of them, the oldest first."""
        found: list[ModelVersion] = []
        token = None
        while True:
            page = self.client.search_model_versions(f"name = '{self.name}'", max_results=1000, page_token=token)
            found += page
            token = page.token
            if not token:
                return sorted(map(_convert_version, found), key=lambda each: each.number)

    def version(self, number: int) -> ModelVersion:
        """One by its number.

        Raises:
            TrackingError: there is none.
        """
        try:
            return _convert_version(self.client.get_model_version(self.name, str(number)))
        except MlflowException as error:
            if error.error_code != _NOT_FOUND:
                raise
            known = ", ".join(str(each.number) for each in self.versions()) or "none"
            raise TrackingError(f"{self.name} has no version {number}, but {known}.") from error

    def find_by_model(self, model: str) -> ModelVersion | None:
        """The newest version of a logged model."""
        place = self._logged(model).artifact_location
        known = [each for each in self.versions() if each.source == place]
        return known[-1] if known else None

    def register(self, run_id: str, model: str, description: str) -> ModelVersion:
        """A version of a logged model: the one that is there, or a new one."""
        known = self.find_by_model(model)
        if known is not None:
            return known
        if self.exists:
            self.client.set_registered_model_tag(self.name, OURS, "1")
        else:
            self.client.create_registered_model(self.name, tags={OURS: "1"})
        logged = self._logged(model)
        made = self.client.create_model_version(
            self.name,
            logged.artifact_location,
            run_id,
            tags={OURS: "1"},
            description=description[:_MAX_DESCRIPTION_LENGTH],
            model_id=logged.model_id,
        )
        return _convert_version(made)

    def set_version_tags(self, number: int, values: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for key, value in values.items():
            self.client.set_model_version_tag(self.name, str(number), key, value)

    def set_tags(self, values: Mapping[str, str]) -> None:
        """Set tags of the name itself."""
        for key, value in values.items():
            self.client.set_registered_model_tag(self.name, key, value)

    def set_alias(self, alias: str, number: int) -> None:
        """Let an alias point to a version: one write, which is done or is not."""
        self.client.set_registered_model_alias(self.name, alias, str(number))

    def delete_alias(self, alias: str) -> None:
        """Take an alias away."""
        self.client.delete_registered_model_alias(self.name, alias)

    def _logged(self, model: str) -> LoggedModel:
        return self.client.get_logged_model(model.removeprefix("models:/"))

    def _registered(self) -> Any:
        try:
            return self.client.get_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != _NOT_FOUND:
                raise
            return None


def list_names(client: MlflowClient) -> list[str]:
    """Registered models that tinybench made."""
    found, token = [], None
    while True:
        page = client.search_registered_models(f"tags.`{OURS}` = '1'", page_token=token)
        found += [each.name for each in page]
        token = page.token
        if not token:
            return sorted(found)


def _convert_version(found: ModelVersion) -> ModelVersion:
    tags = dict(found.tags)
    return ModelVersion(
        found.name,
        int(found.version),
        str(found.run_id or ""),
        str(found.source),
        tags,
        found.description or "",
        int(found.creation_timestamp),
    )
