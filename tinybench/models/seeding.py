"""Seed the random layers of a model, such as dropout and augmentation."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np


def seed_model(model: keras.Model, seed: int) -> None:
    """Give each random layer of a model a state that depends only on the seed and on the layer's position.

    Without this, the state would depend on how many layers the process has created before.
    """
    _seed(generator_states(model), [seed])


def seed_layers(layers: list[keras.layers.Layer], seeds: list[int]) -> None:
    """Give each random layer of a list a state that depends only on the seeds and on the layer's position."""
    _seed([state for layer in layers for state in generator_states(layer)], seeds)


def generator_states(layer: keras.layers.Layer) -> list[Any]:
    """Return the variables that hold the states of the random generators in a layer or model."""
    weights = {id(weight) for weight in layer.weights}
    return [variable for variable in layer.variables if id(variable) not in weights and "seed" in variable.path]


def _seed(states: list[Any], seeds: list[int]) -> None:
    for index, state in enumerate(states):
        values = np.random.SeedSequence([*seeds, index]).generate_state(2)
        state.assign(np.asarray(values % 2**31, dtype=state.dtype))
