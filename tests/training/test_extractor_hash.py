"""What lies below the cut is called by all that decides its features, and by nothing else."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from processes import python

from tinybench import models
from tinybench.config import run_config
from tinybench.features import bank
from tinybench.recipes.resolve import resolve
from tinybench.training import phases

# What lies below the cut


def chosen(**overrides) -> run_config.RunConfig:
    return resolve("quickstart", {"image_size": 12} | overrides)


def model(shape: tuple[int, int, int] = (8, 8, 1), classes: int = 3, **overrides) -> keras.Model:
    """A model whose backbone has the same weights each time."""
    found = models.build(chosen(**overrides), shape, classes)
    generator = np.random.default_rng(0)
    backbone = found.get_layer("backbone")
    backbone.set_weights([generator.normal(size=weight.shape) for weight in backbone.weights])
    return found


def digest(given_model: keras.Model, phase: str = "transfer", **overrides) -> str:
    return bank.hash_extractor(phases.find_phase_cut(given_model, chosen(**overrides), phase).extractor)


@pytest.fixture
def own_backbone(tmp_path: Path) -> dict[str, str]:
    """Settings for a user's backbone of one convolution."""
    x = pixels = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(2, 3)(x)
    keras.Model(pixels, x).save(tmp_path / "own.keras")
    return {"model": str(tmp_path / "own.keras"), "weights": "file"}


def test_an_extractor_is_hashed_whatever_was_built_before() -> None:
    first = model()
    assert len(digest(first)) == 64
    assert int(digest(first), 16) >= 0
    keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(1, 1), keras.layers.MaxPooling2D()])
    second = model()
    names = [[layer.name for layer in each.get_layer("backbone").layers] for each in (first, second)]
    assert names[0] != names[1], "Keras numbers them on"
    assert digest(first) == digest(second) == digest(first)


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_preprocessing_is_hashed_whatever_was_built_before(own_backbone: dict[str, str], mode: str) -> None:
    first, second = (digest(model(**own_backbone, **{"backbone.preprocessing": mode})) for _ in range(2))
    assert first == second


LOADER = """
import sys
import keras
from tinybench.features import bank
from tinybench.recipes.resolve import resolve
from tinybench.training import phases

keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(1, 1), keras.layers.Conv2D(1, 1)])
model = keras.saving.load_model(sys.argv[1], compile=False)
chosen = resolve("quickstart", {"image_size": 12})
print(bank.hash_extractor(phases.find_phase_cut(model, chosen, "transfer").extractor))
"""


def test_a_saved_model_is_hashed_alike_in_another_process(tmp_path: Path) -> None:
    model()
    saved = model()
    saved.save(tmp_path / "model.keras")
    out, err = python(LOADER, str(tmp_path / "model.keras")).communicate(timeout=60)
    assert out.strip() == digest(saved), err


def test_every_weight_below_the_cut_decides_the_hash() -> None:
    given_model = model()
    extractor = phases.find_phase_cut(given_model, chosen(), "transfer").extractor
    found = {bank.hash_extractor(extractor)}
    assert len(extractor.weights) == 8
    for weight in extractor.weights:
        before = weight.numpy()
        changed = before.copy()
        changed.flat[-1] = np.nextafter(changed.flat[-1], np.float32(np.inf))
        weight.assign(changed)
        found.add(bank.hash_extractor(extractor))
        weight.assign(before)
    assert len(found) == 1 + 8
    assert bank.hash_extractor(extractor) in found


def test_two_weights_that_change_places_change_the_hash(own_backbone: dict[str, str]) -> None:
    given_model = model(**own_backbone)
    kernel, bias = given_model.get_layer("backbone").get_weights()
    before = digest(given_model)
    given_model.get_layer("backbone").set_weights([kernel[..., ::-1], bias[::-1]])
    assert digest(given_model) != before


def test_what_lies_above_the_cut_decides_nothing() -> None:
    heads = [{"head.hidden": 5}, {"head.hidden": "none"}, {"head.dropout": 0.5}, {"head.l2": 0.1}]
    found = [digest(model(**head), **head) for head in heads] + [digest(model(classes=7))]
    assert {*found} == {digest(model())}


def test_sizes_and_pooling_decide_the_hash() -> None:
    others = [
        digest(model()),
        digest(model((10, 10, 1))),
        digest(model((8, 8, 3))),
        digest(model(image_size=16)),
        digest(model(**{"head.pooling": "max"})),
    ]
    assert len({*others}) == 5


def test_preprocessing_decides_the_hash(own_backbone: dict[str, str]) -> None:
    modes = ("included", "caffe", "tf", "torch")
    assert len({digest(model(**own_backbone, **{"backbone.preprocessing": mode})) for mode in modes}) == 4


def test_the_cut_decides_the_hash() -> None:
    given_model = model()
    cuts = [digest(given_model, "finetune", **{"finetune.unfreeze": count}) for count in (2, 3, 5)]
    assert len({*cuts, digest(given_model)}) == 4


def test_an_activation_decides_the_hash_even_where_its_layer_is_called_like_it(tmp_path: Path) -> None:
    found = set()
    for activation in ("relu", "tanh"):
        x = pixels = keras.Input((12, 12, 3))
        x = keras.layers.Activation(activation, name=activation)(keras.layers.Conv2D(2, 3)(x))
        keras.Model(pixels, x).save(tmp_path / "own.keras")
        found.add(digest(model(model=str(tmp_path / "own.keras"), weights="file")))
    assert len(found) == 2


def test_the_same_cut_of_another_phase_is_hashed_alike() -> None:
    given_model = model()
    of_transfer = phases.find_phase_cut(given_model, chosen(), "transfer")
    expected = bank.hash_extractor(of_transfer.extractor)
    of_finetune = phases.find_phase_cut(given_model, chosen(**{"finetune.unfreeze": 1}), "finetune")
    assert of_finetune.layer == of_transfer.layer == "pooling"
    assert bank.hash_extractor(of_finetune.extractor) == expected
