"""The real thing on real digits: two phases, the runs they leave, resume after kill -9."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from small_runs import SMALL
from stores import elsewhere

import tinybench
from tinybench.core.errors import ConfigError, DataError, ModelError, TrackingError, WeightsError
from tinybench.job import train
from tinybench.tracking.tracker import Tracker
from tinybench.training.progress import RESTATED_AFTER_MS


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture(scope="module")
def done(store: str, tmp_path_factory: pytest.TempPathFactory) -> tinybench.Result:
    """One finished run that the tests below look at."""
    with elsewhere(tmp_path_factory) as folder:
        track = {"track.uri": store, "track.experiment": "digits", "track.tags": "team=red"}
        result = tinybench.train(
            **SMALL | track | {"track.pictures": True, "explain.images": 2, "track.costs": "quick"}
        )
        assert not [*(folder / "state" / "runs").glob("*/*")], "checkpoints of a finished run are removed"
    return result


def children(store: str, run_id: str) -> dict[str, mlflow.entities.Run]:
    client = MlflowClient(store)
    experiment = client.get_run(run_id).info.experiment_id
    found = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")
    return {run.data.tags["tinybench.phase"]: run for run in found}


def test_both_phases_are_finished_child_runs(store: str, done: tinybench.Result) -> None:
    runs = children(store, done.run_id)
    assert set(runs) == {"transfer", "finetune"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert MlflowClient(store).get_run(done.run_id).info.status == "FINISHED"


def test_epochs_go_on_counting_in_the_parent(store: str, done: tinybench.Result) -> None:
    points = MlflowClient(store).get_metric_history(done.run_id, "train/accuracy")
    assert [point.step for point in points] == [1, 2, 3, 4]


def test_lists_of_runs_show_the_validation_metrics_of_the_best_epoch(store: str, done: tinybench.Result) -> None:
    client = MlflowClient(store)
    for run in [*children(store, done.run_id).values(), client.get_run(done.run_id)]:
        for name in ("val/accuracy", "val/loss", "val/top5"):
            assert run.data.metrics[name] == run.data.metrics[f"best/{name.replace('/', '_')}"]
    for phase in done.phases.values():
        read = Tracker.at(store).read_epochs(phase.run_id)
        assert [(epoch.number, epoch.metrics) for epoch in read] == [
            (epoch.number, epoch.metrics) for epoch in phase.epochs
        ], "the curves are those of the epochs"


def test_no_point_is_doubled(store: str, done: tinybench.Result) -> None:
    client = MlflowClient(store)
    timestamps = {point.step: point.timestamp for point in client.get_metric_history(done.run_id, "train/loss")}
    for name in client.get_run(done.run_id).data.metrics:
        points = client.get_metric_history(done.run_id, name)
        steps = [point.step for point in points if point.timestamp - timestamps[point.step] != RESTATED_AFTER_MS]
        once_a_phase = 2 if name.startswith(("test/", "best/", "efficiency/")) else 4
        kept = name.startswith("efficiency/features")  # of transfer alone: nothing is frozen in finetune
        assert len(steps) == len(set(steps)) == (1 if kept else once_a_phase), name


def test_a_phase_says_what_it_was_fed_with(store: str, done: tinybench.Result) -> None:
    runs = children(store, done.run_id)
    tags = {phase: run.data.tags for phase, run in runs.items()}
    assert (tags["transfer"]["feed"], tags["finetune"]["feed"]) == ("bank", "live")
    assert (tags["transfer"]["feed.layer"], tags["transfer"]["engine"]) == ("pooling", "keras")
    assert tags["finetune"]["feed.reason"] == "nothing is frozen below the first layer that is trained"
    assert {each["precision"] for each in tags.values()} <= {"float32", "bfloat16"}
    assert runs["transfer"].data.metrics["efficiency/features_bytes"] == 200 * 64 * 2
    told = json.loads(
        Path(MlflowClient(store).download_artifacts(runs["transfer"].info.run_id, "feed.json")).read_text()
    )
    assert told["feed"]["images"] == 200
    assert told["feed"]["trials"][0]["images_per_second"] > 0
    assert "trained on stored features at pooling" in tags["transfer"]["mlflow.note.content"]


def test_the_parent_counts_the_seconds_of_both_phases(store: str, done: tinybench.Result) -> None:
    seconds = [result.metrics["efficiency/training_seconds"] for result in done.phases.values()]
    assert MlflowClient(store).get_run(done.run_id).data.metrics["efficiency/training_seconds"] == pytest.approx(
        sum(seconds)
    )


def test_every_figure_of_a_phase_is_there(store: str, done: tinybench.Result) -> None:
    wanted = {"test/loss", "test/accuracy", "test/top5", "test/f1_macro", "test/auc_ovr_macro"}
    wanted |= {"efficiency/parameters", "efficiency/training_seconds"}
    wanted |= {"train/loss", "train/accuracy", "train/top5", "train/lr", "train/seconds", "train/images_per_second"}
    for run in [*children(store, done.run_id).values(), MlflowClient(store).get_run(done.run_id)]:
        assert wanted <= set(run.data.metrics)


def test_the_parent_shows_what_runs_are_compared_by(store: str, done: tinybench.Result) -> None:
    shown = set(MlflowClient(store).get_run(done.run_id).data.metrics)
    everything = {name for run in children(store, done.run_id).values() for name in run.data.metrics}
    assert shown < everything
    assert len([name for name in shown if name.startswith(("best/", "test/", "efficiency/"))]) < len(everything) / 3
    assert not {"efficiency/ratio", "test/mcc_low", "best/temperature"} & shown


def test_every_metric_that_the_documentation_names_is_there(store: str, done: tinybench.Result) -> None:
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:train|val|test|best|efficiency)/\w+)`", page))
    assert len(named) > 5
    assert named <= {name for run in children(store, done.run_id).values() for name in run.data.metrics}


def test_the_parent_says_where_it_comes_from(store: str, done: tinybench.Result) -> None:
    run = MlflowClient(store).get_run(done.run_id)
    assert run.data.params["head.dropout"] == "0.1"
    assert run.data.params["model"] == "smallcnn"
    assert {"host", "command", "version.keras", "data.fingerprint", "tinybench.config_hash"} <= set(run.data.tags)
    assert run.data.tags["team"] == "red"
    assert "| finetune |" in run.data.tags["mlflow.note.content"]
    assert run.inputs.dataset_inputs[0].dataset.name == "digits"


def test_every_picture_lies_beside_its_data(store: str, done: tinybench.Result) -> None:
    client = MlflowClient(store)
    of_whole = {"curves": ".csv", "class_distribution": ".csv", "samples": ".npz"}
    of_phase = dict.fromkeys(("curves", "confusion_matrix", "per_class_accuracy", "reliability", "roc"), ".csv")
    of_phase |= dict.fromkeys(("right", "wrong", "worst"), ".csv")
    of_phase |= dict.fromkeys(("explanations", "feature_maps"), ".npz")
    of_augmented = of_phase | {"augmented": ".npz"}  # the second phase freezes nothing, and augments
    wanted = {done.run_id: of_whole, done.phases["transfer"].run_id: of_phase}
    wanted[done.phases["finetune"].run_id] = of_augmented
    for run_id, pictures in wanted.items():
        found = {Path(item.path).name for item in client.list_artifacts(run_id, "figures")}
        assert found == {name + end for name, data in pictures.items() for end in (".png", data)}


def test_a_picture_that_would_say_nothing_is_left_out_with_the_reason(store: str, done: tinybench.Result) -> None:
    note = MlflowClient(store).get_run(done.run_id).data.tags["mlflow.note.content"]
    for run in children(store, done.run_id).values():
        assert f"`{run.info.run_name}`" in note, "the runs that have the pictures"
        assert "first_filters: filters of 3 by 3 pixels show no pattern" in run.data.tags["figures.absent"]
        assert "`figures.absent`" in run.data.tags["mlflow.note.content"]


def test_maps_are_judged_beside_one_of_chance(store: str, done: tinybench.Result) -> None:
    client = MlflowClient(store)
    for phase in done.phases.values():
        table = client.download_artifacts(phase.run_id, "tables/faithfulness.csv")
        rows = [*csv.DictReader(Path(table).read_text("utf-8").splitlines())]
        assert [row["method"] for row in rows] == ["Gradient", "SmoothGrad", "Grad-CAM", "random map"]
        assert all(0 <= float(row[way]) <= 1 for row in rows for way in ("deletion", "insertion"))


def test_some_pictures_are_among_mlflow_s_images_a_phase_a_step(store: str, done: tinybench.Result) -> None:
    """From 0, where the slider of the page stands at first: else it would say that there is no image."""
    names = [Path(item.path).name for item in MlflowClient(store).list_artifacts(done.run_id, "images")]
    shown = {tuple(name.split("+")[:3]) for name in names}
    pictures = ("confusion_matrix", "worst")
    assert shown == {(name, "step", step) for name in pictures for step in ("0", "1")}


def test_the_logged_model_takes_pictures_and_arrays(done: tinybench.Result) -> None:
    import base64
    import io

    from PIL import Image

    pixels = np.full((20, 20, 3), 200, np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "PNG")
    model = done.load_model()
    answer = model.predict({"image": [base64.b64encode(encoded.getvalue()).decode(), pixels]}, params={"top_k": 3})
    assert [len(labels) for labels in answer["labels"]] == [3, 3]
    assert answer["labels"][0] == answer["labels"][1]
    np.testing.assert_allclose(answer["probabilities"][0], answer["probabilities"][1], atol=1e-5)


def test_evaluate_gives_the_same_figures_in_a_linked_run(store: str, done: tinybench.Result) -> None:
    found = tinybench.evaluate(done.run_id, uri=store)
    assert found["test/accuracy"] == pytest.approx(done.metrics["test/accuracy"])
    assert found["test/loss"] == pytest.approx(done.metrics["test/loss"], rel=1e-4)


def test_finetune_starts_from_a_run(store: str, done: tinybench.Result) -> None:
    result = tinybench.finetune(done.run_id, uri=store, **{"finetune.epochs": 1})
    assert list(result.phases) == ["finetune"]
    tags = MlflowClient(store).get_run(result.run_id).data.tags
    assert tags["tinybench.source_run"] == done.run_id


@pytest.mark.parametrize(
    ("key", "value"), [("model", "vgg16"), ("image_size", 32), ("head.hidden", 7), ("phases", "transfer")]
)
def test_finetune_refuses_what_would_have_no_effect(
    store: str, done: tinybench.Result, key: str, value: object
) -> None:
    with pytest.raises(ConfigError, match=f"`{key}` cannot be changed here"):
        tinybench.finetune(done.run_id, uri=store, **{key: value})


def test_finetune_refuses_other_classes(store: str, done: tinybench.Result) -> None:
    with pytest.raises(DataError, match="other classes, or in another order"):
        tinybench.finetune(done.run_id, uri=store, **{"data.classes": "9,8,7,6,5,4,3,2,1,0"})


def test_a_part_that_cannot_be_unfrozen_is_told_before_any_training(store: str) -> None:
    with pytest.raises(ConfigError, match="no layer or block 'block99'") as caught:
        tinybench.train(**SMALL, **{"finetune.unfreeze": "block99", "track.uri": store, "track.experiment": "block99"})
    assert MlflowClient(store).get_experiment_by_name("block99") is None, "no run was opened"
    assert not hasattr(caught.value, "__notes__"), "to resume it would be in vain"


def test_a_finished_run_is_not_resumed(store: str, done: tinybench.Result) -> None:
    with pytest.raises(TrackingError, match="nothing to resume"):
        tinybench.resume(done.run_id, uri=store)


def test_damaged_weights_open_no_run(store: str, tmp_path: Path) -> None:
    (tmp_path / "own.weights.h5").write_bytes(b"no weights")
    settings = SMALL | {"weights": str(tmp_path / "own.weights.h5"), "track.uri": store, "track.experiment": "failing"}
    with pytest.raises(WeightsError, match=r"own\.weights\.h5"):
        tinybench.train(**settings)
    assert MlflowClient(store).get_experiment_by_name("failing") is None


@pytest.mark.parametrize(("wrong", "error"), [({"model": "smalcnn"}, ModelError), ({"dataset": "digit"}, DataError)])
def test_a_wrong_name_opens_no_run(store: str, wrong: dict[str, str], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"smallcnn|digits"):
        tinybench.train(**SMALL | wrong, **{"track.uri": store, "track.experiment": "wrong names"})
    assert MlflowClient(store).get_experiment_by_name("wrong names") is None


def test_an_empty_folder_is_an_error(store: str, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        tinybench.train(**SMALL, dataset=f"folder:{tmp_path}", **{"track.uri": store, "track.experiment": "failing"})


_LONG = {
    "data.per_class": 20,
    "transfer.patience": None,
    "finetune.patience": None,
    "track.pictures": False,
    "track.costs": "off",
}


def _start(folder: Path, store: str, **settings: object) -> subprocess.Popen[str]:
    MlflowClient(store).search_runs(["0", "1"])  # makes the tables, before two processes would at once
    command = [sys.executable, "-m", "tinybench", "train", "--recipe", "quickstart"]
    command += [word for key, value in settings.items() for word in (f"--{key}", str(value).lower())]
    root = Path(train.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    return subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stderr=subprocess.PIPE, preexec_fn=_interruptible
    )


def _interruptible() -> None:
    """Shells let what they start in the background ignore Ctrl-C, the suite with it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _wait_for_epoch(store: str, process: subprocess.Popen[str], epoch: int = 3) -> str:
    """The id of the only parent run, once that epoch is logged."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        time.sleep(0.2)
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        runs = MlflowClient(store).search_runs(["0", "1"])
        for run in runs:
            if "mlflow.parentRunId" not in run.data.tags and "val/loss" in run.data.metrics:
                points = MlflowClient(store).get_metric_history(run.info.run_id, "val/loss")
                if len(points) >= epoch:
                    return str(run.info.run_id)
    pytest.fail(f"no epoch {epoch} within two minutes")


@pytest.mark.parametrize(
    ("transfer", "finetune", "killed_after"),
    [pytest.param(150, 2, 3, id="in transfer", marks=pytest.mark.slow), pytest.param(2, 12, 4, id="in finetune")],
)
def test_a_killed_run_resumes_to_the_same_weights(
    tmp_path: Path, transfer: int, finetune: int, killed_after: int
) -> None:
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    settings = _LONG | {"transfer.epochs": transfer, "finetune.epochs": finetune}
    process = _start(tmp_path, store, **settings)
    run_id = _wait_for_epoch(store, process, killed_after)
    process.kill()
    process.communicate()
    assert MlflowClient(store).get_run(run_id).info.status == "RUNNING"

    resumed = tinybench.resume(run_id, uri=store)
    whole = tinybench.train(recipe="quickstart", **settings, **{"track.uri": store})

    assert resumed.run_id == run_id
    for name in MlflowClient(store).get_run(run_id).data.metrics:
        if "seconds" in name or "per_second" in name:
            continue
        points = MlflowClient(store).get_metric_history(run_id, name)
        again = MlflowClient(store).get_metric_history(whole.run_id, name)
        assert [(point.step, point.value) for point in points] == [(point.step, point.value) for point in again]
    for ours, theirs in zip(_weights(store, resumed), _weights(store, whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("sent", "code", "reason"), [(signal.SIGTERM, 143, "Terminated by SIGTERM"), (signal.SIGINT, 130, "Ctrl-C")]
)
def test_a_signal_leaves_killed(tmp_path: Path, sent: signal.Signals, code: int, reason: str) -> None:
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    process = _start(tmp_path, store, **_LONG | {"transfer.epochs": 5000})
    run_id = _wait_for_epoch(store, process)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"tinybench resume {run_id}" in errors
    runs = MlflowClient(store).search_runs(["0", "1"])
    assert {run.info.status for run in runs} == {"KILLED"}
    assert reason in MlflowClient(store).get_run(run_id).data.tags["tinybench.error"]


def _weights(store: str, result: tinybench.Result) -> list[np.ndarray]:
    from tinybench.tracking import run_record

    return run_record.load_final_model(Tracker.at(store), result.run_id).get_weights()
