"""The small networks: their published sizes, what of them can be set, and what is refused."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from tinybench import models, recipes
from tinybench.config.network_size import PUBLISHED_SIZES, effective_size
from tinybench.config.sections import NetworkConfig
from tinybench.core.errors import ConfigError, ModelError
from tinybench.models import networks
from tinybench.recipes.resolve import resolve
from tinybench.training import phases

SHAPES = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3), "cifar100": (32, 32, 3), "tiny-imagenet": (64, 64, 3)}


def of_recipe(name: str, classes: int, **overrides) -> keras.Model:
    chosen = resolve(name, overrides)
    return models.build(chosen, SHAPES[chosen.dataset], classes, pretrained=False)


def small(name: str, side: int = 32, channels: int = 3, **overrides) -> keras.Model:
    given = {"model": name, "image_size": side, "head.hidden": 4} | overrides
    return models.build(resolve("quickstart", given), (side, side, channels), 3)


@pytest.mark.parametrize(
    ("recipe", "count"),
    [
        ("cifar10-simple5", 315_722),
        ("cifar10-vgg10", 403_018),
        ("cifar10-resnet20", 274_442),
        ("cifar10-efficientnetv2-96", 6_255_962),
    ],
)
def test_the_published_sizes(recipe: str, count: int) -> None:
    assert of_recipe(recipe, 10).count_params() == count


def test_the_head_of_efficientnetv2_has_334_thousand_weights_to_train() -> None:
    model = of_recipe("cifar10-efficientnetv2-96", 10)
    model.get_layer("backbone").trainable = False
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == 333_578


def test_the_residual_network_has_twenty_layers_with_weights_on_its_longest_way() -> None:
    layers = of_recipe("cifar10-resnet20", 10).get_layer("backbone").layers
    convolutions = [layer.name for layer in layers if isinstance(layer, keras.layers.Conv2D)]
    assert len([name for name in convolutions if not name.endswith("_projection")]) == 19  # and one dense layer
    assert [name for name in convolutions if name.endswith("_projection")] == [
        "block2_1_projection",
        "block3_1_projection",
    ]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", PUBLISHED_SIZES)
def test_every_network_takes_gray_and_colour_and_is_saved_whole(tmp_path: Path, name: str, channels: int) -> None:
    model = small(name, channels=channels)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, channels), np.uint8)
    before = model.predict(pixels, verbose=0)
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(models.load(tmp_path / "model.keras").predict(pixels, verbose=0), before)
    assert model.get_layer("backbone").input_shape[-1] == channels
    np.testing.assert_array_equal(model(pixels), model(pixels, training=False))


@pytest.mark.parametrize("name", PUBLISHED_SIZES)
def test_every_network_takes_other_numbers_of_filters(name: str) -> None:
    published = small(name).get_layer("backbone")
    filters = {"alexnet-mini": (5, 6, 7), "shallow": (5,)}.get(name, (5, 6))
    changed = small(name, **{"network.filters": filters}).get_layer("backbone")
    assert changed.output_shape[-1] == filters[-1]
    assert changed.count_params() < published.count_params()


def test_blocks_dropout_and_penalty_can_be_set() -> None:
    deep = small("resnet20", **{"network.blocks": 5}).get_layer("backbone")
    assert len([layer for layer in deep.layers if isinstance(layer, keras.layers.Add)]) == 15
    changed = small("vgg10", **{"network.dropout": 0.4, "network.l2": 0.01}).get_layer("backbone")
    assert {layer.rate for layer in changed.layers if isinstance(layer, keras.layers.Dropout)} == {0.4}
    assert len(changed.losses) == 6
    plain = small("vgg10", **{"network.dropout": 0}).get_layer("backbone")
    assert not [layer for layer in plain.layers if isinstance(layer, keras.layers.Dropout)]


@pytest.mark.parametrize(("name", "key"), [("simple5", "blocks"), ("shallow", "dropout"), ("smallcnn", "l2")])
def test_a_setting_that_a_network_does_not_have_is_refused(name: str, key: str) -> None:
    value = 1 if key == "blocks" else 0.5
    with pytest.raises(ConfigError, match=rf"`network\.{key}` would have no effect: {name} takes `network\.filters`"):
        small(name, **{f"network.{key}": value})
    with pytest.raises(ModelError, match=rf"`network\.{key}` has no effect on {name}, which takes `network\.filters`"):
        effective_size(name, NetworkConfig(**{key: value}))


def test_the_sizes_of_small_networks_are_refused_for_others() -> None:
    with pytest.raises(ConfigError, match=r"`network\.filters` would have no effect: it is for smallcnn, shallow, "):
        small("resnet50", **{"network.filters": "8,8"})


def test_images_that_are_too_small_are_one_line() -> None:
    with pytest.raises(ModelError, match=r"^vgg10 cannot be built at image_size=8: its 3 stages leave no pixel") as at:
        small("vgg10", side=8)
    assert "\n" not in str(at.value)


def test_what_was_left_at_auto_is_told_as_the_network_has_it() -> None:
    words = resolve("cifar10-vgg10", {"network.filters": "8,16"}).flat_text()
    sizes = {key: words[f"network.{key}"] for key in ("filters", "blocks", "dropout", "l2")}
    assert sizes == {"filters": "8,16", "blocks": "auto", "dropout": "0.2", "l2": "0.0"}


def test_layers_are_named_by_block_so_that_a_block_can_be_unfrozen() -> None:

    names = phases.trained_layer_names(small("vgg10").get_layer("backbone"), "block3")
    assert names[0] == "block3_conv1"
    assert not [name for name in names if not name.startswith("block3")]


def test_recipes_of_small_networks_build_at_their_own_size() -> None:
    for name, recipe in recipes.all_recipes().items():
        chosen = recipe.build()
        if chosen.model in PUBLISHED_SIZES and chosen.dataset in SHAPES:
            assert of_recipe(name, 10).output_shape == (None, 10)


def test_a_mistake_in_a_builder_is_not_taken_for_images_that_are_too_small(monkeypatch) -> None:
    def build_twice_the_same_name(pixels, size):
        return keras.layers.Conv2D(2, 3, name="same")(keras.layers.Conv2D(2, 3, name="same")(pixels))

    monkeypatch.setitem(networks._BUILDERS, "simple5", build_twice_the_same_name)
    with pytest.raises(ValueError, match="same"):
        networks.build("simple5", PUBLISHED_SIZES["simple5"], 32, 3, "none")
