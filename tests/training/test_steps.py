"""Many steps in one call do what Keras does step by step."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tinybench import models
from tinybench.hardware import device
from tinybench.models import seeding
from tinybench.recipes.resolve import resolve
from tinybench.training import phases
from tinybench.training.steps import Steps, step_count

BATCH = 8


class Table:
    """Images in an order; remembers what was taken."""

    def __init__(self, inputs: Any, labels: Any, rows: Any, most: int = 10**6) -> None:
        self.inputs, self.labels, self.rows, self.max_images = inputs, labels, np.asarray(rows, np.int64), most
        self.taken: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        self.taken.append((start, stop))
        return self.inputs, self.labels, self.rows[start:stop]


class Picked(Table):
    """The same, but only the images that are taken are in the table."""

    def take(self, start: int, stop: int) -> tuple[Any, Any, Any]:
        self.taken.append((start, stop))
        places = self.rows[start:stop]
        return self.inputs[places], self.labels[places], np.arange(len(places))


def digits(count: int = 45) -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (count, 8, 8, 1), np.uint8), generator.integers(0, 10, count).astype(np.int32)


def compiled(**overrides: Any) -> keras.Model:
    """A trainer with augmentation and dropout, the same each time to the bit."""
    device.make_repeatable(0, True)
    small = {"image_size": 8, "head.hidden": 16, "head.dropout": 0.3, "augment.flip": True}
    chosen = resolve("quickstart", small | overrides)
    trainer = phases.build_trainer(models.build(chosen, (8, 8, 1), 10), chosen, "finetune")
    seeding.seed_model(trainer, 3)
    return trainer


def linear(size: int = 3) -> keras.Model:
    """As little as can be trained."""
    keras.utils.set_random_seed(0)
    trainer = keras.Sequential([keras.Input((size,)), keras.layers.Dense(4, activation="softmax")])
    trainer.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return trainer


@functools.cache
def shared() -> Steps:
    """For many examples, which compile once."""
    return Steps(linear(), BATCH)


def points(count: int, dtype: Any = np.float32, size: int = 3) -> tuple[Any, Any]:
    generator = np.random.default_rng(count)
    return generator.integers(0, 9, (count, size)).astype(dtype), generator.integers(0, 4, count).astype(np.int32)


def state(trainer: keras.Model) -> list[Any]:
    """Weights, optimizer and random generators."""
    generators = [variable for variable in trainer.variables if "seed" in variable.path]
    return [each.numpy().copy() for each in [*trainer.weights, *generators, *trainer.optimizer.variables]]


def by_hand(trainer: keras.Model, table: Table) -> dict[str, float]:
    """An epoch of Keras's own steps in the same order; the figures are means over the images."""
    sums: dict[str, float] = {}
    for start in range(0, len(table), BATCH):
        rows = table.rows[start : start + BATCH]
        inputs = np.asarray(table.inputs)[rows].astype(np.float32)
        logs = trainer.train_on_batch(inputs, np.asarray(table.labels)[rows], return_dict=True)
        for name, value in logs.items():
            sums[name] = sums.get(name, 0) + float(value) * len(rows)
    return {name: value / len(table) for name, value in sums.items()}


def ignored(step: int, losses: Any) -> None:
    pass


def test_an_epoch_is_that_of_keras_s_own_steps_to_the_bit() -> None:
    inputs, labels = digits()
    ours, theirs, fitted = compiled(), compiled(), compiled()
    generators = [variable.path for variable in ours.variables if "seed" in variable.path]
    assert len(generators) == 4, "flip, rotation, translation, dropout"
    steps = Steps(ours, BATCH)
    for epoch in range(3):
        rows = np.random.default_rng(epoch).permutation(len(labels))
        table = Table(inputs, labels, rows)
        figures = steps.train(table, ignored)
        expected = by_hand(theirs, table)
        history = fitted.fit(inputs[rows].astype(np.float32), labels[rows], BATCH, shuffle=False, verbose=0).history
        assert sorted(figures) == ["accuracy", "loss", "top5"]
        assert figures == pytest.approx(expected, rel=1e-5)
        assert figures == pytest.approx({name: values[0] for name, values in history.items()}, rel=1e-6)
        for one, two, three in zip(state(ours), state(theirs), state(fitted), strict=True):
            np.testing.assert_array_equal(one, two)
            np.testing.assert_array_equal(one, three)
    assert int(ours.optimizer.iterations) == 3 * 6, "the last batch of five is a step too"


def test_evaluate_is_that_of_keras_and_changes_nothing() -> None:
    inputs, labels = digits()
    trainer = compiled()
    steps = Steps(trainer, BATCH)
    before = state(trainer)
    figures = steps.evaluate(Table(inputs, labels, np.arange(len(labels))))
    expected = trainer.evaluate(inputs.astype(np.float32), labels, batch_size=BATCH, verbose=0, return_dict=True)
    assert figures == pytest.approx(expected, rel=1e-6)
    assert steps.evaluate(Table(inputs, labels, np.arange(len(labels)))) == figures
    for one, two in zip(before, state(trainer), strict=True):
        np.testing.assert_array_equal(one, two)


def test_figures_of_training_leave_nothing_to_those_of_validation() -> None:
    inputs, labels = digits()
    table = Table(inputs, labels, np.arange(len(labels)))
    trainer = compiled(**{"finetune.lr": 1e-9})
    steps = Steps(trainer, BATCH)
    alone = steps.evaluate(table)
    steps.train(table, ignored)
    assert steps.evaluate(table) == pytest.approx(alone, rel=1e-4)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40))
