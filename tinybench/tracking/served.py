"""The model as MLflow serves it: pictures in, the most probable labels out.

MLflow runs this file when it loads the model; the package beside it was stored with the model.
"""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from tinybench.data import images

_BATCH = 64


class PictureClassifier(PythonModel):
    """Takes encoded pictures (bytes or base64) or uint8 arrays of any size."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the Keras model and the labels."""
        from tinybench import models

        about = json.loads(Path(context.artifacts["labels"]).read_text())
        self.labels: list[str] = about["labels"]
        self.height, self.width, self.channels = about["shape"]
        self.model = models.load(Path(context.artifacts["model"]))

    # MLflow takes annotations for the model's schema; for a DataFrame it leaves that to the signature
    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """The `top_k` most probable labels of each picture, with their probabilities."""
        top_k = (params or {}).get("top_k", 5)
        if top_k < 1:
            raise ValueError(f"Expected top_k of at least 1, got {top_k}.")
        pictures = _pictures(model_input)
        if not pictures:
            return pd.DataFrame({"labels": [], "probabilities": []})
        pixels = np.stack([self._pixels(picture) for picture in pictures])
        probabilities = np.concatenate(
            [self.model.predict_on_batch(pixels[at : at + _BATCH]) for at in range(0, len(pixels), _BATCH)]
        )
        best = np.argsort(-probabilities, axis=1)[:, :top_k]
        return pd.DataFrame(
            {
                "labels": [[self.labels[place] for place in row] for row in best],
                "probabilities": [probabilities[row, places].tolist() for row, places in enumerate(best)],
            }
        )

    def _pixels(self, picture: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """A picture at the size that the training images were stored in."""
        if isinstance(picture, str):
            try:
                picture = base64.b64decode("".join(picture.split()), validate=True)
            except (binascii.Error, ValueError) as error:
                raise ValueError("Expected a picture as base64 text, got text that is not base64.") from error
        if isinstance(picture, bytes | bytearray):
            array = images.decode(bytes(picture), channels=self.channels)
        else:
            array = images.from_array(picture, channels=self.channels)
        return images.fit(array, (self.height, self.width))


def _pictures(model_input: Any) -> list[Any]:
    if isinstance(model_input, pd.DataFrame):
        return [picture for cell in model_input.iloc[:, 0] for picture in _cell(cell)]
    if isinstance(model_input, (str, bytes)):
        return [model_input]
    return list(model_input)


def _cell(cell: Any) -> list[Any]:
    """One picture, or all of them: MLflow puts a list of texts or bytes into a single cell."""
    if isinstance(cell, list | np.ndarray) and len(cell) and all(isinstance(item, str | bytes) for item in cell):
        return list(cell)
    return [cell]


mlflow.models.set_model(PictureClassifier())
