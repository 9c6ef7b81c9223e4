"""What each phase trains, and what it leaves alone."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tinybench import models
from tinybench.config import run_config
from tinybench.core.errors import ConfigError
from tinybench.recipes.resolve import resolve
from tinybench.training import phases

BN = keras.layers.BatchNormalization


def settings(**overrides) -> run_config.RunConfig:
    return resolve("quickstart", {"augment.rotation": 0, "augment.translation": 0} | overrides)


def normalized(**overrides) -> tuple[keras.Model, run_config.RunConfig]:
    """Around a user's backbone of three blocks of a convolution and a batch normalization."""
    x = pixels = keras.Input((16, 16, 3), name="pixels")
    for block in (1, 2, 3):
        x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name=f"block{block}_conv")(x)
        x = BN(name=f"block{block}_bn")(x)
    keras.Model(pixels, x).save("normalized.keras")
    chosen = settings(model="normalized.keras", weights="file", **{"head.hidden": "none"} | overrides)
    return models.build(chosen, (16, 16, 3), 3), chosen


def smallcnn(**overrides) -> tuple[keras.Model, run_config.RunConfig]:
    chosen = settings(**overrides)
    return models.build(chosen, (16, 16, 3), 3), chosen


def step(trainer: keras.Model) -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (6, *trainer.input_shape[1:]), np.uint8)
    trainer.train_on_batch(images, np.array([0, 1, 2, 0, 1, 2], np.int32))


def moved(model: keras.Model, trainer: keras.Model) -> set[str]:
    """Names of the layers (the backbone's own and the head's) whose weights one step changes."""
    layers = [*model.get_layer("backbone").layers, *(each for each in model.layers if each.name != "backbone")]
    before = {layer.name: layer.get_weights() for layer in layers if layer.weights}
    step(trainer)
    return {
        layer.name
        for layer in layers
        if layer.weights
        and any(not np.array_equal(a, b) for a, b in zip(before[layer.name], layer.get_weights(), strict=True))
    }


def named(*names: str) -> keras.Model:
    x = pixels = keras.Input((8, 8, 3), name="pixels")
    for name in names:
        x = keras.layers.Conv2D(1, 1, name=name)(x)
    return keras.Model(pixels, x, name="backbone")


def test_transfer_changes_the_head_alone() -> None:
    model, chosen = normalized()
    trainer = phases.build_trainer(model, chosen, "transfer")
    assert moved(model, trainer) == {"logits"}
    assert [weight.path for weight in trainer.trainable_variables] == ["logits/kernel", "logits/bias"]


def test_transfer_after_finetuning_freezes_again() -> None:
    model, chosen = smallcnn(**{"finetune.unfreeze": "all"})
    phases.build_trainer(model, chosen, "finetune")
    trainer = phases.build_trainer(model, chosen, "transfer")
    assert moved(model, trainer) == {"hidden", "logits"}


@pytest.mark.parametrize(
    ("unfreeze", "count"), [(1, 1), (3, 3), (6, 6), (0.5, 3), (0.2, 2), (0.34, 3), (0.01, 1), ("all", 6)]
)
def test_first_trained_by_count_and_share(unfreeze: int | float | str, count: int) -> None:
    backbone = named("block1_a", "block1_b", "block2_a", "block3_a", "block10_a")
    names = [layer.name for layer in backbone.layers]
    assert phases.trained_layer_names(backbone, unfreeze) == names[-count:]


@pytest.mark.parametrize(
    ("block", "first"),
    [("block1", "block1_a"), ("block2", "block2_a"), ("block10", "block10_a"), ("block1_b", "block1_b")],
)
def test_first_trained_by_name(block: str, first: str) -> None:
    backbone = named("block10_a", "block1_a", "block1_b", "block2_a")
    names = [layer.name for layer in backbone.layers]
    assert phases.trained_layer_names(backbone, block) == names[names.index(first) :]


def test_more_layers_than_there_are() -> None:
    with pytest.raises(ConfigError, match=r"`finetune\.unfreeze`: the backbone has 3 layers, got 4\. Use all\."):
        phases.trained_layer_names(named("a", "b"), 4)


def test_no_such_block_names_some() -> None:
    with pytest.raises(ConfigError, match=r"no layer or block 'block9'\. Use .* such as block1, block2\."):
        phases.trained_layer_names(named("block1_a", "block2_a"), "block9")
    with pytest.raises(ConfigError, match=r"no layer or block 'top'\. Use .* such as pixels, a, b\."):
        phases.trained_layer_names(named("a", "b"), "top")


