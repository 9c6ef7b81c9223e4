"""Checkpoints: what goes in comes back, and a full disk costs nothing that was there."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinybench import models
from tinybench.core.errors import TrainingError
from tinybench.models import seeding
from tinybench.recipes.resolve import resolve
from tinybench.training import checkpoint, phases
from tinybench.training.checkpoint import Checkpoints
from tinybench.training.progress import EPOCH_METRICS, Epoch, Progress

FINITE = st.floats(allow_nan=False, allow_infinity=False)
METRICS = st.dictionaries(st.sampled_from(EPOCH_METRICS), FINITE)
EPOCHS = st.builds(Epoch, st.integers(1, 99), METRICS, st.integers(0, 2**50))


def trainer(**overrides) -> keras.Model:
    chosen = resolve("quickstart", {"head.hidden": 4} | overrides)
    return phases.build_trainer(models.build(chosen, (8, 8, 1), 3), chosen, "finetune")


def step(model: keras.Model, seed: int = 0) -> float:
    images = np.random.default_rng(seed).integers(0, 256, (6, 8, 8, 1), np.uint8)
    return float(model.train_on_batch(images, np.array([0, 1, 2, 0, 1, 2], np.int32))[0])


def progress(*numbers: int, best: int = 0) -> Progress:
    return Progress([Epoch(number, {"train/seconds": 1.5}, number) for number in numbers], best)


def state(model: keras.Model) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable).copy() for variable in checkpoint._checkpoint_variables(model)]


def full(_descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@given(st.builds(Progress, st.lists(EPOCHS, max_size=3), st.integers(0, 99), METRICS, st.booleans()))
def test_progress_survives_json(given_progress: Progress) -> None:
    assert Progress.from_json(given_progress.to_json()) == given_progress


def test_counters_survive_json_and_seconds_add_up() -> None:
    before = progress(1, 2)
    before.counters = {"EarlyStopping": {"best": 0.5, "wait": 1, "best_epoch": 0}}
    assert Progress.from_json(before.to_json()) == before
    assert before.seconds == 3.0


def test_another_trainer_goes_on_from_the_checkpoint_to_the_bit(tmp_path: Path) -> None:
    first, second = trainer(), trainer()
    seeding.seed_model(first, 7)
    step(first)
    store = Checkpoints(tmp_path / "phase")
    store.save(first, progress(1))
    saved = state(first)
    assert not all(np.array_equal(a, b) for a, b in zip(saved, state(second), strict=True))
    assert Checkpoints(tmp_path / "phase").restore(second) == progress(1)
    for one, two in zip(saved, state(second), strict=True):
        np.testing.assert_array_equal(one, two)
    assert int(second.optimizer.iterations) == 1
    assert len(seeding.generator_states(first)) >= 3, "dropout, rotation, translation"
    assert step(first, 1) == step(second, 1)


def test_generators_are_a_function_of_the_seed() -> None:
    first, second = trainer(), trainer()
    for seed, like in [(1, True), (2, False)]:
        seeding.seed_model(first, 1)
        seeding.seed_model(second, seed)
        pairs = zip(seeding.generator_states(first), seeding.generator_states(second), strict=True)
        assert all(np.array_equal(one.numpy(), two.numpy()) for one, two in pairs) == like


def test_nothing_to_restore_is_a_fresh_start(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "phase").restore(trainer()) == Progress()


def test_only_the_latest_are_kept_and_the_latest_is_restored(tmp_path: Path) -> None:
    model, store = trainer(), Checkpoints(tmp_path / "phase", keep=2)
    for number in range(1, 5):
        store.save_best(model, number)
        store.save(model, progress(*range(1, number + 1), best=number))
    assert [path.name for path in store.paths()] == ["epoch-0003.npz", "epoch-0004.npz"]
    assert [path.name for path in store.folder.glob("best-*")] == ["best-0004.npz"]
    assert len(store.restore(model).epochs) == 4
    assert not [*store.folder.glob("*.part")]


def test_the_best_weights_come_back(tmp_path: Path) -> None:
    model, store = trainer(), Checkpoints(tmp_path / "phase")
    store.save_best(model, 3)
    best = model.get_weights()
    step(model)
    assert not np.array_equal(model.get_weights()[0], best[0])
    store.restore_best(model, progress(3, 4, best=3))
    for one, two in zip(model.get_weights(), best, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_checkpoint_of_another_model(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path / "phase")
    store.save(trainer(), progress(1))
    with pytest.raises(TrainingError, match=r"epoch-0001\.npz belongs to another model: it holds \d+ arrays, not \d+"):
        store.restore(trainer(**{"head.hidden": 5}))


def test_the_start_is_a_whole_model(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path / "phase")
    model = trainer().layers[-1]
    store.save_start(model)
    again = keras.saving.load_model(store.start, compile=False)
    for one, two in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert [path.name for path in store.folder.iterdir()] == ["start.keras"]


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, store = trainer(), Checkpoints(tmp_path / "phase", keep=1)
    store.save_best(model, 1)
    store.save(model, progress(1, best=1))
    files = {path.name: path.read_bytes() for path in store.folder.iterdir()}
    step(model)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, "fsync", full)
        for write in (lambda: store.save(model, progress(1, 2, best=2)), lambda: store.save_best(model, 2)):
            with pytest.raises(TrainingError, match=r"Cannot write .*-0002\.npz: No space left on device\. Make room"):
                write()
    assert {path.name: path.read_bytes() for path in store.folder.iterdir()} == files
    assert store.restore(model) == progress(1, best=1)


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    model, store = trainer(), Checkpoints(tmp_path / "phase")
    shutil.rmtree(store.folder)
    with pytest.raises(TrainingError, match=r"Cannot write .*epoch-0001\.npz: No such file or directory"):
        store.save(model, progress(1))
    with pytest.raises(TrainingError, match=r"Cannot write .*part\.keras"):
        store.save_start(model)


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / "epoch-0001.npz.77.part").write_bytes(b"half")
    (tmp_path / "epoch-0001.part").write_bytes(b"half, by earlier code")
    (tmp_path / "epoch-0001.npz").write_bytes(b"whole")
    assert [path.name for path in Checkpoints(tmp_path).paths()] == ["epoch-0001.npz"]
    assert [path.name for path in tmp_path.iterdir()] == ["epoch-0001.npz"]
