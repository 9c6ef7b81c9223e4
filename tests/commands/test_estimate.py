"""What a run will take, before anybody starts it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tinybench.commands import estimate
from tinybench.commands.estimate import RunEstimate
from tinybench.core.errors import ConfigError, DataError, ModelError, WeightsError
from tinybench.job import preflight
from tinybench.recipes.resolve import resolve

HEAD, WHOLE = 4_810, 69_802


def plan(**settings) -> RunEstimate:
    return estimate.estimate_run(resolve("quickstart", {"batch_size": 8} | settings))


def counted(dataset: str, **settings) -> tuple:
    chosen = {f"data.{key}": value for key, value in settings.items()}
    return estimate._count_images(resolve("quickstart", {"dataset": dataset} | chosen))


@pytest.fixture(scope="module")
def quickstart() -> RunEstimate:
    return plan()


def test_what_is_there_is_counted(quickstart):
    assert quickstart.counted
    assert quickstart.images == (1_295, 143, 359)
    assert sum(quickstart.images) == 1_797
    assert quickstart.parameters == WHOLE


def test_phases_as_they_would_be_trained(quickstart):
    found = {name: (phase.epochs, phase.steps, phase.trainable) for name, phase in quickstart.phases.items()}
    assert found == {"transfer": (20, 162, HEAD), "finetune": (15, 162, WHOLE)}


def test_training_takes_time_and_unfrozen_layers_take_more(quickstart):
    an_epoch = {name: phase.seconds / phase.epochs for name, phase in quickstart.phases.items()}
    assert 0 < an_epoch["transfer"] < an_epoch["finetune"]


def test_the_memory_is_that_of_this_process_at_least(quickstart):
    assert 2**27 < quickstart.memory < 2**37


def test_the_disk_holds_pixels_models_and_checkpoints(quickstart):
    # Three models in two phases and the parent's; two checkpoints with Adam's two moments for each trained weight
    least = 1_797 * 64 + 4 * WHOLE * (3 + 2 * 3)
    assert least < quickstart.disk < 4 * least


def test_a_step_that_other_work_delays_does_not_count():
    pauses = iter([0.0, 0.01, 0.3, *[0.01] * 100])
    assert 0.01 <= estimate._seconds(lambda: time.sleep(next(pauses))) < 0.1


def test_time_is_steps_by_their_measured_length(monkeypatch):
    monkeypatch.setattr(estimate, "_time_steps", lambda *_: (0.5, 0.25))
    transfer = plan(phases="transfer", **{"transfer.views": "live"}).phases["transfer"].seconds
    # 1,295 training, 143 validation and 359 test images in batches of 8, ten epochs
    assert transfer == pytest.approx(20 * (162 * 0.5 + 143 / 8 * 0.25) + 359 / 8 * 0.25)


def test_features_are_computed_once_an_image_and_view(monkeypatch):
    monkeypatch.setattr(estimate, "_time_steps", lambda *_: (0.5, 0.25))
    monkeypatch.setattr(estimate, "_time_forward", lambda *_: 2.0)
    transfer = plan(phases="transfer", **{"transfer.views": 3}).phases["transfer"]
    looks = 4 * 1_295 + 143
    above = 20 * (162 * 0.5 + 143 / 8 * 0.25)
    assert transfer.seconds == pytest.approx(looks / 8 * 2 + above + 359 / 8 * 2.25)
    assert transfer.features == looks * 64 * 2


def test_folds_hold_out_their_own_share_and_are_all_counted(monkeypatch):
    monkeypatch.setattr(estimate, "_time_steps", lambda *_: (0.5, 0.25))
    found = plan(phases="scratch", **{"data.folds": 4, "scratch.epochs": 3})
    assert found.images == (1_078, 360, 359)
    assert found.phases["scratch"].seconds == pytest.approx(4 * (3 * (135 * 0.5 + 360 / 8 * 0.25) + 359 / 8 * 0.25))


def test_features_over_the_budget_are_not_planned():
    assert plan(**{"cache.budget": "10kB"}).phases["transfer"].features == 0


def test_absent_data_are_planned_by_their_official_figures():
    found = plan(dataset="mnist", phases="transfer", **{"transfer.epochs": 1})
    assert not found.counted
    assert found.images == (54_000, 6_000, 10_000)
    assert found.phases["transfer"].steps == 6_750
    assert found.disk > 70_000 * 28 * 28


@pytest.mark.parametrize(
    ("settings", "images", "classes"),
    [
        ({}, (45_000, 5_000, 10_000), 10),
        ({"classes": 4}, (18_000, 2_000, 4_000), 4),
        ({"classes": ("cat", "dog")}, (9_000, 1_000, 2_000), 2),
        ({"per_class": 100, "test_per_class": 10}, (900, 100, 100), 10),
        ({"per_class": 9_999, "test_per_class": 9_999}, (45_000, 5_000, 10_000), 10),
        ({"validation": 0.25, "classes": 2}, (7_500, 2_500, 2_000), 2),
    ],
)
def test_settings_count_in_the_official_figures(settings, images, classes):
    assert counted("cifar10", **settings)[:4] == (images, classes, (32, 32, 3), False)


def test_nothing_is_downloaded(own_folders: Path):
    counted("cifar10")
    assert not [*own_folders.rglob("*.tar.gz*")]


def test_a_folder_that_is_absent_is_told_as_a_run_tells_it(tmp_path):
    with pytest.raises(DataError, match=r"There is no folder .*: give `folder:/path`"):
        plan(dataset=f"folder:{tmp_path / 'absent'}")


@pytest.mark.parametrize("dataset", ["digits", "cifar10"])
def test_classes_that_are_not_there_are_told(dataset):
    with pytest.raises(DataError, match=r"`data\.classes` asks for 11 classes, but there are 10"):
        counted(dataset, classes=11)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"recipe": "tiny-imagenet-tlft", "model": "smallcnn", "dataset": "digits"}, WeightsError),
        ({"recipe": "quickstart", "callbacks": "nothing.py:Missing"}, ConfigError),
        ({"recipe": "quickstart", "data.classes": 2, "loss.class_weights": "1,2,3"}, ConfigError),
    ],
)
def test_what_a_run_refuses_is_refused(settings, error):
    config = resolve(None, settings)
    with pytest.raises(error) as refused:
        preflight.check_run(config)
    with pytest.raises(error) as raised:
        estimate.estimate_run(config)
    assert str(raised.value) == str(refused.value)


def test_an_unknown_data_set():
    with pytest.raises(DataError, match=r"Unknown data set 'digit': .* Did you mean 'digits'"):
        counted("digit")


def test_a_model_that_cannot_be_built():
    with pytest.raises(ModelError, match="Unknown model 'resnet51'"):
        plan(model="resnet51")


def test_a_slow_step_is_measured_once(monkeypatch):
    monkeypatch.setattr(estimate, "_MAX_SECONDS", 1e-12)
    calls = []
    estimate._seconds(lambda: calls.append(1))
    assert len(calls) == 2, "the first compiles, the second is timed"


def test_the_first_step_does_not_count(monkeypatch):
    clock = [0.0]
    durations = iter([100.0, 1.0, 2.0, 3.0])

    def step() -> None:
        clock[0] += next(durations)

    monkeypatch.setattr(estimate.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(estimate, "_MAX_SECONDS", 10.0)
    assert estimate._seconds(step) == pytest.approx(2.0)


@pytest.mark.parametrize(("is_here", "is_told"), [(False, True), (True, False)])
def test_weights_that_are_to_be_downloaded_are_told(monkeypatch, tmp_path, is_here, is_told):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    if is_here:
        (tmp_path / "models").mkdir()
        (tmp_path / "models/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5").touch()
    config = resolve("quickstart", {"model": "mobilenetv2", "weights": "imagenet", "image_size": 32})
    told = "The ImageNet weights of mobilenetv2 are not on this machine: the run downloads them from Keras's address."
    assert (told in estimate.estimate_run(config).warnings) == is_told
