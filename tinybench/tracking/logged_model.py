"""A logged model's files: what it says of itself, and the test images by which it is known again."""

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
from numpy.typing import NDArray

from tinybench.core.errors import TrackingError
from tinybench.inference.classifier import About, Answerer
from tinybench.inference.model_version import version
from tinybench.tracking.model_logging import FILES

_RELOAD_TIMEOUT_SECONDS = 600.0  # seconds in which a model is loaded and has answered


@dataclass(frozen=True)
class ModelFiles:
    """The files of a logged model, while `opened` lasts.

    Attributes:
        folder: Where they lie.
        about: Labels, shape, temperature.
        signature: As MLflow writes it.
    """

    folder: Path
    metadata: About
    signature: Mapping[str, Any]

    @property
    def keras_path(self) -> Path:
        """The whole model, pixels to probabilities."""
        return self.folder / "artifacts" / FILES["model"]

    def load_classifier(self) -> Answerer:
        """The model, ready to be asked."""
        return Answerer.load(self.keras_path, self.folder / "artifacts" / FILES["labels"], version(self.folder))

    def run_reload_check(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """What the model answers for the test images that go with it, loaded by MLflow in a process of its own.

        Returns:
            (n,) rows of the images, and (n, classes) probabilities in the order of the labels.

        Raises:
            TrackingError: whatever keeps it from being loaded or answering, in one line.
        """
        with TemporaryDirectory() as place:
            found = Path(place) / "found.npz"
            words = [
                sys.executable,
                "-P",
                str(Path(__file__).with_name("reload_check.py")),
                str(self.folder),
                str(found),
            ]
            try:
                done = subprocess.run(
                    words, capture_output=True, text=True, check=False, timeout=_RELOAD_TIMEOUT_SECONDS, cwd=place
                )
            except subprocess.TimeoutExpired:
                raise TrackingError(f"it gave no answers within {_RELOAD_TIMEOUT_SECONDS:.0f} s") from None
            if done.returncode:
                raise TrackingError((done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1])
            with np.load(found, allow_pickle=False) as kept:
                return kept["rows"], kept["probabilities"]


@contextmanager
def download(model: str) -> Iterator[ModelFiles]:
    """The files of a logged or registered model, while the block lasts.

    Raises:
        TrackingError: there is no such model, or it is not one of ours.
    """
    with TemporaryDirectory() as place:
        try:
            folder = Path(mlflow.artifacts.download_artifacts(model, dst_path=place))
        except (MlflowException, OSError) as error:
            raise TrackingError(f"No model {model!r}: check its name and the store (--uri).") from error
        labels = folder / "artifacts" / FILES["labels"]
        if not labels.exists():
            raise TrackingError(f"Model {model!r} was not made by tinybench.")
        signature = Model.load(folder).signature
        plain = signature.to_dict() if signature is not None else {}
        yield ModelFiles(folder, About.of_json(labels.read_text("utf-8")), json.loads(json.dumps(plain)))