@pytest.mark.parametrize(("unfreeze", "convolutions"), [(1, 0), (2, 1), (3, 2), ("all", 4), (0.25, 1)])
def test_finetune_trains_the_last_layers_and_the_head(unfreeze: int | float | str, convolutions: int) -> None:
    model, chosen = smallcnn(**{"finetune.unfreeze": unfreeze})
    names = [layer.name for layer in model.get_layer("backbone").layers if layer.weights]
    trainer = phases.build_trainer(model, chosen, "finetune")
    assert moved(model, trainer) == {"hidden", "logits", *names[len(names) - convolutions :]}


def test_finetune_keeps_statistics_in_inference_mode() -> None:
    model, chosen = normalized(**{"finetune.unfreeze": "block3"})
    trainer = phases.build_trainer(model, chosen, "finetune")
    normal = [layer for layer in model.get_layer("backbone").layers if isinstance(layer, BN)]
    before = [layer.moving_mean.numpy().copy() for layer in normal]
    trained = moved(model, trainer)
    assert "block3_bn" in trained  # its scale is trained, its statistics are not
    assert "block2_bn" not in trained
    for layer, mean in zip(normal, before, strict=True):
        np.testing.assert_array_equal(layer.moving_mean, mean)


def test_finetune_moves_statistics_of_unfrozen_layers_where_asked() -> None:
    model, chosen = normalized(**{"finetune.unfreeze": "block3", "finetune.batch_norm": "train"})
    trainer = phases.build_trainer(model, chosen, "finetune")
    names = [layer.name for layer in model.get_layer("backbone").layers]
    normal = [layer for layer in model.get_layer("backbone").layers if isinstance(layer, BN)]
    assert [layer.name for layer in model.get_layer("backbone").layers[1:]] == names[1:]
    before = {layer.name: (layer.moving_mean.numpy().copy(), layer.moving_variance.numpy().copy()) for layer in normal}
    step(trainer)
    expected = {layer.name for layer in normal if names.index(layer.name) >= names.index("block3_conv")}
    found = {
        layer.name
        for layer in normal
        if not np.array_equal(layer.moving_mean, before[layer.name][0])
        or not np.array_equal(layer.moving_variance, before[layer.name][1])
    }
    assert found == expected
    assert 0 < len(expected) < len(normal)
    # The trainer shares the model's weights and predicts the same
    images = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3), np.uint8)
    np.testing.assert_allclose(trainer(images, training=False), model(images, training=False), atol=1e-6)
    np.testing.assert_array_equal(model(images), model(images, training=False))


def test_model_of_trained_statistics_can_be_saved(tmp_path) -> None:
    model, chosen = normalized(**{"finetune.unfreeze": 3, "finetune.batch_norm": "train"})
    trainer = phases.build_trainer(model, chosen, "finetune")
    step(trainer)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    images = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3), np.uint8)
    np.testing.assert_allclose(again(images, training=False), model(images, training=False), atol=1e-6)


def test_augmentation_is_in_the_trainer_alone() -> None:
    changes = {"flip": True, "rotation": 30, "zoom": 0.2, "translation": 0.1}
    model, chosen = smallcnn(**{f"augment.{name}": value for name, value in changes.items()})
    trainer = phases.build_trainer(model, chosen, "transfer")
    kinds = (keras.layers.RandomFlip, keras.layers.RandomRotation, keras.layers.RandomZoom)
    kinds = (*kinds, keras.layers.RandomTranslation)
    assert [type(layer) for layer in trainer.layers[1:-3]] == list(kinds)
    assert not {type(layer) for layer in model.layers} & set(kinds)
    assert not any(isinstance(layer, kinds) for layer in [*model.layers, *model.get_layer("backbone").layers])
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    np.testing.assert_allclose(trainer(images, training=False), model(images), atol=1e-6)


def test_no_augmentation_no_layers() -> None:
    model, chosen = smallcnn()
    trainer = phases.build_trainer(model, chosen, "transfer")
    assert len(trainer.layers) == 4


def test_each_phase_has_its_learning_rate() -> None:
    model, chosen = smallcnn(**{"transfer.lr": 0.25, "finetune.lr": 0.125})
    for phase, lr in [("transfer", 0.25), ("finetune", 0.125)]:
        trainer = phases.build_trainer(model, chosen, phase)
        assert float(trainer.optimizer.learning_rate) == lr
        assert int(trainer.optimizer.iterations) == 0
