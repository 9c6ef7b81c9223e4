"""Copy registered models: versions with their numbers, tags, descriptions and aliases."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import mlflow
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from tinybench.tracking import store, tags
from tinybench.tracking.copying import copy_lock
from tinybench.tracking.copying.copied_content import Content, list_differences
from tinybench.tracking.copying.copy_report import CopyReport
from tinybench.tracking.copying.id_map import IdMap
from tinybench.tracking.copying.store_side import StoreSide

_VERSION_URI = re.compile(r"models:/([^/@]+)/(\d+)")
_NO_STAGE = (None, "", "None")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_LOST_URI = re.compile(r"runs:/|models:/m-[0-9a-f]{32}")


class RegistryCopy:
    """Copies registered models, after the runs and logged models that they refer to.

    Args:
        source: The store that has them.
        target: The store that gets them.
        ids: The ids of the copies of runs and logged models.
        report: Is told what was copied and left out.

    Attributes:
        numbers: The version numbers in the target, by name and number in the source.
    """

    def __init__(self, source: StoreSide, target: StoreSide, ids: IdMap, report: CopyReport) -> None:
        self._source = source
        self._target = target
        self._ids = ids
        self._report = report
        self._folders = [str(item.artifact_location) for item in source.list_experiments(ViewType.ALL)]
        self.numbers: dict[tuple[str, int], int] = {}

    def list_names(self) -> list[str]:
        """Return the names of the registered models; a lock that a killed copy left is none."""
        return [model.name for model in self._source.registered_models() if model.name != copy_lock.NAME]

    def list_versions(self) -> list[Any]:
        """Return the versions of all registered models, each after those that its source may name."""
        versions = [version for name in self.list_names() for version in self._source.versions(name)]
        return sorted(versions, key=lambda version: (version.creation_timestamp, version.name, int(version.version)))

    def create_name(self, name: str) -> None:
        """Create a registered model that the target lacks, and copy its description and tags."""
        model, copied = self._source.get_registered_model(name), self._target.get_registered_model(name)
        client, expected_tags = self._target.client, self._ids.rewrite_tags(model.tags)
        if copied is None:
            client.create_registered_model(name, expected_tags, model.description)
            return
        for key, value in expected_tags.items():
            if copied.tags.get(key) != value:
                client.set_registered_model_tag(name, key, value)
        if model.description and copied.description != model.description:
            client.update_registered_model(name, model.description)

    def copy_version(self, version: Any) -> bool | None:
        """Copy a version; return whether the target had all of it before, or None if it is left out.

        One is left out whose run or logged model is deleted or not copied.
        """
        rewritten = self._find_source(version)
        label = f"{version.name}/{version.version}"
        if rewritten is None:
            self._report.notes.append(
                f"Version {label} is left out: run {version.run_id or version.source} is deleted or not selected."
            )
            return None
        if version.current_stage not in _NO_STAGE:
            self._report.notes.append(
                f"Version {label} loses its stage {version.current_stage}, which MLflow has deprecated: set an alias."
            )
        number, is_new = self._find_copy(version), False
        if number is None:
            number, is_new = self._create_version(version, *rewritten), True
        self.numbers[version.name, int(version.version)] = number
        if number != int(version.version):
            self._report.notes.append(f"Version {label} has number {number} in the target, which has others.")
        return not (self._amend_version(version, number) or is_new)

    def describe_version(self, version: Any) -> dict[str, dict[str, Any]]:
        """Return what the copy of a version is to hold."""
        rewritten = self._find_source(version)
        source, run_id, _ = rewritten or ("", "", "")
        return _describe_version(version, source, run_id, self._ids.rewrite_tags(version.tags))

    def copied_version(self, version: Any) -> Content | None:
        """Return what the target holds of a version; None if it has no copy."""
        number = self.numbers.get((version.name, int(version.version)))
        if number is None:
            return None
        copied = self._target.client.get_model_version(version.name, str(number))
        return _describe_version(copied, copied.source, copied.run_id, IdMap().rewrite_tags(copied.tags))

    def copy_aliases(self, name: str) -> None:
        """Set the aliases of a registered model, except where the target has moved one since it was last copied."""
        client, copied = self._target.client, self._target.get_registered_model(name)
        if copied is None:
            return
        expected = self.expected_aliases(name)
        last = json.loads(copied.tags.get(tags.COPIED_ALIASES, "{}"))
        for alias, number in expected.items():
            current = copied.aliases.get(alias)
            if current is None or (int(current) != number and int(current) == last.get(alias)):
                client.set_registered_model_alias(name, alias, str(number))
            elif int(current) != number:
                self._report.notes.append(
                    f"Alias {alias} of {name} stays at version {current} of the target, where it was set by others."
                )
        for alias, number in last.items():
            if alias not in expected and int(copied.aliases.get(alias, -1)) == number:
                client.delete_registered_model_alias(name, alias)
        if expected != last:
            client.set_registered_model_tag(name, tags.COPIED_ALIASES, json.dumps(expected))

    def expected_aliases(self, name: str) -> dict[str, int]:
        """Return the aliases of a registered model with the version numbers of the target."""
        aliases = self._source.get_registered_model(name).aliases
        numbers = {alias: self.numbers.get((name, int(number))) for alias, number in aliases.items()}
        return {alias: number for alias, number in numbers.items() if number is not None}

    def _find_source(self, version: Any) -> tuple[str, str | None, str | None] | None:
        """Return the source, run and logged model of the copy of a version; None if they are not in the target."""
        source, run_id = str(version.source), self._ids.runs.get(version.run_id or "")
        of_version = _VERSION_URI.fullmatch(source)
        if of_version:
            number = self.numbers.get((of_version[1], int(of_version[2])))
            return None if number is None else (f"models:/{of_version[1]}/{number}", run_id, None)
        copied = self._ids.rewrite_location(source) or self._ids.rewrite(source)
        if copied == source and (_LOST_URI.match(source) or self._is_in_source(source)):
            return None
        model_ids = [model_id for model_id in _MODEL_ID.findall(copied) if model_id in self._ids.models.values()]
        return copied, run_id, model_ids[0] if model_ids else None

    def _is_in_source(self, location: str) -> bool:
        """Return whether files lie in the folder of an experiment of the source."""
        return any(location.startswith(f"{folder.rstrip('/')}/") for folder in self._folders)

    def _find_copy(self, version: Any) -> int | None:
        """Return the number of the copy of a version; one that waits for its number is deleted."""
        number, original = int(version.version), str(version.tags.get(tags.COPIED_FROM, ""))
        for existing in self._target.versions(version.name):
            if original and original == _identify(existing):
                return int(existing.version)
            if existing.tags.get(tags.COPIED_FROM) == _identify(version):
                if int(existing.version) >= number:
                    return int(existing.version)
                self._target.client.delete_model_version(version.name, existing.version)
        return None

    def _create_version(self, version: Any, source: str, run_id: str | None, model_id: str | None) -> int:
        """Create versions until one has the number of the source or a higher one; those before it are deleted."""
        client = self._target.client
        while True:
            with _default_store(self._target.uri), store.without_retries():
                created = client.create_model_version(
                    version.name, source, run_id, {tags.COPIED_FROM: _identify(version)}, version.run_link or None,
                    version.description, None, model_id,
                )  # fmt: skip
            if int(created.version) >= int(version.version):
                return int(created.version)
            client.delete_model_version(version.name, created.version)

    def _amend_version(self, version: Any, number: int) -> bool:
        """Set the tags and the description that the copy of a version lacks; return whether there were any."""
        client, name = self._target.client, version.name
        copied, changed = client.get_model_version(name, str(number)), False
        if _identify(copied) == version.tags.get(tags.COPIED_FROM):
            return False  # the original, from which the version was copied
        for key, value in self._ids.rewrite_tags(version.tags).items():
            if copied.tags.get(key) != value:
                client.set_model_version_tag(name, str(number), key, value)
                changed = True
        if (copied.description or "") != (version.description or ""):
            client.update_model_version(name, str(number), version.description or "")
            changed = True
        return changed

    def is_left_out(self, version: Any) -> bool:
        """Return whether a version cannot be copied, since its run or logged model is not in the target."""
        return self._find_source(version) is None

    def list_name_differences(self, name: str) -> list[str]:
        """Return what a registered model itself lacks in the target; it may have more tags and aliases there."""
        model, copied = self._source.get_registered_model(name), self._target.get_registered_model(name)
        if copied is None:
            return [f"registered model {name} is not in the target"]
        expected: dict[str, Any] = {"tag": self._ids.rewrite_tags(model.tags), "alias": self.expected_aliases(name)}
        actual: dict[str, Any] = {
            "tag": {key: value for key, value in copied.tags.items() if key in expected["tag"]},
            "alias": {key: int(value) for key, value in copied.aliases.items() if key in expected["alias"]},
        }
        if model.description:
            expected["attribute"] = {"description": model.description}
            actual["attribute"] = {"description": copied.description}
        return [f"registered model {name}: {line}" for line in list_differences(expected, actual)]

    def list_differences(self, version: Any) -> list[str]:
        """Return how the copy of a version differs from it."""
        copied = self.copied_version(version)
        label = f"version {version.name}/{version.version}"
        if copied is None:
            return [f"{label} is not in the target"]
        expected = self.describe_version(version)
        if self._is_original(version):  # its files are where they were before they were copied to the source
            del expected["attribute"]["source"], copied["attribute"]["source"]
        return [f"{label}: {line}" for line in list_differences(expected, copied)]

    def _is_original(self, version: Any) -> bool:
        """Return whether the source got a version from the target."""
        number = self.numbers.get((version.name, int(version.version)))
        original = self._target.client.get_model_version(version.name, str(number))
        return bool(version.tags.get(tags.COPIED_FROM) == _identify(original))


@contextmanager
def _default_store(uri: str) -> Iterator[None]:
    """Make a store MLflow's default: its SQL registry looks up there the model of a new version."""
    earlier = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        with suppress(MlflowException):
            mlflow.set_tracking_uri(earlier)


def _identify(version: Any) -> str:
    """Return a text that no other version has, also of a model of the same name in another store."""
    return f"{version.name}/{version.version}@{version.creation_timestamp}"


def _describe_version(version: Any, source: str, run_id: str | None, version_tags: dict[str, str]) -> dict[str, Any]:
    return {
        "attribute": {"source": source, "run": run_id or None, "description": version.description or ""},
        "tag": version_tags,
    }
