"""Probes in a real store: what the command prints, logs and leaves for a transfer phase, and what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner, Result
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from processes import ROOT
from recorded_events import RecordedEvents
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from small_runs import all_runs, artifacts
from stores import elsewhere, fresh

import tinybench
from tinybench import data
from tinybench.cli import root
from tinybench.commands import compare
from tinybench.core.errors import ConfigError, FeatureError, ModelError, TinybenchError
from tinybench.models import build

SMALL = {"data.per_class": "40", "data.test_per_class": "20", "image_size": "16", "weights": "none"}
REAL = {"data.per_class": 60, "data.test_per_class": 40, "image_size": 48, "track.costs": "off"}
REAL |= {"engine": "keras", "precision": "float32"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


def probe_by_command(store: str, models: str, *words: str, **settings: str) -> Result:
    values = SMALL | {"track.uri": store} | settings
    options = [word for key, value in values.items() for word in (f"--{key}", value)]
    command = ["probe", "--models", models, "--dataset", "digits", *options, *words]
    return CliRunner().invoke(root.cli, command, catch_exceptions=False)


@pytest.fixture(scope="module")
def printed(store: str, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A probe of two networks, with the latency of both."""
    with elsewhere(tmp_path_factory):
        return probe_by_command(store, "smallcnn,simple5", **{"track.experiment": "two"})


def runs_of(store: str, experiment: str) -> list[Run]:
    client = MlflowClient(store)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    return sorted(client.search_runs([found.experiment_id]), key=lambda run: run.info.start_time)


