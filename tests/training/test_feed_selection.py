"""What a phase is fed with: kept features train as live pixels do, and whatever stands in the way is said."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
from recorded_events import RecordedEvents

import tinybench.data
from tinybench import models
from tinybench.config import run_config
from tinybench.config.sections import DataConfig
from tinybench.core import cache as storage
from tinybench.data.dataset import Dataset
from tinybench.features import phase_banks, shards
from tinybench.features.feed_decision import FeedDecision
from tinybench.hardware import device
from tinybench.recipes.resolve import resolve
from tinybench.training import feed_selection, loop, phases
from tinybench.training.checkpoint import Checkpoints
from tinybench.training.phase_context import PhaseContext
from tinybench.training.progress import Progress
from tinybench.training.run_callbacks import RunCallbacks


@pytest.fixture
def digits() -> Dataset:
    return tinybench.data.load("digits", DataConfig(per_class=20), 0, image_size=16)


def settings(**overrides) -> run_config.RunConfig:
    plain = {"augment.rotation": 0, "augment.translation": 0, "precision": "float32", "engine": "keras"}
    short = {"head.hidden": 16, "head.dropout": 0.3, "transfer.epochs": 3, "finetune.epochs": 3, "finetune.unfreeze": 3}
    return resolve("quickstart", plain | short | overrides)


def train(
    folder: Path,
    dataset: Dataset,
    chosen: run_config.RunConfig,
    phase: str = "transfer",
    heard: RecordedEvents | None = None,
) -> tuple[keras.Model, Progress, FeedDecision]:
    """A phase as a job runs it."""
    device.make_repeatable(chosen.seed, True)
    store = Checkpoints(folder)
    if not store.start.exists():
        store.save_start(models.build(chosen, dataset.shape, len(dataset.class_names)))
    model = keras.saving.load_model(store.start, compile=False)
    context = PhaseContext(chosen, phase, dataset, store)
    with feed_selection.select_feed(context, model, heard or RecordedEvents()) as given:
        trainer = phases.build_trainer(model, chosen, phase, given.cut, augmented=given.decision.augmented)
        progress = loop.fit(trainer, given.feed, context, RunCallbacks())
        return model, progress, given.decision


def curve(progress: Progress, name: str = "train/loss") -> list[float]:
    return [epoch.metrics[name] for epoch in progress.epochs]


@pytest.mark.parametrize("phase", ["transfer", "finetune"])
def test_kept_features_train_as_live_pixels_do(tmp_path: Path, digits: Dataset, phase: str) -> None:
    live_model, live, decision = train(tmp_path / "live", digits, settings(**{f"{phase}.views": "live"}), phase)
    assert decision.mode == "live"
    kept_model, kept, decision = train(tmp_path / "kept", digits, settings(), phase)
    assert decision.mode == "bank"
    for name in ("train/loss", "val/loss"):
        np.testing.assert_allclose(curve(kept, name), curve(live, name), atol=1e-4)
    assert curve(kept)[-1] < curve(kept)[0]
    for one, two in zip(kept_model.get_weights(), live_model.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-4)


def test_mixing_rules_the_bank_out_and_says_so(tmp_path: Path, digits: Dataset) -> None:
    for name in ("mixup", "cutmix"):
        heard = RecordedEvents()
        _, progress, decision = train(tmp_path / name, digits, settings(**{f"augment.{name}": 0.4}), heard=heard)
        assert decision.mode == "live"
        assert heard.lines == [f"transfer: trained on pixels, as they are: augment.{name} mixes the images of a batch."]
        assert curve(progress)[-1] < curve(progress)[0]


def test_over_the_budget_it_goes_on_live_and_says_so(tmp_path: Path, digits: Dataset) -> None:
    heard = RecordedEvents()
    _, progress, decision = train(tmp_path / "phase", digits, settings(**{"cache.budget": "1kB"}), heard=heard)
    assert decision.mode == "live"
    assert heard.lines[-1] == (
        "transfer: trained on pixels, as they are: 51.2 kB of features are over the budget of 1.0 kB (cache.budget)."
    )
    assert len(progress.epochs) == 3
    assert storage.list_entries() == [entry for entry in storage.list_entries() if entry.kind == "data"]


def test_over_the_budget_a_fast_engine_still_runs_the_frozen_part(tmp_path: Path, digits: Dataset) -> None:
    pytest.importorskip("openvino")
    over = settings(**{"cache.budget": "1kB", "engine": "openvino"})
    _, streamed, decision = train(tmp_path / "streamed", digits, over)
    assert (decision.mode, decision.engine, decision.computing) == ("engine", "openvino", "float32")
    _, live, _ = train(tmp_path / "live", digits, settings(**{"transfer.views": "live"}))
    np.testing.assert_allclose(curve(streamed), curve(live), atol=1e-4)


def test_augmented_and_streamed_it_resumes_to_the_bit(tmp_path: Path, digits: Dataset) -> None:
    pytest.importorskip("openvino")
    chosen = settings(**{"transfer.views": "live", "engine": "openvino", "augment.rotation": 20})
    model, straight, _ = train(tmp_path / "straight", digits, chosen)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "start.keras").write_bytes((tmp_path / "straight" / "start.keras").read_bytes())
    train(broken, digits, settings(**chosen.flat() | {"transfer.epochs": 1}))
    resumed_progress = Checkpoints(broken).paths()[-1]
    arrays = dict(np.load(resumed_progress))
    arrays["progress"] = np.asarray(str(arrays["progress"]).replace('"stopped": true', '"stopped": false'))
    np.savez(resumed_progress.open("wb"), **arrays)
    model_again, resumed, decision = train(broken, digits, chosen)
    assert decision.mode == "engine"
    assert curve(resumed) == curve(straight)
    for one, two in zip(model_again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_without_anything_frozen_it_trains_on_pixels(tmp_path: Path, digits: Dataset) -> None:
    heard = RecordedEvents()
    _, _, decision = train(tmp_path / "phase", digits, settings(**{"finetune.unfreeze": "all"}), "finetune", heard)
    assert decision.mode == "live"
    assert "nothing is frozen below the first layer that is trained" in heard.lines[-1]


def test_the_second_time_nothing_is_computed(tmp_path: Path, digits: Dataset) -> None:
    first, second = RecordedEvents(), RecordedEvents()
    _, progress, decision = train(tmp_path / "first", digits, settings(), heard=first)
    _, again, decision_again = train(tmp_path / "second", digits, settings(**{"transfer.lr": 3e-3}), heard=second)
    assert sum(first.images) == first.total == decision.images == 200 == decision.bytes / 64 / 4
    assert second.images == []
    assert decision_again.images == 0
    assert decision_again.seconds == 0
    assert second.lines == [
        "transfer: features of 200 images as they are at pooling (64), 51.2 kB are stored already, by keras float32."
    ]
    assert curve(again) == curve(progress)


def test_another_seed_and_another_share_of_validation_find_the_same_features(tmp_path: Path, digits: Dataset) -> None:
    heard = RecordedEvents()
    train(tmp_path / "first", digits, settings())
    other = tinybench.data.load("digits", DataConfig(per_class=20, validation=0.3), 5, image_size=16)
    store = tmp_path / "second"
    store.mkdir()
    (store / "start.keras").write_bytes((tmp_path / "first" / "start.keras").read_bytes())
    chosen = settings(seed=5, **{"data.validation": 0.3})
    same = set(other.train.pool.digests[np.r_[other.train.rows, other.validation.rows]])
    assert same == set(digits.train.pool.digests[np.r_[digits.train.rows, digits.validation.rows]])
    _, _, decision = train(store, other, chosen, heard=heard)
    assert decision.images == 0


def test_views_are_kept_beside_the_plain_one(tmp_path: Path, digits: Dataset) -> None:
    _, _, decision = train(tmp_path / "phase", digits, settings(**{"augment.rotation": 20, "transfer.views": 2}))
    assert decision.images == 200 + 2 * len(digits.train)
    _, _, more = train(tmp_path / "more", digits, settings(**{"augment.rotation": 20, "transfer.views": 3}))
    assert more.images == len(digits.train), "the views that are there are used"


def test_features_beyond_float16_are_kept_in_float32(tmp_path: Path, digits: Dataset) -> None:
    pixels = keras.Input((16, 16, 3))
    large = keras.layers.Rescaling(1e4, name="large")(keras.layers.Conv2D(4, 3, name="conv")(pixels))
    keras.Model(pixels, large).save("large.keras")
    heard = RecordedEvents()
    chosen = settings(model="large.keras", weights="file", precision="auto", **{"transfer.epochs": 1})
    _, _, decision = train(tmp_path / "phase", digits, chosen, heard=heard)
    assert decision.dtype == "float32"
    assert any("beyond 65504" in line for line in heard.lines)


def test_a_full_disk_costs_the_bank_and_not_the_run(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        monkeypatch.setenv("TINYBENCH_CACHE", str(small))
        heard = RecordedEvents()
        _, _, decision = train(tmp_path / "ahead", digits, settings(), heard=heard)
        assert decision.mode == "live"
        assert "are too much for the disk" in heard.lines[-1] or "over the budget" in heard.lines[-1]

        monkeypatch.setattr(phase_banks, "_RESERVE", -(2**40))  # so that it fills up while it is written
        heard = RecordedEvents()
        _, progress, decision = train(tmp_path / "during", digits, settings(**{"cache.budget": "1GB"}), heard=heard)
        assert decision.mode == "live"
        assert "No space left on device" in heard.lines[-1]
        assert len(progress.epochs) == 3
        assert not [*small.rglob("*.npy"), *small.rglob("*.part")], "what filled the disk is gone"

        monkeypatch.setattr(phase_banks, "_RESERVE", 0)
        whole = settings(**{"data.per_class": 20, "cache.budget": "1GB", "precision": "auto", "head.hidden": 8})
        _, _, decision = train(tmp_path / "fits", digits, whole)
        assert decision.mode == "bank", "25.6 kB in float16"
        monkeypatch.setattr(phase_banks, "_RESERVE", -(2**40))
        views = settings(**whole.flat() | {"augment.rotation": 20, "transfer.views": 1})
        _, _, decision = train(tmp_path / "one view more", digits, views)
        assert decision.mode == "live"
        _, _, decision = train(tmp_path / "again", digits, whole)
        assert decision.images == 0, "what was complete before stays"
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_resumed_phase_computes_what_was_removed_meanwhile(tmp_path: Path, digits: Dataset) -> None:
    _, progress, _ = train(tmp_path / "phase", digits, settings())
    storage.prune(0)
    _, again, decision = train(tmp_path / "phase", digits, settings())
    assert decision.mode == "bank"
    assert decision.images == 400, "of both times"
    assert again == progress


def test_a_bank_that_is_used_is_not_removed(tmp_path: Path, digits: Dataset) -> None:
    chosen = settings()
    model = models.build(chosen, digits.shape, len(digits.class_names))
    context = PhaseContext(chosen, "transfer", digits, Checkpoints(tmp_path / "phase"))
    with feed_selection.select_feed(context, model, RecordedEvents()):
        assert storage.prune(0, ("features",)) == []
    assert len(storage.prune(0, ("features",))) == 1


def test_least_recently_used_features_make_room(tmp_path: Path, digits: Dataset) -> None:
    for seed in range(3):
        train(tmp_path / str(seed), digits, settings(**{"cache.budget": "120kB", "head.pooling": "avg", "seed": seed}))
    kept = [entry for entry in storage.list_entries() if entry.kind == "features"]
    assert len(kept) == 2, "three of 51 kB are more than 120 kB"


def test_the_decision_is_written_beside_the_checkpoints(tmp_path: Path, digits: Dataset) -> None:
    _, _, decision = train(tmp_path / "phase", digits, settings())
    assert json.loads((tmp_path / "phase" / "feed.json").read_text())["mode"] == decision.mode == "bank"


def test_where_features_cannot_be_kept_the_same_is_trained(tmp_path: Path, digits: Dataset) -> None:
    plain = settings(**{"augment.rotation": 40})
    heard = RecordedEvents()
    on_kept, kept, decision = train(tmp_path / "kept", digits, plain, heard=heard)
    assert decision.mode == "bank"
    assert heard.lines[0].endswith("They are not augmented: transfer.views is 0.")
    storage.prune(0, ("features",))
    _, refused, decision = train(tmp_path / "refused", digits, settings(**plain.flat() | {"cache.budget": "1kB"}))
    assert (decision.mode, decision.augmented) == ("live", False)
    np.testing.assert_allclose(curve(refused), curve(kept), atol=1e-4)
    augmented, _, decision = train(tmp_path / "live", digits, settings(**plain.flat() | {"transfer.views": "live"}))
    assert (decision.mode, decision.augmented) == ("live", True)
    kernels = [np.asarray(model.get_layer("hidden").kernel) for model in (augmented, on_kept)]
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-3, "augmentation leads to another head"


def test_what_another_engine_has_begun_is_gone_on_with(
    tmp_path: Path, digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "_MAX_ROWS", 64)
    chosen = settings(precision="auto", engine="auto")
    _, _, decision = train(tmp_path / "first", digits, chosen)
    assert decision.images == 200
    [bank] = [entry.folder for entry in storage.list_entries() if entry.kind == "features"]
    sorted(bank.glob("*.npy"))[1].unlink()
    heard = RecordedEvents()
    _, _, decision = train(tmp_path / "second", digits, chosen, heard=heard)
    assert decision.images == 64
    assert "by keras" not in heard.lines[0]
    assert "computing features" in heard.lines[0]


def test_a_cache_that_is_only_read_is_used(tmp_path: Path, digits: Dataset) -> None:
    train(tmp_path / "first", digits, settings())
    cache = storage.root_folder()
    if subprocess.run(["mount", "--bind", "-o", "ro", str(cache), str(cache)], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(cache)], check=True)
        _, _, decision = train(tmp_path / "second", digits, settings())
        assert (decision.mode, decision.images) == ("bank", 0)
        assert storage.prune(0) == []
        heard = RecordedEvents()
        _, _, decision = train(tmp_path / "third", digits, settings(image_size=8), heard=heard)
        assert decision.mode == "live"
        assert "Read-only file system" in heard.lines[-1]
    finally:
        subprocess.run(["umount", str(cache)], check=True)