@hypothesis_settings(deadline=None, max_examples=30)
@example([6, 6, 6, 0, 1])
def test_rows_in_any_order_and_repeated_are_as_if_they_were_picked(rows: list[int]) -> None:
    inputs, labels = points(7)
    steps, table = shared(), Table(inputs, labels, rows)
    figures = steps.evaluate(table)
    assert figures == steps.evaluate(Picked(inputs, labels, rows))
    probabilities = np.asarray(steps.trainer(inputs))[rows]
    chosen = labels[rows]
    assert figures["accuracy"] == pytest.approx(np.mean(probabilities.argmax(1) == chosen))
    assert figures["loss"] == pytest.approx(-np.mean(np.log(probabilities[range(len(rows)), chosen])), rel=1e-4)


@given(size=st.integers(1, 400), most=st.integers(1, 100))
@hypothesis_settings(deadline=None, max_examples=30)
def test_everything_is_taken_once_and_never_more_than_most_at_once(size: int, most: int) -> None:
    table = Table(*points(size), np.arange(size), most)
    shared().train(table, ignored)
    starts, stops = zip(*table.taken, strict=True)
    assert starts == (0, *stops[:-1])
    assert stops[-1] == size
    allowed = max(most, BATCH)  # less than a step cannot be taken
    assert all(stop - start <= allowed for start, stop in table.taken)
    assert all((stop - start) % BATCH == 0 for start, stop in table.taken[:-1])


def test_short_calls_take_more_and_more() -> None:
    steps = Steps(linear(), BATCH)
    inputs, labels = points(BATCH)
    rows = np.zeros(BATCH * 200, np.int64)
    steps.train(Table(inputs, labels, rows), ignored)  # the first call compiles
    table = Table(inputs, labels, rows)
    steps.train(table, ignored)
    sizes = [stop - start for start, stop in table.taken]
    assert sizes == sorted(sizes[:-1]) + sizes[-1:]
    assert sizes[0] > BATCH, "what was learned of the pace holds for the next epoch"
    assert len(sizes) < 10


@pytest.mark.parametrize("size", [1, 10 * BATCH - 1])
def test_report_gets_every_step_once_with_the_mean_loss_so_far(size: int) -> None:
    inputs, labels = points(size)
    ours, theirs = linear(), linear()
    reports: list[tuple[int, list[float]]] = []
    figures = Steps(ours, BATCH).train(
        Table(inputs, labels, np.arange(size), most=3 * BATCH),
        lambda step, losses: reports.append((step, losses.tolist())),
    )
    done = 0
    for step, losses in reports:
        assert step == done
        assert losses
        done += len(losses)
    assert done == step_count(size, BATCH)
    found = [loss for _, losses in reports for loss in losses]
    assert found[-1] == figures["loss"]
    weighted = 0.0
    for step, start in enumerate(range(0, size, BATCH)):
        where = slice(start, start + BATCH)
        weighted += theirs.train_on_batch(inputs[where], labels[where], return_dict=True)["loss"] * len(labels[where])
        assert found[step] == pytest.approx(weighted / min(start + BATCH, size), rel=1e-5)


def test_what_report_raises_comes_out_between_two_calls() -> None:
    def stop(step: int, losses: Any) -> None:
        if step >= 2:
            raise KeyboardInterrupt

    trainer = linear()
    with pytest.raises(KeyboardInterrupt):
        Steps(trainer, BATCH).train(Table(*points(10 * BATCH), np.arange(10 * BATCH), most=BATCH), stop)
    assert int(trainer.optimizer.iterations) == 3


def test_any_number_of_images_takes_one_trace() -> None:
    trainer = compiled(**{"augment.flip": False, "augment.rotation": 0, "augment.translation": 0})
    traces = {"train": 0, "test": 0}
    train_step, test_step = trainer.train_step, trainer.test_step

    def training(data: Any) -> Any:
        traces["train"] += 1
        return train_step(data)

    def testing(data: Any) -> Any:
        traces["test"] += 1
        return test_step(data)

    trainer.train_step, trainer.test_step = training, testing
    steps = Steps(trainer, BATCH)
    for size in (1, 7, BATCH, BATCH + 1, 100, 3):
        inputs, labels = digits(size)
        steps.train(Table(inputs, labels, np.arange(size)), ignored)
        steps.train(Picked(inputs, labels, np.arange(size), most=2 * BATCH), ignored)
        steps.evaluate(Table(inputs, labels, np.arange(size)))
    assert traces == {"train": 1, "test": 1}


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32])
def test_inputs_of_any_type_train_as_float32(dtype: Any) -> None:
    inputs, labels = points(20, dtype)
    ours, theirs = linear(), linear()
    table = Table(inputs, labels, np.arange(20)[::-1])
    assert Steps(ours, BATCH).train(table, ignored) == pytest.approx(by_hand(theirs, table), rel=1e-5)
    for one, two in zip(state(ours), state(theirs), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


def test_a_table_on_the_device_is_as_good() -> None:
    inputs, labels = points(20)
    ours, theirs = linear(), linear()
    rows = np.random.default_rng(0).permutation(20)
    there = Table(keras.ops.convert_to_tensor(inputs), keras.ops.convert_to_tensor(labels), rows)
    assert Steps(ours, BATCH).train(there, ignored) == Steps(theirs, BATCH).train(Table(inputs, labels, rows), ignored)


@given(st.integers(0, 10**6), st.integers(1, 10**4))
def test_count_of_steps(images: int, batch_size: int) -> None:
    steps = step_count(images, batch_size)
    assert (steps - 1) * batch_size < images <= steps * batch_size or images == steps == 0
