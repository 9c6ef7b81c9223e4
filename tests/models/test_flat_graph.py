"""A model that holds other models becomes one graph of the same layers, which computes the same."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tinybench.models import flat_graph


def conv(name, filters=4):
    return layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)


def block(*names, name=None, channels=3):
    given = x = keras.Input((None, None, channels))
    for each in names:
        x = conv(each, channels)(x)
    return keras.Model(given, x, name=name)


def wrapped(x):
    return block("c1", "c2", name="base")(layers.Rescaling(1 / 255, name="scale")(x))


def two_levels(x):
    inner = block("c1", "c2", name="inner")
    given = keras.Input((16, 16, 3))
    middle = keras.Model(given, conv("c3")(inner(given)), name="middle")
    return conv("c4")(middle(x))


def sequential_inside(x):
    return conv("last")(keras.Sequential([conv("c1", 3), layers.BatchNormalization(name="n1"), conv("c2")])(x))


def sequential_in_sequential(x):
    return keras.Sequential([keras.Sequential([layers.Rescaling(1 / 255, name="scale")]), conv("c1")], name="outer")(x)


def twice(x):
    shared = block("c1", "c2", name="shared")
    return conv("last")(layers.Add(name="join")([shared(x), shared(layers.Rescaling(0.5, name="half")(x))]))


def in_a_row(x):
    shared = block("c1", name="shared")
    return shared(shared(x))


def branches(x):
    given = keras.Input((16, 16, 3))
    parted = keras.Model(given, [conv("left")(given), conv("right")(given)], name="parted")
    return conv("last")(layers.Concatenate(name="join")(parted(x)))


def several_inputs(x):
    one, two = keras.Input((16, 16, 3)), keras.Input((16, 16, 3))
    joined = keras.Model([one, two], layers.Add(name="inner_join")([conv("c1", 3)(one), two]), name="joined")
    return conv("last")(joined([x, layers.Rescaling(0.1, name="small")(x)]))


def operations(x):
    given = keras.Input((16, 16, 3))
    return conv("last")(keras.Model(given, keras.ops.relu(given - 100.0) + given, name="sums")(x))


def residual(x):
    return layers.Add(name="join")([x, block("c1", name="base")(x)])


SHAPES = {
    wrapped: ["scale", "c1", "c2"],
    two_levels: ["c1", "c2", "c3", "c4"],
    sequential_inside: ["c1", "n1", "c2", "last"],
    sequential_in_sequential: ["scale", "c1"],
    twice: ["half", "c1", "c2", "join", "last"],
    in_a_row: ["c1"],
    branches: ["left", "right", "join", "last"],
    several_inputs: ["small", "c1", "inner_join", "last"],
    operations: ["last"],
    residual: ["c1", "join"],
}


def built(shape):
    keras.utils.set_random_seed(0)
    given = keras.Input((16, 16, 3), name="images")
    return keras.Model(given, shape(given))


def pixels():
    return np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_the_layers_are_those_of_all_levels(shape, tmp_path):
    model = built(shape)
    flat = flat_graph.inline_models(model)
    assert sorted(layer.name for layer in flat.layers) == sorted(["images", *SHAPES[shape]])
    assert {id(weight) for weight in flat.weights} == {id(weight) for weight in model.weights}
    assert len(flat.weights) == len(model.weights)
    for training in (False, True):
        np.testing.assert_array_equal(flat(pixels(), training=training), model(pixels(), training=training))
    flat.save(tmp_path / "flat.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "flat.keras")(pixels()), model(pixels()))


def test_a_model_without_models_is_the_same():
    model = built(lambda x: conv("c1")(x))
    assert flat_graph.inline_models(model) is model


def test_layers_of_one_name_in_two_models_get_the_name_of_their_model_before_it(tmp_path):
    def same_names(x):
        return conv("c1")(block("c1", "c2", name="right")(block("c1", "c2", name="left")(x)))

    model = built(same_names)
    flat = flat_graph.inline_models(model)
    names = [layer.name for layer in flat.layers]
    assert names == ["images", "c1", "c2", "right_c1", "right_c2", "c1_2"]
    np.testing.assert_array_equal(flat(pixels()), model(pixels()))
    flat.save(tmp_path / "flat.keras")
    loaded = keras.saving.load_model(tmp_path / "flat.keras")
    assert [layer.name for layer in loaded.layers] == names


def test_a_model_with_a_call_of_its_own_stays_one_layer():
    class Doubled(keras.Model):
        def __init__(self):
            super().__init__(name="doubled")
            self.inner = conv("c1")

        def call(self, x):
            return 2 * self.inner(x)

    model = built(lambda x: conv("last")(Doubled()(x)))
    assert flat_graph.inline_models(model) is model


def test_a_model_that_converts_its_input_stays_one_layer():
    given = keras.Input((16, 16, 3), dtype="uint8")
    rounding = keras.Model(given, layers.Rescaling(1 / 255)(given), name="rounding")
    model = built(lambda x: conv("last")(rounding(layers.Rescaling(0.3)(x))))
    flat = flat_graph.inline_models(model)
    assert "rounding" in [layer.name for layer in flat.layers]
    np.testing.assert_array_equal(flat(pixels()), model(pixels()))
