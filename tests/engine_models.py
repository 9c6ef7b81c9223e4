"""Real models and images for tests of engines."""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

import keras
import numpy as np
import pytest

import tinybench.data
from tinybench import models
from tinybench.config.sections import DataConfig
from tinybench.recipes.resolve import resolve
from tinybench.training import phases


@functools.cache
def extractor(model: str) -> keras.Model:
    """The frozen part of a real model."""
    keras.utils.set_random_seed(0)
    size, shape = (16, (8, 8, 1)) if model == "smallcnn" else (32, (24, 24, 3))
    chosen = resolve("quickstart", {"model": model, "image_size": size, "weights": "none"})
    whole = models.build(chosen, shape, 10)
    cut = phases.find_phase_cut(whole, chosen, "transfer")
    assert cut is not None
    return cut.extractor


@functools.cache
def pixels(model: str, count: int = 70) -> Any:
    """Real digits, or noise."""
    if model == "smallcnn":
        digits = tinybench.data.load("digits", DataConfig(per_class=20), 0, image_size=16)
        return digits.train.images(slice(count)).astype(np.float32)
    return np.random.default_rng(0).integers(0, 256, (count, 24, 24, 3)).astype(np.float32)


@functools.cache
def expected(model: str, count: int = 70) -> Any:
    return np.asarray(extractor(model)(pixels(model, count), training=False))


def cosines(features: Any, others: Any) -> Any:
    """Of every image's features with every other's."""
    ours, theirs = (
        values.reshape(len(values), -1) / np.linalg.norm(values.reshape(len(values), -1), axis=1, keepdims=True)
        for values in (features, others)
    )
    return ours @ theirs.T


def needs_openvino(name: str) -> None:
    if name == "openvino" and not importlib.util.find_spec("openvino"):
        pytest.skip("OpenVINO is not installed")
