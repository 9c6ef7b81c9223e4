"""Format the predictions of images as text and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tinybench.commands.predict import ImagePrediction


def format_prediction(prediction: ImagePrediction) -> str:
    """Return the image's path, then one line per class with its probability."""
    rows = zip(prediction.labels, prediction.probabilities, strict=True)
    return "\n".join([str(prediction.path), *(f"  {probability:7.2%}  {label}" for label, probability in rows)])


def prediction_json(prediction: ImagePrediction) -> str:
    """Return the prediction as one line of JSON."""
    return json.dumps(prediction.to_dict())
