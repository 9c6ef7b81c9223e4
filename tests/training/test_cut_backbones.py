"""The documented backbones are cut, and train on kept features as on pixels."""

from __future__ import annotations

import re

import keras
import pytest
from cut_parts import apart, chosen, fits, pixels
from keras import layers

from tinybench import models
from tinybench.config import run_config
from tinybench.models import backbones, submodels

# The backbones that are documented


def documented(name: str) -> tuple[keras.Model, run_config.RunConfig]:
    """A backbone with random weights, and the statistics of some images, without which they would all look alike."""
    keras.utils.set_random_seed(0)
    settings = chosen(model=name, weights="none", image_size=32, **{"head.hidden": 8, "finetune.unfreeze": 0.2})
    model = models.build(settings, (32, 32, 3), 3)
    backbone = model.get_layer("backbone")
    normal = [layer for layer in backbone.layers if isinstance(layer, layers.BatchNormalization)]
    momentum = [layer.momentum for layer in normal]
    if normal:
        for layer in normal:
            layer.momentum = 0.0
        backbone(submodels.entrance(model)(pixels(32)), training=True)
        for layer, value in zip(normal, momentum, strict=True):
            layer.momentum = value
    return model, settings


LAYERS = {
    "vgg16": "block4_pool",
    "resnet50": "conv4_block5_out",
    "efficientnetb0": "block6b_add",
    "convnextbase": "add",
    "efficientnetv2b0": "block6d_add",
}


def test_every_documented_backbone_is_here() -> None:
    assert [*LAYERS] == [*backbones.APPLICATIONS]


def quick(*names: str) -> list:
    """All documented backbones, of which only some are for every day."""
    return [pytest.param(name, marks=[] if name in names else pytest.mark.slow) for name in LAYERS]


@pytest.mark.parametrize("name", quick("vgg16", "resnet50"))
def test_a_documented_backbone_is_cut_in_the_head_and_in_a_late_block(name: str) -> None:
    model, settings = documented(name)
    assert fits(model, settings, "transfer", 1e-5) == "dropout"
    assert re.sub(r"^add_\d+$", "add", fits(model, settings, "finetune", 1e-5)) == LAYERS[name]


@pytest.mark.parametrize("name", quick("resnet50"))
def test_a_documented_backbone_is_finetuned_on_kept_features_as_on_pixels(name: str) -> None:
    assert apart(*documented(name), "finetune") <= 1e-4


@pytest.mark.parametrize("name", quick())
def test_transfer_of_a_documented_backbone_trains_on_kept_features_as_on_pixels(name: str) -> None:
    assert apart(*documented(name), "transfer") <= 1e-4
