"""The places for a cut, found by brute force in random graphs."""

from __future__ import annotations

from itertools import pairwise

import keras
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from tinybench.features import cut as cutting

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
    return [id(tensor) for _, tensor in cutting._cut_points(graph, set())]


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
    assert [name for name, _ in cutting._cut_points(graph, set())] == names


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
    for _, tensor in [*cutting._cut_points(graph, set())][:-1]:
        features = keras.Model(graph.input, tensor)(values)
        np.testing.assert_allclose(keras.Model(tensor, graph.output)(features), graph(values), rtol=1e-5)
