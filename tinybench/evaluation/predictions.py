"""What a model answered for every image of a split: kept, so that every figure can be computed again without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

_LOWEST = np.finfo(np.float16).min


@dataclass(frozen=True)
class Answers:
    """One row an image.

    Attributes:
        rows: (n,) places of the images in their pool.
        labels: (n,) true classes.
        logits: (n, classes) float16, less the largest of the row: near the top, where it matters, float16 is fine.
        largest: (n,) float32, what was taken off.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int32]
    logits: NDArray[np.float16]
    largest: NDArray[np.float32]

    @classmethod
    def of_logits(cls, rows: NDArray[Any], labels: NDArray[Any], logits: NDArray[np.floating[Any]]) -> Answers:
        """Keep logits (n, classes).

        Raises:
            ValueError: no images, another count of labels, or logits that are not numbers; it says of how many images.
        """
        if not len(labels) == len(rows) == len(logits) or len(logits) == 0:
            raise ValueError(f"Expected a row of logits an image, got {len(labels)} images and {logits.shape} logits.")
        broken = np.isnan(logits).any(axis=1) | (logits == np.inf).any(axis=1)
        if broken.any():
            raise ValueError(f"The model gives no numbers for {np.count_nonzero(broken)} of {len(logits)} images.")
        largest = logits.max(axis=1)
        if not np.isfinite(largest).all():
            raise ValueError("The model gives no class a chance.")
        centred = np.maximum(logits - largest[:, None], _LOWEST).astype(np.float16)
        return cls(np.asarray(rows, np.int64), np.asarray(labels, np.int32), centred, largest.astype(np.float32))

    @classmethod
    def of_probabilities(cls, rows: NDArray[Any], labels: NDArray[Any], found: NDArray[np.floating[Any]]) -> Answers:
        """Keep probabilities (n, classes), as their logarithms.

        Raises:
            ValueError: as `of_logits`, or a probability below 0.
        """
        if (np.asarray(found) < 0).any():
            raise ValueError("Expected probabilities from 0 up, got one below.")
        with np.errstate(divide="ignore"):
            return cls.of_logits(rows, labels, np.log(np.asarray(found, np.float64)))

    @classmethod
    def joined(cls, parts: Sequence[Answers]) -> Answers:
        """Those of several parts of a split, in their order.

        Raises:
            ValueError: there are none.
        """
        if not parts:
            raise ValueError("There are no images.")
        return cls(**{each.name: np.concatenate([getattr(part, each.name) for part in parts]) for each in fields(cls)})

    @property
    def classes(self) -> int:
        """How many classes the model knows."""
        return int(self.logits.shape[1])

    def probabilities(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """Probabilities (n, classes) at a temperature; above 1 the model is less sure."""
        found: NDArray[np.float64] = softmax(self.logits.astype(np.float64) / temperature, axis=1)
        return found

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored, by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_arrays(cls, stored: Any) -> Answers:
        """What `arrays` gave, read back.

        Raises:
            KeyError: something is missing.
        """
        return cls(**{each.name: stored[each.name] for each in fields(cls)})
