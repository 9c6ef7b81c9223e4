"""Read the files of a logged model: its weights, its labels, and the test images for a reload check."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import numpy as np
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from numpy.typing import NDArray

from tinybench.core.errors import TrackingError
from tinybench.inference.classifier import ImageClassifier, ModelInfo
from tinybench.inference.model_version import read_version
from tinybench.tracking import artifact_location, store
from tinybench.tracking.model_logging import FILES

_RELOAD_TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True)
class ModelFiles:
    """The files of a logged model, which exist as long as the block of `download`.

    Attributes:
        folder: The folder of the files.
        info: Labels, image shape and temperature.
        signature: The model's signature, as MLflow writes it.
    """

    folder: Path
    info: ModelInfo
    signature: Mapping[str, Any]

    @property
    def keras_path(self) -> Path:
        """The Keras file of the whole model, pixels to probabilities."""
        return self.folder / "artifacts" / FILES["model"]

    def load_classifier(self) -> ImageClassifier:
        """Load the model for predictions in this process."""
        return ImageClassifier.load(
            self.keras_path, self.folder / "artifacts" / FILES["labels"], read_version(self.folder)
        )

    def run_reload_check(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Load the model by MLflow in a process of its own and predict the test images that are stored with it.

        Returns:
            (n,) rows of the images in the test split, and (n, classes) probabilities in the order of the labels.

        Raises:
            TrackingError: The model cannot be loaded or cannot predict; the message is the reason in one line.
        """
        with TemporaryDirectory() as folder:
            output = Path(folder) / "found.npz"
            script = Path(__file__).with_name("reload_check.py")
            command = [sys.executable, "-P", str(script), str(self.folder), str(output)]
            try:
                process = subprocess.run(
                    command, capture_output=True, text=True, check=False, timeout=_RELOAD_TIMEOUT_SECONDS, cwd=folder
                )
            except subprocess.TimeoutExpired:
                raise TrackingError(f"it gave no predictions within {_RELOAD_TIMEOUT_SECONDS:.0f} s") from None
            if process.returncode:
                lines = process.stderr.strip().splitlines()
                raise TrackingError(lines[-1] if lines else f"it ended with exit code {process.returncode}")
            with np.load(output, allow_pickle=False) as predictions:
                return predictions["rows"], predictions["probabilities"]


@contextmanager
def download(model_uri: str) -> Iterator[ModelFiles]:
    """Yield the files of a logged or registered model; they are deleted when the block ends.

    Raises:
        TrackingError: There is no such model, its files are not where the store says, or tinybench did not make it.
    """
    with TemporaryDirectory() as temporary:
        _require_files(model_uri)
        try:
            folder = Path(mlflow.artifacts.download_artifacts(model_uri, dst_path=temporary))
        except (MlflowException, OSError) as error:
            raise TrackingError(f"No model {model_uri!r}: check its name and the store (--uri).") from error
        yield read_folder(folder, model_uri)


def _require_files(model_uri: str) -> None:
    """Raise if the files of a model are on a disk, and not where the store says."""
    try:
        location = get_artifact_repository(model_uri).repo.artifact_uri
    except (*store.STORE_ERRORS, AttributeError):
        return  # the download says what is wrong
    folder = artifact_location.local_folder(location)
    if folder is not None and not folder.exists():
        what = f"The files of the model {model_uri!r}"
        raise TrackingError(artifact_location.explain_absence(what, location, store.default_uri()))


def read_folder(folder: Path, name: str) -> ModelFiles:
    """Return the files of a logged model that are in a folder.

    Args:
        folder: The folder.
        name: The model's name or address, for messages.

    Raises:
        TrackingError: tinybench did not make the model.
    """
    labels = folder / "artifacts" / FILES["labels"]
    if not labels.exists():
        raise TrackingError(f"Model {name!r} was not made by tinybench.")
    signature = Model.load(folder).signature
    fields = {} if signature is None else json.loads(json.dumps(signature.to_dict()))
    return ModelFiles(folder, ModelInfo.from_json(labels.read_text("utf-8")), fields)
