"""The model as MLflow loads it: images in, the most probable labels out.

MLflow runs this file when it loads the model; the package beside it was stored with the model.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from tinybench.inference.classifier import ImageClassifier
from tinybench.inference.model_version import read_version


class ServedClassifier(PythonModel):
    """A classifier of encoded images (bytes or base64) or uint8 arrays of any size."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the Keras model, its labels and its temperature."""
        model, labels = (Path(context.artifacts[name]) for name in ("model", "labels"))
        self.classifier = ImageClassifier.load(model, labels, read_version(model.parents[1]))

    # MLflow takes annotations for the model's schema; for a DataFrame it leaves that to the signature
    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return the `top_k` most probable labels of each image, with their calibrated probabilities.

        Args:
            context: What MLflow knows of the model.
            model_input: The images in the first column.
            params: `top_k`, the number of labels; 5 by default.

        Returns:
            A row for each image.

        Raises:
            ImageError: An image cannot be used; the message says which one, and why.
        """
        predictions = self.classifier(_list_images(model_input), (params or {}).get("top_k", 5))
        return pd.DataFrame([asdict(prediction) for prediction in predictions])


def _list_images(model_input: Any) -> list[Any]:
    if isinstance(model_input, pd.DataFrame):
        return [image for cell in model_input.iloc[:, 0] for image in _split_cell(cell)]
    if isinstance(model_input, (str, bytes)):
        return [model_input]
    return list(model_input)


def _split_cell(cell: Any) -> list[Any]:
    """Return the images of a cell: one, or several where MLflow put a list of texts or bytes into a single cell."""
    if isinstance(cell, list | np.ndarray) and len(cell) and all(isinstance(item, str | bytes) for item in cell):
        return list(cell)
    return [cell]


mlflow.models.set_model(ServedClassifier())
