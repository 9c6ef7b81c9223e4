"""Where a model is cut, and that its two parts together are the whole, in inference and in training."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops
from numpy.typing import NDArray

from tinybench import config, models
from tinybench.errors import ConfigError
from tinybench.models import backbones, parts
from tinybench.training import cut as cutting
from tinybench.training import phases
from tinybench.training.cut import Cut

PLAIN = {"augment.rotation": 0, "augment.translation": 0, "head.dropout": 0, "precision": "float32"}
Own = tuple[dict[int, str | None], keras.Model, config.RunConfig]
LABELS = np.array([0, 1, 2, 0, 1, 2], np.int32)


def chosen(**overrides) -> config.RunConfig:
    return config.resolve("quickstart", PLAIN | overrides)


def pixels(size: int = 16, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).integers(0, 256, (len(LABELS), size, size, 3)).astype(np.float32)


def numbers(tensor) -> NDArray[np.float32]:
    return keras.ops.convert_to_numpy(tensor)


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
    inner = keras.Sequential([conv("c1"), norm("n1"), layers.Dropout(0.5)], name="block1")
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


def built(shape: Callable, folder: Path | None = None, **overrides) -> tuple[keras.Model, config.RunConfig]:
    """A whole model around a user's backbone, with weights that mean something."""
    keras.utils.set_random_seed(0)
    entry = keras.Input((16, 16, 3), name="images")
    path = (folder or Path()) / "own.keras"
    keras.Model(entry, shape(layers.Rescaling(1 / 255, name="scale")(entry))).save(path)
    settings = chosen(model=str(path), weights="imagenet", **{"head.hidden": 8} | overrides)
    return models.build(settings, (16, 16, 3), 3), settings


def smallcnn(**overrides) -> tuple[keras.Model, config.RunConfig]:
    keras.utils.set_random_seed(0)
    settings = chosen(**{"head.hidden": 8} | overrides)
    return models.build(settings, (8, 8, 3), 3), settings


def features_of(cut: Cut, images: NDArray[np.float32]) -> NDArray[np.float32]:
    return numbers(cut.extractor(images, training=False))


def same_variables(one: keras.Model, two: keras.Model) -> bool:
    return [id(each) for each in one.trainable_variables] == [id(each) for each in two.trainable_variables]


def fits(model: keras.Model, settings: config.RunConfig, phase: str, tolerance: float = 1e-6) -> str:
    """Compare the whole with its two parts, and what each trains; returns the layer of the cut."""
    cut = phases.divide(model, settings, phase)
    assert cut is not None
    images = pixels(model.input_shape[1])
    live = phases.prepare(model, settings, phase)[1]
    trainer = phases.prepare(model, settings, phase, cut)[1]
    features = features_of(cut, images)
    assert features.shape[1:] == cut.shape == trainer.input_shape[1:]
    expected = numbers(model(images, training=False))
    assert np.ptp(expected, axis=0).max() > 100 * tolerance, "all images look alike to this model"
    np.testing.assert_allclose(numbers(trainer(features, training=False)), expected, atol=tolerance)
    assert same_variables(trainer, live)
    assert trainer.trainable_variables
    frozen = {id(weight) for weight in cut.extractor.weights}
    assert not frozen & {id(weight) for weight in trainer.trainable_variables}
    return cut.layer


def apart(model: keras.Model, settings: config.RunConfig, phase: str, steps: int = 3) -> float:
    """Train with features that were computed once and with pixels, from one start: how far apart the weights are."""
    start = model.get_weights()
    cut = phases.divide(model, settings, phase)
    assert cut is not None
    images = pixels(model.input_shape[1])
    features = features_of(cut, images)
    live = trained(model, phases.prepare(model, settings, phase)[1], images, steps)
    model.set_weights(start)
    kept = trained(model, phases.prepare(model, settings, phase, cut)[1], features, steps)
    model.set_weights(start)
    assert max(np.abs(one - two).max() for one, two in zip(live, start, strict=True)) > 1e-4, "nothing was trained"
    return max(float(np.abs(one - two).max()) for one, two in zip(live, kept, strict=True))


def trained(
    model: keras.Model, trainer: keras.Model, given_input: NDArray[np.float32], steps: int
) -> list[NDArray[np.float32]]:
    trainer.run_eagerly = True  # a few steps are done before they would be compiled
    for _ in range(steps):
        trainer.train_on_batch(given_input, LABELS)
    return model.get_weights()


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
    nested: {1: "block1", 2: None},
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
        asked = config.replace(settings, {"finetune.unfreeze": unfreeze, "finetune.batch_norm": mode})
        if layer is None:  # nothing with weights lies below
            assert phases.divide(model, asked, "finetune") is None
        else:
            assert re.sub(r"^add_\d+$", "add", fits(model, asked, "finetune")) == layer


