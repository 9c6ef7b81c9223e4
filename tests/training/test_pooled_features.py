"""Pooled features of all images, from the bank of the transfer phase and without one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tinybench import data, models
from tinybench.core import cache
from tinybench.data.dataset import Dataset
from tinybench.recipes.resolve import resolve
from tinybench.training.pooled_features import Backbone
from tinybench.training.run_callbacks import RunCallbacks


def backbone_of(**settings: Any) -> tuple[Backbone, Dataset]:
    config = resolve("quickstart", {"data.per_class": 20, "precision": "float32", "engine": "keras", **settings})
    keras.utils.set_random_seed(config.seed)
    dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
    return Backbone(config, dataset, models.build(config, dataset.shape, len(dataset.class_names))), dataset


def pooled_by_keras(backbone: Backbone, dataset: Dataset, split: str) -> np.ndarray:
    images = dataset.splits[split].images(slice(None)).astype(np.float32)
    model = backbone.model
    by_position = keras.Model(model.input, model.get_layer("pooling").input).predict(images, verbose=0)
    return by_position.mean(axis=(1, 2))


@pytest.mark.parametrize("pooling", ["avg", "flatten"])
def test_features_are_the_means_over_positions_of_the_backbone(pooling: str) -> None:
    backbone, dataset = backbone_of(**{"head.pooling": pooling})
    with backbone.open_features(RunCallbacks()) as features:
        for name, split in dataset.splits.items():
            found = np.concatenate([*features.read_blocks(split)])
            np.testing.assert_allclose(found, pooled_by_keras(backbone, dataset, name), rtol=1e-4, atol=1e-5)
    assert features.images == sum(len(split) for split in dataset.splits.values())
    assert features.seconds > 0


def test_nothing_is_computed_twice() -> None:
    backbone, dataset = backbone_of()
    assert backbone.find_stored() is None
    with backbone.open_features(RunCallbacks()) as first:
        stored = [np.concatenate([*first.read_blocks(split)]) for split in dataset.splits.values()]
    again, dataset = backbone_of()
    assert again.find_stored() is not None
    with again.open_features(RunCallbacks()) as second:
        for split, expected in zip(dataset.splits.values(), stored, strict=True):
            np.testing.assert_array_equal(np.concatenate([*second.read_blocks(split)]), expected)
    assert (second.images, second.seconds) == (0, 0)
    indices = np.array([5, 0])
    np.testing.assert_array_equal(again.sample(dataset.train, indices), stored[0][indices])


def test_without_room_in_the_cache_features_are_computed_in_memory() -> None:
    backbone, dataset = backbone_of(**{"cache.budget": "1kB"})
    with backbone.open_features(RunCallbacks()) as features:
        for name, split in dataset.splits.items():
            found = np.concatenate([*features.read_blocks(split)])
            np.testing.assert_allclose(found, pooled_by_keras(backbone, dataset, name), rtol=1e-4, atol=1e-5)
    assert features.decision.mode == "live"
    assert not [entry for entry in cache.list_entries() if entry.kind == "features"]


def test_a_sample_is_computed_without_a_bank() -> None:
    backbone, dataset = backbone_of()
    indices = np.array([3, 1])
    found = backbone.sample(dataset.validation, indices)
    np.testing.assert_allclose(found, pooled_by_keras(backbone, dataset, "validation")[indices], rtol=1e-4, atol=1e-5)
    assert backbone.find_stored() is None
