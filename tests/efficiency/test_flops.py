"""Operations, against known figures and by hand."""

from __future__ import annotations

import keras
import pytest

from tinybench import models
from tinybench.efficiency import flops
from tinybench.recipes.resolve import resolve


@pytest.mark.parametrize(
    ("name", "billions", "macs"), [("ResNet50", 7.76, 3.86), ("EfficientNetB0", 0.80, 0.39), ("VGG16", 30.96, 15.47)]
)
def test_known_networks_at_224_pixels(name: str, billions: float, macs: float) -> None:
    found = flops.count_flops(getattr(keras.applications, name)(weights=None))
    assert found is not None
    assert found.total / 1e9 == pytest.approx(billions, abs=0.005)
    assert found.macs / 1e9 == pytest.approx(macs, abs=0.005)


def test_by_hand() -> None:
    pixels = keras.Input((8, 6, 3))
    x = keras.layers.Conv2D(5, 3, padding="same", use_bias=False)(pixels)
    x = keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = keras.layers.Dense(4, use_bias=False)(keras.layers.Flatten()(x))
    found = flops.count_flops(keras.Model(pixels, x))
    assert found is not None
    assert found.macs == 8 * 6 * (3 * 3 * 3 * 5 + 3 * 3 * 5) + 8 * 6 * 5 * 4
    assert found.total >= 2 * found.macs


def test_only_the_input_s_size_counts_not_the_batch() -> None:
    small, large = (
        flops.count_flops(models.build(resolve("quickstart", {"image_size": side}), (side, side, 1), 10))
        for side in (16, 32)
    )
    assert small is not None
    assert large is not None
    assert large.macs == pytest.approx(4 * small.macs, rel=0.01)