def test_nothing_is_cut_when_every_layer_is_trained(own: Own) -> None:
    _, model, settings = own
    assert phases.divide(model, config.replace(settings, {"finetune.unfreeze": "all"}), "finetune") is None


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
    cut = phases.divide(model, settings, "transfer")
    assert cut.shape == (64,)
    kinds = [type(layer).__name__ for layer in cut.head.layers if not isinstance(layer, layers.InputLayer)]
    assert kinds == ["Dropout", *(["Dense"] if hidden == 8 else []), "Dense", "Softmax"]


def test_dropout_of_the_head_is_at_work_in_training() -> None:
    model, settings = smallcnn(**{"head.dropout": 0.5})
    cut = phases.divide(model, settings, "transfer")
    trainer = phases.prepare(model, settings, "transfer", cut)[1]
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
        settings = config.replace(settings, {"finetune.unfreeze": unfreeze})
        assert phases.divide(model, settings, "finetune") is None


def test_a_cut_is_at_one_tensor_alone() -> None:
    model, settings = built(parted, **{"finetune.unfreeze": 3})
    assert fits(model, settings, "finetune") == "stem"


def test_one_activation_can_follow_every_convolution() -> None:
    model, settings = built(activated, **{"finetune.unfreeze": 1})
    assert fits(model, settings, "finetune") == "c2"  # the activation itself is called again above


def test_keras_cannot_divide_at_a_layer_that_is_called_again_above_and_that_is_said() -> None:
    model, settings = built(activated, **{"finetune.unfreeze": 1, "finetune.batch_norm": "train"})
    with pytest.raises(ConfigError, match=r"`finetune\.batch_norm` cannot be train here: .* unfreeze all\."):
        phases.prepare(model, settings, "finetune")


def test_a_sequential_backbone_is_trained_with_its_statistics() -> None:
    inner = [keras.Input((16, 16, 3)), layers.Rescaling(1 / 255), conv("c1"), norm("n1"), conv("c2"), norm("n2")]
    keras.Sequential(inner).save("own.keras")
    settings = chosen(model="own.keras", weights="imagenet", **{"finetune.unfreeze": 2, "finetune.batch_norm": "train"})
    model = models.build(settings, (16, 16, 3), 3)
    assert fits(model, settings, "finetune") == "n1"
    assert apart(model, settings, "finetune") <= 1e-4


def test_a_layer_that_is_shared_by_two_branches_is_trained_with_statistics() -> None:
    model, settings = built(twins, **{"finetune.unfreeze": 3, "finetune.batch_norm": "train"})
    before = model.get_layer("backbone").get_layer("n").moving_mean.numpy()
    trainer = phases.prepare(model, settings, "finetune")[1]
    np.testing.assert_allclose(numbers(trainer(pixels(), training=False)), numbers(model(pixels())), atol=1e-6)
    trainer.train_on_batch(pixels(), LABELS)
    assert not np.array_equal(model.get_layer("backbone").get_layer("n").moving_mean.numpy(), before)


def test_statistics_before_an_operation_that_is_no_layer_move() -> None:
    model, settings = built(operations, **{"finetune.unfreeze": 3, "finetune.batch_norm": "train"})
    normal = model.get_layer("backbone").get_layer("n1")
    before = normal.moving_mean.numpy()
    phases.prepare(model, settings, "finetune")[1].train_on_batch(pixels(), LABELS)
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
    cut = phases.divide(model, settings, "finetune")
    normal = [model.get_layer("backbone").get_layer(f"n{block}") for block in (1, 2, 3)]
    before = [layer.moving_mean.numpy() for layer in normal]
    features = features_of(cut, pixels())
    trainer = phases.prepare(model, settings, "finetune", cut)[1]
    trainer.train_on_batch(features, LABELS)
    moved = [not np.array_equal(layer.moving_mean.numpy(), mean) for layer, mean in zip(normal, before, strict=True)]
    assert moved == [False, False, True]


@pytest.mark.parametrize(("phase", "unfreeze"), [("transfer", 1), ("finetune", 2), ("finetune", 3)])
def test_smallcnn_trains_on_kept_features_as_on_pixels(phase: str, unfreeze: int) -> None:
    model, settings = smallcnn(**{"finetune.unfreeze": unfreeze})
    assert apart(model, settings, phase, steps=6) <= 1e-4


# Random graphs


