"""Where a model is cut, and that its two parts together are the whole, in inference and in training."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from cut_parts import LABELS, apart, chosen, features_of, fits, numbers, pixels
from keras import layers, ops

from tinybench import models
from tinybench.config import run_config
from tinybench.core.errors import ConfigError
from tinybench.training import phases

Own = tuple[dict[int, str | None], keras.Model, run_config.RunConfig]


# Backbones of a user, all on 16 x 16 pixels


def conv(name: str, filters: int = 4) -> layers.Layer:
    return layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)


def norm(name: str) -> layers.Layer:
    return layers.BatchNormalization(momentum=0.5, name=name)


def chain(x):
    for name in ("c1", "c2", "c3"):
        x = conv(name)(x)
    return x


def normalized(x):
    for block in (1, 2, 3):
        x = layers.ReLU(name=f"r{block}")(norm(f"n{block}")(conv(f"c{block}")(x)))
    return x


def residual(x):
    x = conv("c1")(x)
    y = norm("n1")(conv("c2")(x))
    x = layers.Add(name="add1")([x, y])
    y = norm("n2")(conv("c3")(x))
    return layers.Add(name="add2")([x, y])


def branches(x):
    x = conv("stem")(x)
    x = layers.Add(name="join")([norm("left_n")(conv("left")(x)), conv("right")(x)])
    return conv("last")(x)


def dense(x):
    x = conv("stem")(x)
    for block in (1, 2):
        x = layers.Concatenate(name=f"join{block}")([x, norm(f"n{block}")(conv(f"c{block}")(x))])
    return x


def shared(x):
    layer = conv("shared", 3)
    x = layers.ReLU(name="relu")(layer(x))
    return conv("last")(norm("n")(layer(x)))


def twins(x):
    layer = conv("shared")
    x = layers.Add(name="join")([layer(conv("left")(x)), layer(conv("right")(x))])
    return norm("n")(x)


def dropping(x):
    x = layers.Dropout(0.5, name="drop")(conv("c1")(x))
    return conv("c2")(layers.ReLU(name="relu")(x))


def nested(x):
    inner = keras.Sequential([conv("c1"), norm("n1"), layers.Dropout(0.5, name="drop")], name="block1")
    return conv("last")(inner(x))


def operations(x):
    x = conv("c1")(x)
    return conv("last")(x + norm("n1")(conv("c2")(x)))


def activated(x):
    act = layers.ReLU(name="act")
    for name in ("c1", "c2", "c3"):
        x = act(layers.Conv2D(4, 3, padding="same", name=name)(x))
    return x


def parted(x):
    x = conv("stem")(x)
    left, right = ops.split(x, 2, axis=-1)
    return conv("last")(layers.Concatenate(name="join")([conv("left")(left), right]))


def built(shape: Callable, folder: Path | None = None, **overrides) -> tuple[keras.Model, run_config.RunConfig]:
    """A whole model around a user's backbone, with weights that mean something."""
    keras.utils.set_random_seed(0)
    entry = keras.Input((16, 16, 3), name="images")
    path = (folder or Path()) / "own.keras"
    keras.Model(entry, shape(layers.Rescaling(1 / 255, name="scale")(entry))).save(path)
    settings = chosen(model=str(path), weights="file", **{"head.hidden": 8} | overrides)
    return models.build(settings, (16, 16, 3), 3), settings


def smallcnn(**overrides) -> tuple[keras.Model, run_config.RunConfig]:
    keras.utils.set_random_seed(0)
    settings = chosen(**{"head.hidden": 8} | overrides)
    return models.build(settings, (8, 8, 3), 3), settings


# The layer of the cut for each number of layers that are trained
CUTS = {
    chain: {1: "c2", 2: "c1", 3: None},
    normalized: {1: "pooling", 2: "c3", 3: "r2", 4: "r2", 6: "r1", 9: None},
    residual: {1: "pooling", 2: "add1", 4: "add1", 5: "c1"},
    branches: {1: "join", 3: "stem", 5: "stem", 6: None},
    dense: {1: "pooling", 2: "join1", 5: "stem"},
    shared: {1: "n", 2: "shared", 3: "shared", 4: None},
    twins: {1: "join", 5: None},
    dropping: {1: "relu"},
    nested: {1: "drop", 2: "n1", 3: "c1", 4: None},
    operations: {1: "add"},
    activated: {4: None},
    parted: {1: "join"},
}


