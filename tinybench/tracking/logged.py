"""A logged model's files: what it says of itself, and the test images by which it is known again."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from numpy.typing import NDArray
from PIL import Image

from tinybench.errors import TrackingError
from tinybench.serving.answering import About, Answerer
from tinybench.serving.versions import version
from tinybench.tracking.models import FILES


@dataclass(frozen=True)
class Logged:
    """The files of a logged model, while `opened` lasts.

    Attributes:
        folder: Where they lie.
        about: Labels, shape, temperature.
        signature: As MLflow writes it.
    """

    folder: Path
    about: About
    signature: Mapping[str, Any]

    @property
    def keras(self) -> Path:
        """The whole model, pixels to probabilities."""
        return self.folder / "artifacts" / FILES["model"]

    def answerer(self) -> Answerer:
        """The model, ready to be asked."""
        return Answerer.load(self.keras, self.folder / "artifacts" / FILES["labels"], version(self.folder))

    def again(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """What the model, loaded as a server would, answers for the test images that go with it.

        They are sent as PNG files in base64, as a client would.

        Returns:
            (n,) rows of the images, and (n, classes) probabilities in the order of the labels.

        Raises:
            Exception: whatever keeps it from being loaded or answering.
        """
        served = mlflow.pyfunc.load_model(str(self.folder))
        with np.load(self.folder / "artifacts" / FILES["check"], allow_pickle=False) as kept:
            rows, pixels = kept["rows"], kept["pixels"]
        count = len(self.about.labels)
        sent = pd.DataFrame({"image": [_encoded(each) for each in pixels]})
        found = served.predict(sent, params={"top_k": count})
        places = {label: place for place, label in enumerate(self.about.labels)}
        given = np.zeros((len(rows), count))
        for row, (labels, probabilities) in enumerate(zip(found["labels"], found["probabilities"], strict=True)):
            given[row, [places[label] for label in labels]] = probabilities
        return rows, given


@contextmanager
def opened(model: str) -> Iterator[Logged]:
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
        yield Logged(folder, About.of_json(labels.read_text("utf-8")), json.loads(json.dumps(plain)))


def _encoded(pixels: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
