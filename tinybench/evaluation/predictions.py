"""The predictions of a model for a split, compact enough to store, so that any metric can be computed later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

_LOWEST = np.finfo(np.float16).min


@dataclass(frozen=True)
class Predictions:
    """Logits and true labels, one row per image.

    Attributes:
        rows: (n,) index of each image in its pool.
        labels: (n,) true classes.
        logits: (n, classes) float16, minus the largest of the row: float16 is precise near 0, where the likely
            classes are.
        largest: (n,) float32, the largest logit of each row, which was subtracted.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int32]
    logits: NDArray[np.float16]
    largest: NDArray[np.float32]

    @classmethod
    def from_logits(cls, rows: NDArray[Any], labels: NDArray[Any], logits: NDArray[np.floating[Any]]) -> Predictions:
        """Create predictions from logits (n, classes).

        Raises:
            ValueError: There are no images, the arrays differ in length, or logits are NaN or infinite; the message
                says for how many images.
        """
        if not len(labels) == len(rows) == len(logits) or len(logits) == 0:
            raise ValueError(
                f"Expected a row of logits for each image, got {len(labels)} images and {logits.shape} logits."
            )
        invalid = np.isnan(logits).any(axis=1) | (logits == np.inf).any(axis=1)
        if invalid.any():
            raise ValueError(
                f"The model outputs NaN or infinity for {np.count_nonzero(invalid)} of {len(logits)} images."
            )
        largest = logits.max(axis=1)
        if not np.isfinite(largest).all():
            raise ValueError("The model gives every class of an image a probability of 0.")
        centred = np.maximum(logits - largest[:, None], _LOWEST).astype(np.float16)
        return cls(np.asarray(rows, np.int64), np.asarray(labels, np.int32), centred, largest.astype(np.float32))

    @classmethod
    def from_probabilities(
        cls, rows: NDArray[Any], labels: NDArray[Any], probabilities: NDArray[np.floating[Any]]
    ) -> Predictions:
        """Create predictions from probabilities (n, classes), by their logarithms.

        Raises:
            ValueError: As `from_logits`, or a probability is below 0.
        """
        if (np.asarray(probabilities) < 0).any():
            raise ValueError("Expected probabilities of at least 0, got a negative one.")
        with np.errstate(divide="ignore"):
            return cls.from_logits(rows, labels, np.log(np.asarray(probabilities, np.float64)))

    @classmethod
    def concatenate(cls, chunks: Sequence[Predictions]) -> Predictions:
        """Join the predictions for consecutive chunks of a split.

        Raises:
            ValueError: There are no chunks.
        """
        if not chunks:
            raise ValueError("There are no images.")
        return cls(
            **{field.name: np.concatenate([getattr(chunk, field.name) for chunk in chunks]) for field in fields(cls)}
        )

    @property
    def class_count(self) -> int:
        """Return the number of classes that the model distinguishes."""
        return int(self.logits.shape[1])

    def probabilities(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """Return the probabilities (n, classes) at a temperature; above 1 they are less confident."""
        probabilities: NDArray[np.float64] = softmax(self.logits.astype(np.float64) / temperature, axis=1)
        return probabilities

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays to store, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Any) -> Predictions:
        """Create predictions from the arrays that `arrays` returned.

        Raises:
            KeyError: An array is missing.
        """
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})
