"""Summarise a data set as plain values for the record of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tinybench.data.dataset import Dataset


def summarize_dataset(dataset: Dataset) -> dict[str, Any]:
    """Return what is known of a data set as values for JSON: origin, hashes, shape, duplicates and counts.

    Returns:
        The keys `name`, `origin`, `fingerprint`, `split_hash`, `shape`, `images` (by split), `duplicates` (by pair of
        splits), `warnings`, `unused` (by reason) and `images_by_class` (by split, then by class name).
    """
    names = dataset.class_names
    images_by_class = {
        split: dict(zip(names, np.bincount(images.labels, minlength=len(names)).tolist(), strict=True))
        for split, images in dataset.splits.items()
    }
    return {
        "name": dataset.name,
        "origin": dataset.origin,
        "fingerprint": dataset.fingerprint,
        "split_hash": dataset.split_hash,
        "resize": dataset.resize,
        "shape": dataset.shape,
        "images": {split: len(images) for split, images in dataset.splits.items()},
        "duplicates": dataset.duplicates,
        "warnings": dataset.warnings,
        "unused": dataset.unused,
        "images_by_class": images_by_class,
    }