class Scale(layers.Layer):
    """Multiplies by a weight."""

    def build(self, input_shape):
        self.factor = self.add_weight(initializer="ones", name="factor")

    def call(self, x):
        return x * self.factor

    def compute_output_shape(self, input_shape):
        return input_shape


CALLS = st.lists(
    st.tuples(st.sampled_from(["any", "last", "again", "two"]), st.integers(0, 9), st.integers(0, 9)),
    min_size=1,
    max_size=9,
)


def graph_of(calls: list[tuple[str, int, int]]) -> keras.Model:
    """A graph of layers on one number, all of them frozen, of which one may be called again and again."""
    tensors, again = [keras.Input((1,))], Scale(trainable=False)
    for kind, *numbered in calls:
        one, two = (tensors[number % len(tensors)] for number in numbered)
        if kind == "two":
            tensors.append(layers.Add()([one, two]))
        else:
            layer = again if kind == "again" else Scale(trainable=False)
            tensors.append(layer(tensors[-1] if kind == "last" else one))
    return keras.Model(tensors[0], tensors[-1])


def makers(graph: keras.Model) -> dict:
    """The call that each tensor comes from."""
    return {id(tensor): call for calls in graph._nodes_by_depth.values() for call in calls for tensor in call.outputs}


def below(tensor, made_by: dict, without: int = 0) -> set[int]:
    """What a tensor is computed from, itself included, by no way through the one that is left out."""
    if id(tensor) == without:
        return set()
    inputs = made_by[id(tensor)].input_tensors
    return {id(tensor)}.union(*(below(each, made_by, without) for each in inputs))


def articulations(graph: keras.Model) -> set[int]:
    """The tensors without which the output would not hang on the input, found by trying each."""
    made_by, entry = makers(graph), id(graph.inputs[0])
    return {each for each in made_by if each != entry and entry not in below(graph.outputs[0], made_by, each)}


def called_once_above(graph: keras.Model) -> set[int]:
    """The articulations at which Keras can begin a model: no layer is called below and above."""
    made_by = makers(graph)
    found = articulations(graph)
    for tensor in [*found]:
        lower = {id(made_by[each].operation) for each in below(made_by[tensor].outputs[0], made_by)}
        upper = made_by.keys() - below(made_by[tensor].outputs[0], made_by)
        if lower & {id(made_by[each].operation) for each in upper}:
            found.remove(tensor)
    return found


def places(graph: keras.Model) -> list[int]:
    return [id(tensor) for _, tensor in cutting._places(graph, set())]


@settings(max_examples=50, deadline=None)
@given(CALLS)
def test_the_places_for_a_cut_are_the_articulations_of_the_graph(calls: list) -> None:
    graph = graph_of(calls)
    found, made_by = places(graph), makers(graph)
    assert len({*found}) == len(found)
    assert called_once_above(graph) <= {*found} <= articulations(graph)
    assert found[-1] == id(graph.outputs[0])
    assert all(one in below(made_by[two].outputs[0], made_by) for one, two in pairwise(found)), "from below upwards"
    names = [made_by[tensor].operation.name for tensor in found]
    assert [name for name, _ in cutting._places(graph, set())] == names


@settings(max_examples=30, deadline=None)
@given(CALLS, st.integers(0, 9))
def test_no_place_lies_above_a_layer_that_changes(calls: list, number: int) -> None:
    graph = graph_of(calls)
    before, made_by = places(graph), makers(graph)
    changing = graph.layers[1 + number % (len(graph.layers) - 1)]
    changing.trainable = True
    changed = {tensor for tensor, call in made_by.items() if call.operation is changing and changing.weights}
    assert places(graph) == [each for each in before if not changed & below(made_by[each].outputs[0], made_by)]


@settings(max_examples=15, deadline=None)
@given(CALLS)
def test_the_parts_below_and_above_a_place_are_the_whole(calls: list) -> None:
    graph = graph_of([("any" if kind == "again" else kind, *numbered) for kind, *numbered in calls])
    for number, layer in enumerate(each for each in graph.layers if each.weights):
        layer.factor.assign(1 + number / 10)
    values = np.ones((1, 1), np.float32)
    for _, tensor in [*cutting._places(graph, set())][:-1]:
        features = keras.Model(graph.input, tensor)(values)
        np.testing.assert_allclose(keras.Model(tensor, graph.output)(features), graph(values), rtol=1e-5)


# The backbones that are documented


def documented(name: str) -> tuple[keras.Model, config.RunConfig]:
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
        backbone(parts.entrance(model)(pixels(32)), training=True)
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
