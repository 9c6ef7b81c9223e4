"""MixUp and CutMix: in the training of a phase, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from phase_runs import Training, judged

import tinybench.data
from tinybench import models
from tinybench.config import run_config
from tinybench.config.sections import DataConfig
from tinybench.data import augment
from tinybench.data.dataset import Dataset
from tinybench.features.feed import PixelFeed
from tinybench.hardware import device
from tinybench.models import seeding
from tinybench.recipes.resolve import resolve
from tinybench.training import phases
from tinybench.training.checkpoint import Checkpoints
from tinybench.training.progress import EPOCH_METRICS, Epoch, Progress
from tinybench.training.steps import Steps

MIXERS = {"mixup": keras.layers.MixUp, "cutmix": keras.layers.CutMix}
BOTH = {"augment.mixup": 0.4, "augment.cutmix": 1.0}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return tinybench.data.load("digits", DataConfig(per_class=20), 0, image_size=16)


def settings(**overrides: Any) -> run_config.RunConfig:
    plain = {"augment.rotation": 0, "augment.translation": 0, "head.hidden": 16, "head.dropout": 0.3}
    return resolve("quickstart", plain | {"transfer.epochs": 3, "finetune.epochs": 3} | overrides)


def prepared(dataset: Dataset, **overrides: Any) -> tuple[keras.Model, keras.Model]:
    device.make_repeatable(0, True)
    chosen = settings(**overrides)
    model = models.build(chosen, dataset.shape, 10)
    trainer = phases.build_trainer(model, chosen, "transfer")
    seeding.seed_model(trainer, 0)
    return model, trainer


def trained_on(trainer: keras.Model, pixels: Any, labels: Any) -> tuple[Any, Any]:
    """The batch that a step's loss is of."""
    seen: list[Any] = []
    loss = trainer.compute_loss

    def watched(x: Any = None, y: Any = None, *others: Any, **options: Any) -> Any:
        seen.extend([np.asarray(x), np.asarray(y)])
        return loss(x, y, *others, **options)

    trainer.compute_loss = watched
    trainer.train_step((keras.ops.convert_to_tensor(pixels), keras.ops.convert_to_tensor(labels)))
    return seen[0], seen[1]


def batch(dataset: Dataset, count: int = 64) -> tuple[Any, Any]:
    return dataset.train.images(slice(count)).astype(np.float32), dataset.train.labels[:count]


@pytest.mark.parametrize("chosen", [{"augment.mixup": 0.4}, {"augment.cutmix": 1.0}, BOTH])
def test_labels_become_soft_and_sum_to_one_while_pixels_mix(digits: Dataset, chosen: dict[str, float]) -> None:
    _, trainer = prepared(digits, **chosen)
    pixels, labels = batch(digits)
    mixed, soft = trained_on(trainer, pixels, labels)
    assert mixed.shape == pixels.shape
    assert soft.shape == (64, 10)
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)
    assert soft.min() >= 0
    assert ((soft > 0.01) & (soft < 0.99)).any(axis=1).mean() > 0.3
    assert np.abs(mixed - pixels).max(axis=(1, 2, 3)).astype(bool).mean() > 0.3
    assert mixed.min() >= pixels.min() - 1e-3
    assert mixed.max() <= pixels.max() + 1e-3
    shares = (soft > 1e-6).sum(axis=1)
    assert shares.max() <= 2 ** len(chosen), "each mixing adds the labels of one other image"


def test_mixup_mixes_pixels_and_labels_in_the_same_share(digits: Dataset) -> None:
    _, trainer = prepared(digits, **{"augment.mixup": 1.0})
    pixels = np.zeros((10, 8, 8, 1), np.float32)
    pixels[:] = np.arange(10)[:, None, None, None] * 20
    mixed, soft = trained_on(trainer, pixels, np.arange(10, dtype=np.int32))
    np.testing.assert_allclose(
        mixed, np.broadcast_to((soft @ (np.arange(10) * 20))[:, None, None, None], mixed.shape), atol=1e-2
    )


def test_cutmix_pastes_a_part_with_its_share_of_the_label(digits: Dataset) -> None:
    _, trainer = prepared(digits, **{"augment.cutmix": 1.0})
    pixels = np.zeros((10, 8, 8, 1), np.float32)
    pixels[:] = np.arange(10)[:, None, None, None] * 20
    mixed, soft = trained_on(trainer, pixels, np.arange(10, dtype=np.int32))
    for image, (found, label) in enumerate(zip(mixed, soft, strict=True)):
        assert len(np.unique(found)) <= 2, "no pixel is a mean of two"
        own = np.mean(found == image * 20)
        assert label[image] == pytest.approx(own, abs=0.25), "a box need not end between two pixels"


def test_every_batch_is_mixed_in_another_way(digits: Dataset) -> None:
    _, trainer = prepared(digits, **BOTH)
    first, second = (trained_on(trainer, *batch(digits))[1] for _ in range(2))
    assert not np.allclose(first, second)


