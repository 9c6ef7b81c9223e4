"""Optimizers in one operation are Keras's."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tinybench import models
from tinybench.recipes.resolve import resolve
from tinybench.training import phases
from tinybench.training.optimizers import SGD, Adam

SHAPES = st.lists(st.lists(st.integers(1, 4), max_size=3).map(tuple), min_size=1, max_size=3)


class Descent:
    """Some variables, an optimizer, and the same gradients whoever asks."""

    def __init__(self, kind: type[keras.optimizers.Optimizer], shapes: list[tuple[int, ...]], **options: Any) -> None:
        self.generator = np.random.default_rng(0)
        self.variables = [keras.Variable(self.generator.normal(size=shape), dtype="float32") for shape in shapes]
        self.optimizer = kind(**options)
        self.optimizer.build(self.variables)

    def gradients(self) -> list[Any]:
        scale = 10.0 ** self.generator.integers(-4, 3)
        return [tf.constant(self.generator.normal(0, scale, each.shape), tf.float32) for each in self.variables]

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self.optimizer.apply(self.gradients(), self.variables)

    @property
    def state(self) -> list[Any]:
        return [each.numpy().copy() for each in [*self.variables, *self.optimizer.variables]]


def apart(one: Descent, two: Descent, most: float = 1.0) -> float:
    """How far two states are from each other, as a multiple of what rounding explains after steps of `most` in all.

    1 - .9999 has an error of 3e-4 in float32.
    """
    found = 0.0
    for place, (ours, theirs) in enumerate(zip(one.state, two.state, strict=True)):
        moved = place < len(one.variables)
        bound = (3e-4 * most + 1e-6 * np.abs(theirs)) if moved else (1e-8 + 1e-3 * np.abs(theirs))
        found = max(found, float((np.abs(np.asarray(ours) - theirs) / bound).max(initial=0)))
    return found


def pair(shapes: list[tuple[int, ...]], **options: Any) -> tuple[Descent, Descent]:
    return Descent(Adam, shapes, **options), Descent(keras.optimizers.Adam, shapes, **options)


@given(
    shapes=SHAPES,
    lr=st.floats(1e-6, 1),
    beta_1=st.floats(0, 0.99),
    beta_2=st.floats(0.5, 0.9999),
    steps=st.integers(1, 30),
)
@settings(deadline=None, max_examples=30)
def test_many_steps_are_those_of_keras(
    shapes: list[tuple[int, ...]], lr: float, beta_1: float, beta_2: float, steps: int
) -> None:
    ours, theirs = pair(shapes, learning_rate=lr, beta_1=beta_1, beta_2=beta_2)
    ours.step(steps)
    theirs.step(steps)
    assert apart(ours, theirs, lr * steps) <= 1
    assert int(ours.optimizer.iterations) == steps


def test_a_thousand_steps_in_a_graph_are_those_of_keras() -> None:
    ours, theirs = pair([(3, 2), (2,)], learning_rate=0.01)
    for descent in (ours, theirs):
        apply = tf.function(lambda gradients, descent=descent: descent.optimizer.apply(gradients, descent.variables))
        for _ in range(1000):
            apply(descent.gradients())
    assert apart(ours, theirs, 0.1) <= 1


@given(st.lists(st.floats(1e-5, 1), min_size=2, max_size=4))
@settings(deadline=None, max_examples=20)
def test_learning_rate_may_change_midway(rates: list[float]) -> None:
    ours, theirs = pair([(4,), (2, 3)])
    for rate in rates:
        for descent in (ours, theirs):
            descent.optimizer.learning_rate = rate
            descent.step(5)
        assert apart(ours, theirs, 5 * sum(rates)) <= 1


def test_learning_rate_changed_between_calls_of_one_graph_counts() -> None:
    descent = Descent(Adam, [(4,)], learning_rate=0.5)
    apply = tf.function(lambda gradients: descent.optimizer.apply(gradients, descent.variables))
    apply(descent.gradients())
    before = descent.variables[0].numpy()
    descent.optimizer.learning_rate = 0.0
    apply(descent.gradients())
    np.testing.assert_array_equal(descent.variables[0].numpy(), before)


def test_state_has_the_names_shapes_and_order_of_keras() -> None:
    variables = [keras.Variable(np.zeros(shape, np.float32), name=f"v{shape}") for shape in [(2, 3), (3,)]]
    described = []
    for kind in (Adam, keras.optimizers.Adam):
        optimizer = kind(name="adam")
        optimizer.build(variables)
        state = [(each.path, tuple(each.shape), each.dtype) for each in optimizer.variables]
        described.append((state, optimizer.get_config()))
    assert described[0] == described[1]
    assert len(described[0][0]) == 2 + 2 * 2, "iterations and learning rate, then two moments each"


@pytest.mark.parametrize(("first", "second"), [(Adam, keras.optimizers.Adam), (keras.optimizers.Adam, Adam)])
def test_a_checkpoint_of_one_fits_the_other(first: type[Any], second: type[Any]) -> None:
    straight = Descent(first, [(3, 3), (2,)], learning_rate=0.1)
    straight.step(7)
    changed = Descent(second, [(3, 3), (2,)], learning_rate=0.1)
    for variable, value in zip([*changed.variables, *changed.optimizer.variables], straight.state, strict=True):
        variable.assign(value)
    changed.generator = np.random.default_rng(5)
    straight.generator = np.random.default_rng(5)
    straight.step(7)
    changed.step(7)
    assert apart(changed, straight) <= 1
    assert int(changed.optimizer.iterations) == 14


def test_a_phase_trains_with_it() -> None:
    chosen = resolve("quickstart", {"image_size": 8})
    trainer = phases.build_trainer(models.build(chosen, (8, 8, 1), 3), chosen, "finetune")
    assert type(trainer.optimizer) is Adam


def test_variables_that_are_frozen_are_left_alone() -> None:
    descent = Descent(Adam, [(2,), (2,)])
    before = [variable.numpy() for variable in descent.variables]
    descent.optimizer.apply(descent.gradients()[:1], descent.variables[:1])
    assert not np.array_equal(descent.variables[0].numpy(), before[0])
    np.testing.assert_array_equal(descent.variables[1].numpy(), before[1])


def test_rows_of_an_embedding_train_as_with_keras() -> None:
    """A gradient that names only some rows."""
    ours, theirs = pair([(5, 2)], learning_rate=0.1)
    for descent in (ours, theirs):
        for rows in ([0, 3], [3], [1, 4]):
            slices = tf.IndexedSlices(tf.ones((len(rows), 2)), tf.constant(rows), tf.constant([5, 2]))
            descent.optimizer.apply([slices], descent.variables)
    assert apart(ours, theirs) <= 1


@given(
    shapes=SHAPES,
    lr=st.floats(1e-6, 1),
    momentum=st.one_of(st.just(0.0), st.floats(0.01, 0.99)),
    nesterov=st.booleans(),
    steps=st.integers(1, 20),
)
@settings(deadline=None, max_examples=30)
def test_many_steps_of_sgd_are_those_of_keras(
    shapes: list[tuple[int, ...]], lr: float, momentum: float, nesterov: bool, steps: int
) -> None:
    options = {"learning_rate": lr, "momentum": momentum, "nesterov": nesterov}
    ours, theirs = (Descent(kind, shapes, **options) for kind in (SGD, keras.optimizers.SGD))
    ours.step(steps)
    theirs.step(steps)
    for one, other in zip(ours.state, theirs.state, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * max(1.0, float(np.abs(other).max(initial=0))))
    assert int(ours.optimizer.iterations) == steps


def test_sgd_follows_a_schedule_in_a_graph() -> None:
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10, warmup_target=0.5, warmup_steps=3)
    both = [Descent(kind, [(3, 2)], learning_rate=schedule, momentum=0.9) for kind in (SGD, keras.optimizers.SGD)]
    for descent in both:
        step = tf.function(lambda gradients, at=descent: at.optimizer.apply(gradients, at.variables))
        for _ in range(10):
            step(descent.gradients())
    for one, other in zip(*(descent.state for descent in both), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