def name_of(value: object) -> str | None:
    return getattr(value, "__name__", None)


@pytest.fixture(scope="module", params=CUTS, ids=name_of)
def own(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Own:
    """A model around each of the backbones; every test freezes it anew."""
    folder = tmp_path_factory.mktemp(request.param.__name__)
    return CUTS[request.param], *built(request.param, folder, **{"head.dropout": 0.3})


def test_finetuning_is_cut_below_the_first_layer_that_it_changes(own: Own) -> None:
    cuts, model, settings = own
    for number, (unfreeze, layer) in enumerate(cuts.items()):
        mode = ("inference", "train")[number % 2]
        asked = run_config.replace(settings, {"finetune.unfreeze": unfreeze, "finetune.batch_norm": mode})
        if layer is None:  # nothing with weights lies below
            assert phases.find_phase_cut(model, asked, "finetune") is None
        else:
            assert re.sub(r"^add_\d+$", "add", fits(model, asked, "finetune")) == layer


def test_nothing_is_cut_when_every_layer_is_trained(own: Own) -> None:
    _, model, settings = own
    assert phases.find_phase_cut(model, run_config.replace(settings, {"finetune.unfreeze": "all"}), "finetune") is None


def test_transfer_is_cut_in_the_head(own: Own) -> None:
    _, model, settings = own
    assert fits(model, settings, "transfer") == "pooling"


def test_a_dropout_of_nothing_is_not_random() -> None:
    model, settings = smallcnn(**{"head.dropout": 0})
    assert fits(model, settings, "transfer") == "dropout"


def test_what_is_random_lies_below_the_cut_only_where_it_is_in_inference_mode() -> None:
    for mode, layer in [("inference", "relu"), ("train", "c1")]:
        model, settings = built(dropping, **{"finetune.unfreeze": 3, "finetune.batch_norm": mode})
        assert fits(model, settings, "finetune") == layer


@pytest.mark.parametrize("pooling", ["avg", "max"])
@pytest.mark.parametrize("hidden", [8, "none"])
def test_a_cut_in_the_head_leaves_what_is_trained_or_random(pooling: str, hidden: int | str) -> None:
    overrides = {"head.pooling": pooling, "head.hidden": hidden, "head.dropout": 0.3}
    model, settings = smallcnn(**overrides)
    assert fits(model, settings, "transfer") == "pooling"
    cut = phases.find_phase_cut(model, settings, "transfer")
    assert cut.shape == (64,)
    kinds = [type(layer).__name__ for layer in cut.head.layers if not isinstance(layer, layers.InputLayer)]
    assert kinds == ["Dropout", *(["Dense"] if hidden == 8 else []), "Dense", "Softmax"]


def test_dropout_of_the_head_is_at_work_in_training() -> None:
    model, settings = smallcnn(**{"head.dropout": 0.5})
    cut = phases.find_phase_cut(model, settings, "transfer")
    trainer = phases.build_trainer(model, settings, "transfer", cut)
    features = features_of(cut, pixels(8))
    first, second = (numbers(trainer(features, training=True)) for _ in range(2))
    assert not np.allclose(first, second)
    assert len(trainer.losses) == 1, "the L2 penalty of the hidden layer"


@pytest.mark.parametrize(("unfreeze", "place"), [(2, -3), (3, -4), (4, -4), (5, -6)])
def test_smallcnn_is_cut_below_the_layers_that_are_trained(unfreeze: int, place: int) -> None:
    model, settings = smallcnn(**{"finetune.unfreeze": unfreeze})
    assert fits(model, settings, "finetune") == model.get_layer("backbone").layers[place].name


def test_smallcnn_is_cut_in_the_head_or_not_at_all() -> None:
    model, settings = smallcnn(**{"finetune.unfreeze": 1, "head.dropout": 0.3})
    assert fits(model, settings, "finetune") == "pooling"  # its last layer has no weights
    for unfreeze in (6, 0.7, "all"):
        settings = run_config.replace(settings, {"finetune.unfreeze": unfreeze})
        assert phases.find_phase_cut(model, settings, "finetune") is None


def test_a_cut_is_at_one_tensor_alone() -> None:
    model, settings = built(parted, **{"finetune.unfreeze": 3})
    assert fits(model, settings, "finetune") == "stem"


def test_one_activation_can_follow_every_convolution() -> None:
    model, settings = built(activated, **{"finetune.unfreeze": 1})
    assert fits(model, settings, "finetune") == "c2"  # the activation itself is called again above


def test_keras_cannot_divide_at_a_layer_that_is_called_again_above_and_that_is_said() -> None:
    model, settings = built(activated, **{"finetune.unfreeze": 1, "finetune.batch_norm": "train"})
    with pytest.raises(ConfigError, match=r"`finetune\.batch_norm` cannot be train here: .* unfreeze all\."):
        phases.build_trainer(model, settings, "finetune")


def test_a_sequential_backbone_is_trained_with_its_statistics() -> None:
    inner = [keras.Input((16, 16, 3)), layers.Rescaling(1 / 255), conv("c1"), norm("n1"), conv("c2"), norm("n2")]
    keras.Sequential(inner).save("own.keras")
    settings = chosen(model="own.keras", weights="file", **{"finetune.unfreeze": 2, "finetune.batch_norm": "train"})
    model = models.build(settings, (16, 16, 3), 3)
    assert fits(model, settings, "finetune") == "n1"
    assert apart(model, settings, "finetune") <= 1e-4


def test_a_layer_that_is_shared_by_two_branches_is_trained_with_statistics() -> None:
    model, settings = built(twins, **{"finetune.unfreeze": 3, "finetune.batch_norm": "train"})
    before = model.get_layer("backbone").get_layer("n").moving_mean.numpy()
    trainer = phases.build_trainer(model, settings, "finetune")
    np.testing.assert_allclose(numbers(trainer(pixels(), training=False)), numbers(model(pixels())), atol=1e-6)
    trainer.train_on_batch(pixels(), LABELS)
    assert not np.array_equal(model.get_layer("backbone").get_layer("n").moving_mean.numpy(), before)


def test_statistics_before_an_operation_that_is_no_layer_move() -> None:
    model, settings = built(operations, **{"finetune.unfreeze": 3, "finetune.batch_norm": "train"})
    normal = model.get_layer("backbone").get_layer("n1")
    before = normal.moving_mean.numpy()
    phases.build_trainer(model, settings, "finetune").train_on_batch(pixels(), LABELS)
    assert not np.array_equal(normal.moving_mean.numpy(), before)


@pytest.mark.parametrize(
    ("shape", "unfreeze", "mode"),
    [
        (normalized, 4, "train"),
        (residual, 4, "inference"),
        (residual, 5, "train"),
        (branches, 4, "inference"),
        (dense, 3, "train"),
        (shared, 2, "train"),
        (nested, 1, "inference"),
    ],
    ids=name_of,
)
def test_finetuning_on_kept_features_trains_as_on_pixels(shape, unfreeze: int, mode: str) -> None:
    model, settings = built(shape, **{"finetune.unfreeze": unfreeze, "finetune.batch_norm": mode})
    assert apart(model, settings, "finetune") <= 1e-4


def test_statistics_above_the_cut_move_alike_and_those_below_stay() -> None:
    model, settings = built(normalized, **{"finetune.unfreeze": 4, "finetune.batch_norm": "train"})
    cut = phases.find_phase_cut(model, settings, "finetune")
    normal = [model.get_layer("backbone").get_layer(f"n{block}") for block in (1, 2, 3)]
    before = [layer.moving_mean.numpy() for layer in normal]
    features = features_of(cut, pixels())
    trainer = phases.build_trainer(model, settings, "finetune", cut)
    trainer.train_on_batch(features, LABELS)
    moved = [not np.array_equal(layer.moving_mean.numpy(), mean) for layer, mean in zip(normal, before, strict=True)]
    assert moved == [False, False, True]


@pytest.mark.parametrize(("phase", "unfreeze"), [("transfer", 1), ("finetune", 2), ("finetune", 3)])
def test_smallcnn_trains_on_kept_features_as_on_pixels(phase: str, unfreeze: int) -> None:
    model, settings = smallcnn(**{"finetune.unfreeze": unfreeze})
    assert apart(model, settings, phase, steps=6) <= 1e-4
