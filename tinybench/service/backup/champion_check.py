"""Load the champion of each registered name from a restored store, and compare its predictions with the stored ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from tinybench.core.errors import TrackingError, format_error
from tinybench.evaluation.predictions import Predictions
from tinybench.service.backup.artifact_root import ArtifactRoot
from tinybench.service.backup.artifact_stores import ArtifactStore
from tinybench.service.backup.manifest import Manifest
from tinybench.service.backup.object_store import copy
from tinybench.tracking import logged_model, run_record, stored_predictions
from tinybench.tracking.model_logging import FILES
from tinybench.tracking.model_versions import CHAMPION
from tinybench.tracking.run_reader import RunReader

_TOLERANCE = 0.005  # as the gate that a model passes to become the champion; stored logits are float16


@dataclass(frozen=True)
class CheckedChampion:
    """The result of loading a champion.

    Attributes:
        name: The registered name.
        version: The version with the alias.
        images: Number of test images that it predicted.
        difference: The largest difference between a probability and the stored one.
        reason: Why it could not be compared; empty if it was.
        is_foreign: Whether tinybench did not make it, so that it has no test images to compare.
    """

    name: str
    version: str
    images: int = 0
    difference: float = 0.0
    reason: str = ""
    is_foreign: bool = False

    @property
    def passed(self) -> bool:
        """Return whether the champion predicts as it did, as far as that can be known."""
        return self.is_foreign or (not self.reason and self.difference <= _TOLERANCE)

    def to_dict(self) -> dict[str, Any]:
        """Return the result, ready for JSON."""
        return asdict(self)


class ChampionChecker:
    """Checks the champions of a restored store.

    The files are read from where they were restored to, since `mlflow-artifacts:` addresses need a server, and one
    without passwords would show the store to everybody on this machine.

    Args:
        uri: The restored database.
        artifacts: The restored artifacts.
        root: Where they are.
        manifest: The manifest of the backup.
    """

    def __init__(self, uri: str, artifacts: ArtifactStore, root: ArtifactRoot, manifest: Manifest) -> None:
        self._uri = uri
        self._artifacts = artifacts
        self._root = root
        self._manifest = manifest

    def check_all(self) -> Iterator[CheckedChampion]:
        """Yield the result for each name with a champion."""
        suffix = f"@{CHAMPION}"
        aliases = sorted(self._manifest.content.get("alias", {}))
        for name in (alias.removesuffix(suffix) for alias in aliases if alias.endswith(suffix)):
            yield self._check(name)

    def _check(self, name: str) -> CheckedChampion:
        version = "?"
        try:
            client = MlflowClient(self._uri, registry_uri=self._uri)
            registered = client.get_model_version_by_alias(name, CHAMPION)
            version = str(registered.version)
            folder = self._require_path(client.get_model_version_download_uri(name, version))
            if f"{folder}/artifacts/{FILES['check']}" not in self._manifest.artifacts:
                return CheckedChampion(name, version, reason="it has no stored test images", is_foreign=True)
            predictions = self._read_predictions(client, str(registered.run_id))
            return self._compare(name, version, folder, predictions)
        except (TrackingError, MlflowException, SQLAlchemyError, OSError, KeyError, ValueError) as error:
            return CheckedChampion(name, version, reason=format_error(error))

    def _compare(self, name: str, version: str, folder: str, predictions: Predictions) -> CheckedChampion:
        with TemporaryDirectory(prefix="tinybench-champion-") as temporary:
            self._download_folder(folder, Path(temporary))
            files = logged_model.read_folder(Path(temporary), name)
            rows, probabilities = files.run_reload_check()
        indices = {row: index for index, row in enumerate(predictions.rows.tolist())}
        stored = predictions.probabilities(files.info.temperature)[[indices[row] for row in rows.tolist()]]
        return CheckedChampion(name, version, len(rows), float(np.abs(stored - probabilities).max()))

    def _read_predictions(self, client: MlflowClient, run_id: str) -> Predictions:
        run = run_record.find_final_run(RunReader(self._uri, client, None, reads_journals=False), run_id)
        path = f"{self._require_path(run.info.artifact_uri)}/{stored_predictions.predictions_path('test')}"
        with TemporaryDirectory(prefix="tinybench-champion-") as temporary:
            file = Path(temporary) / "predictions.npz"
            self._download(path, file)
            with np.load(file, allow_pickle=False) as arrays:
                return Predictions.from_arrays(arrays)

    def _require_path(self, address: str) -> str:
        path = self._root.relative(address)
        if path is None:
            raise TrackingError(f"its files are elsewhere, at {address}, and were not backed up")
        return path.rstrip("/")

    def _download_folder(self, folder: str, target: Path) -> None:
        for path in self._manifest.artifacts:
            if path.startswith(f"{folder}/"):
                self._download(path, target / PurePosixPath(path).relative_to(folder))

    def _download(self, path: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._artifacts.open(path) as source, target.open("wb") as file:
            copy(source, file)