def test_mixing_is_a_function_of_the_seed(digits: Dataset) -> None:
    ways = []
    for seed in (0, 0, 1):
        _, trainer = prepared(digits, **BOTH)
        seeding.seed_model(trainer, seed)
        ways.append(trained_on(trainer, *batch(digits)))
    for one, two in zip(ways[0], ways[1], strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.allclose(ways[0][1], ways[2][1])


def test_mixing_is_off_unless_it_is_asked_for(digits: Dataset) -> None:
    assert augment.build_mixing(settings().augment, 0) == []
    _, trainer = prepared(digits)
    assert not [layer for layer in trainer._flatten_layers() if isinstance(layer, tuple(MIXERS.values()))]
    pixels, labels = batch(digits)
    seen, known = trained_on(trainer, pixels, labels)
    np.testing.assert_array_equal(seen, pixels)
    np.testing.assert_array_equal(known, labels)


@pytest.mark.parametrize(
    ("chosen", "names"),
    [({"augment.mixup": 0.4}, ["mixup"]), ({"augment.cutmix": 1.0}, ["cutmix"]), (BOTH, ["mixup", "cutmix"])],
)
def test_what_is_asked_for_mixes_in_that_order(chosen: dict[str, float], names: list[str]) -> None:
    mixers = augment.build_mixing(settings(**chosen).augment, 5)
    assert [type(mixer) for mixer in mixers] == [MIXERS[name] for name in names]
    assert [mixer.seed for mixer in mixers] == [5 + [*MIXERS].index(name) for name in names]


def test_validation_figures_are_those_without_mixing(digits: Dataset) -> None:
    plain_model, plain = prepared(digits)
    model, trainer = prepared(digits, **BOTH)
    model.set_weights(plain_model.get_weights())
    validation = PixelFeed(digits, 0).validation()
    figures = Steps(trainer, 32).evaluate(validation)
    assert sorted(figures) == ["accuracy", "loss", "top5"]
    assert figures == pytest.approx(Steps(plain, 32).evaluate(validation), rel=1e-5)


def test_evaluating_moves_no_generator(digits: Dataset) -> None:
    _, trainer = prepared(digits, **BOTH)
    states = [state for state in trainer.variables if "seed" in state.path]
    before = [state.numpy().copy() for state in states]
    Steps(trainer, 32).evaluate(PixelFeed(digits, 0).validation())
    for one, two in zip(before, states, strict=True):
        np.testing.assert_array_equal(one, two.numpy())


def test_the_saved_model_holds_no_mixing_layer(tmp_path: Path, digits: Dataset) -> None:
    model, trainer = prepared(digits, **BOTH)
    assert {type(mixer) for mixer in trainer.mixers} == {*MIXERS.values()}
    Steps(trainer, 32).train(PixelFeed(digits, 0).training(0), lambda step, losses: None)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert not [layer for layer in again._flatten_layers() if isinstance(layer, tuple(MIXERS.values()))]
    pixels, _ = batch(digits, 5)
    np.testing.assert_allclose(again(pixels), trainer(pixels, training=False), atol=1e-6)


def test_mixed_training_broken_off_and_resumed_is_the_same_to_the_bit(tmp_path: Path, digits: Dataset) -> None:
    device.make_repeatable(0, True)
    chosen = settings(**BOTH)
    straight = Training(tmp_path / "straight", digits, chosen, "transfer")
    _, progress = straight.run()
    broken = Training(tmp_path / "broken", digits, chosen, "transfer")
    broken.store.start.write_bytes(straight.store.start.read_bytes())
    with pytest.raises(KeyboardInterrupt):
        broken.run(stop_after=1)
    resumed = Training(tmp_path / "broken", digits, chosen, "transfer")
    _, progress_again = resumed.run()

    assert judged(progress_again) == judged(progress)
    for one, two in zip(resumed.trainer.variables, straight.trainer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    states = [variable for variable in straight.trainer.variables if "seed" in variable.path]
    assert len(states) >= 3, "of both mixers and of dropout"


def test_checkpoints_hold_the_states_of_the_mixers(tmp_path: Path, digits: Dataset) -> None:
    _, trainer = prepared(digits, **BOTH)
    store = Checkpoints(tmp_path / "phase")
    done = [trained_on(trainer, *batch(digits)) for _ in range(2)]
    store.save(trainer, Progress(epochs=[Epoch(1, dict.fromkeys(EPOCH_METRICS, 0.5), 0)]))
    following = trained_on(trainer, *batch(digits))
    assert not np.allclose(done[-1][1], following[1])
    _, fresh = prepared(digits, **BOTH)
    store.restore(fresh)
    for one, two in zip(trained_on(fresh, *batch(digits)), following, strict=True):
        np.testing.assert_array_equal(one, two)