def save_backbone(path: Path, *, broken: float | None = None) -> str:
    """Save a small backbone; `broken` is what its last weights are replaced by."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((16, 16, 3))
    last = keras.layers.Conv2D(8, 3, name="last")
    model = keras.Model(pixels, last(keras.layers.Conv2D(8, 3, activation="relu")(pixels)))
    if broken is not None:
        last.set_weights([np.full_like(weight, broken) for weight in last.get_weights()])
    model.save(path)
    return str(path)


def test_the_table_has_a_line_for_each_model(printed: Result, store: str) -> None:
    assert printed.exit_code == 0
    runs = {run.data.params["model"]: run.data.metrics for run in runs_of(store, "two")[1:]}
    order = sorted(runs, key=lambda model: -runs[model]["val/accuracy"])
    lines = [line for line in printed.stdout.splitlines() if line.startswith(("smallcnn", "simple5"))]
    assert [line.split()[0] for line in lines] == order
    assert "digits: 360 train, 40 validation, 200 test images, 10 classes" in printed.stderr
    assert "top-1" in printed.stdout
    assert printed.stdout.count("keras float32") == 2


def test_each_model_is_a_run_below_that_of_the_probe(printed: Result, store: str) -> None:
    parent, *children = runs_of(store, "two")
    assert parent.info.run_name == "probe smallcnn, simple5 on digits"
    assert [run.info.run_name for run in children] == ["probe smallcnn on digits", "probe simple5 on digits"]
    assert {run.data.tags["tinybench.kind"] for run in (parent, *children)} == {"probe"}
    assert {run.info.status for run in (parent, *children)} == {"FINISHED"}
    for run in children:
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["feed"] == "bank"
        assert (run.data.params["dataset"], run.data.params["image_size"]) == ("digits", "16")
        metrics = run.data.metrics
        assert metrics["test/accuracy_low"] < metrics["test/accuracy"] < metrics["test/accuracy_high"]
        assert metrics["efficiency/features_images_per_second"] > 0
        assert metrics["efficiency/cpu_latency_p50_ms"] > 0
        assert metrics["best/penalty"] > 0
        assert {"config.json", "predictions/test.npz", "predictions/validation.npz"} <= artifacts(
            store, run.info.run_id
        )


def test_probes_can_be_compared_by_their_predictions(printed: Result, store: str) -> None:
    _, first, second = runs_of(store, "two")
    found = compare.compare_runs([first.info.run_id, second.info.run_id], uri=store)
    values = [estimate.value for estimate in found.estimates.values()]
    assert values == pytest.approx([run.data.metrics["test/accuracy"] for run in (first, second)])


def test_a_probe_is_neither_the_last_nor_the_best_run_nor_on_the_board(printed: Result, store: str) -> None:
    with pytest.raises(TinybenchError, match="no finished run"):
        CliRunner().invoke(root.cli, ["leaderboard", "--uri", store], catch_exceptions=False)
    with pytest.raises(TinybenchError):
        tinybench.evaluate("best", uri=store)


def test_one_model_is_one_run_and_json_is_for_programs(store: str) -> None:
    result = probe_by_command(store, "smallcnn", "--json", "--no-cost", **{"track.experiment": "one"})
    (found,) = json.loads(result.stdout)
    (run,) = runs_of(store, "one")
    assert (found["model"], found["error"], found["run_id"]) == ("smallcnn", "", run.info.run_id)
    assert found["engine"] == f"{run.data.tags['engine']} {run.data.tags['engine.precision']}"
    assert found["metrics"]["test/accuracy"] == run.data.metrics["test/accuracy"]
    assert not [name for name in run.data.metrics if "latency" in name]


def test_a_transfer_phase_finds_the_features(store: str) -> None:
    settings = {"data.per_class": 40, "data.test_per_class": 20, "image_size": 16, "weights": "none"}
    settings |= {"track.uri": store, "track.costs": "off"}
    (found,) = tinybench.probe("smallcnn", "digits", **settings)
    assert found.metrics["efficiency/features_images_per_second"] > 0
    heard = RecordedEvents()
    (again,) = tinybench.probe("smallcnn", "digits", run_callbacks=heard, **settings)
    assert again.metrics["test/accuracy"] == found.metrics["test/accuracy"]
    assert heard.images == []
    assert "efficiency/features_images_per_second" not in again.metrics

    heard = RecordedEvents()
    training = {"phases": "transfer", "transfer.epochs": 1, "transfer.views": 0, "model": "smallcnn"}
    training |= {"track.pictures": False}
    tinybench.train("tiny-imagenet-tlft", dataset="digits", run_callbacks=heard, **training, **settings)
    assert heard.images == []
    assert [line for line in heard.lines if "features of 400 images" in line and "are stored already" in line]


def test_a_damaged_backbone_is_left_out_and_the_others_go_on(store: str, tmp_path: Path) -> None:
    good = save_backbone(tmp_path / "good.keras")
    nan = save_backbone(tmp_path / "nan.keras", broken=np.nan)
    zero = save_backbone(tmp_path / "zero.keras", broken=0)
    settings = {"track.experiment": "damaged", "weights": "file"}
    result = probe_by_command(store, f"{nan},{good},{zero}", "--no-cost", **settings)
    assert result.exit_code == 0
    assert "Not probed: nan: The backbone's features are not all finite numbers" in " ".join(result.stdout.split())
    assert "Not probed: zero: The backbone's features are the same for all images" in " ".join(result.stdout.split())
    parent, *children = runs_of(store, "damaged")
    assert {run.info.run_name: run.info.status for run in children} == {
        "probe nan on digits": "FAILED",
        "probe good on digits": "FINISHED",
        "probe zero on digits": "FAILED",
    }
    assert parent.info.status == "FINISHED"
    assert "not all finite" in parent.data.tags["tinybench.error"]

    with pytest.raises(FeatureError, match="not all finite"):
        probe_by_command(store, nan, "--no-cost", **settings | {"track.experiment": "alone"})
    assert [run.info.status for run in runs_of(store, "alone")] == ["FAILED"]


@pytest.mark.parametrize(
    ("models", "settings", "error", "message"),
    [
        ("smallcnn,nope", {}, TinybenchError, "Unknown model 'nope'"),
        ("smallcnn,absent.keras", {}, TinybenchError, "No model file at absent.keras"),
        ("smallcnn,smallcnn", {}, ConfigError, "smallcnn is given twice"),
        (",", {}, ConfigError, "at least one model"),
        ("fixed.keras", {"image_size": "32", "weights": "file"}, ModelError, "set image_size to that"),
    ],
)
def test_what_cannot_be_probed_leaves_no_run(
    store: str, tmp_path: Path, models: str, settings: dict[str, str], error: type[TinybenchError], message: str
) -> None:
    save_backbone(tmp_path / "fixed.keras")
    before = len(all_runs(store))
    with pytest.raises(error, match=message) as raised:
        probe_by_command(store, models, **settings)
    assert "\n" not in str(raised.value)
    assert len(all_runs(store)) == before


def test_one_class_is_an_error_before_any_run(store: str, tmp_path: Path) -> None:
    from PIL import Image

    for split in ("train", "test"):
        (tmp_path / "one" / split / "only").mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (16, 16), (number, 0, 0)).save(tmp_path / "one" / split / "only" / f"{number}.png")
    before = len(all_runs(store))
    with pytest.raises(TinybenchError, match="one class"):
        tinybench.probe("smallcnn", f"folder:{tmp_path / 'one'}", weights="none", image_size=16, track_uri=store)
    assert len(all_runs(store)) == before


def test_settings_without_effect_are_refused(store: str) -> None:
    with pytest.raises(ConfigError, match=r"`transfer\.epochs` would have no effect on a probe"):
        tinybench.probe("smallcnn", "digits", transfer_epochs=3, track_uri=store)
    result = CliRunner().invoke(root.cli, ["probe", "--models", "smallcnn", "--transfer.epochs", "3"])
    assert "No such option '--transfer.epochs'" in result.output
    assert result.exit_code == 2


def test_an_interruption_ends_all_runs_as_killed(store: str) -> None:
    def interrupt(images: int) -> None:
        raise KeyboardInterrupt

    settings: dict[str, Any] = {**SMALL, "track.uri": store, "track.experiment": "interrupted", "track.costs": "off"}
    with pytest.raises(KeyboardInterrupt):
        tinybench.probe(
            ["smallcnn", "simple5"], "digits", run_callbacks=RecordedEvents(features_step=interrupt), **settings
        )
    assert [run.info.status for run in runs_of(store, "interrupted")] == ["KILLED", "KILLED"]


@pytest.mark.slow
def test_ctrl_c_ends_all_runs_as_killed(store: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tinybench", "probe", "--models", "resnet50,vgg16", "--dataset", "digits"]
    command += ["--weights", "none", "--image_size", "64", "--track.uri", store, "--track.experiment", "ctrl-c"]
    process = subprocess.Popen(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while "probe resnet50 on digits" not in {run.info.run_name for run in all_runs(store)}:
        assert time.monotonic() < deadline
        time.sleep(0.2)
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert {run.info.status for run in runs_of(store, "ctrl-c")} == {"KILLED"}


def test_with_the_store_away_the_runs_are_kept_on_this_machine(own_folders: Path) -> None:
    result = probe_by_command("http://127.0.0.1:9", "smallcnn", "--no-cost")
    assert result.exit_code == 0
    assert "top-1" in result.stdout
    assert [*(own_folders / "state").rglob("*")]


def test_real_backbones_score_as_by_scikit_learn(store: str, real_data: Path) -> None:
    names = ["mobilenet_025_imagenet_notop", "efficientnet_lite0_imagenet_notop"]
    models = [str(real_data / f"{name}.keras") for name in names]
    settings = REAL | {"track.uri": store, "data.root": str(real_data)}
    results = {result.model: result.metrics for result in tinybench.probe(models, "cifar10", **settings)}
    small, large = (results[name] for name in names)
    assert large["test/accuracy"] > small["test/accuracy"] > 0.3  # chance is 0.1
    assert large["efficiency/parameters"] > small["efficiency/parameters"]
    assert [*results] == sorted(results, key=lambda name: -results[name]["val/accuracy"])

    config = tinybench.resolve(None, settings | {"model": models[0], "dataset": "cifar10", "phases": "transfer"})
    images = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
    model = build(config, images.shape, 10)
    pooled = keras.Model(model.input, model.get_layer("pooling").output)
    train, validation, test = (
        pooled.predict(split.images(slice(None)).astype(np.float32), verbose=0) for split in images.splits.values()
    )
    scaler = StandardScaler().fit(train)
    ridge = Ridge(alpha=small["best/penalty"] * len(train))
    ridge.fit(scaler.transform(train), np.eye(10)[images.train.labels])
    for features, split, metric in ((validation, images.validation, "val"), (test, images.test, "test")):
        guesses = ridge.predict(scaler.transform(features)).argmax(axis=1)
        assert np.mean(guesses == split.labels) == pytest.approx(small[f"{metric}/accuracy"])
