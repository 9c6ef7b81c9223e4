"""Cross-validation on real digits: the runs it leaves, what is judged by what, and going on after a break."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from sklearn.metrics import accuracy_score
from stores import elsewhere, fresh

import tinybench
from tinybench import data, models
from tinybench.core.errors import ConfigError, DataError
from tinybench.data import splits
from tinybench.evaluation.predictions import Predictions
from tinybench.recipes.resolve import resolve
from tinybench.training.phase_context import PhaseContext

FOLDS = 3
SMALL = {
    "recipe": "quickstart",
    "phases": "scratch",
    "scratch.epochs": 3,
    "scratch.lr": 3e-3,
    "data.folds": FOLDS,
    "data.per_class": 30,
    "data.test_per_class": 10,
    "track.tensorboard": True,
    "track.pictures": False,
    "track.costs": "off",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


@pytest.fixture(scope="module")
def done(store: str, tmp_path_factory: pytest.TempPathFactory) -> tinybench.Result:
    with elsewhere(tmp_path_factory) as folder:
        result = tinybench.train(**SMALL | {"track.pictures": True, "track.uri": store})
        assert not [*(folder / "state" / "runs").rglob("*.npz")], "checkpoints of a finished run are removed"
    return result


def folds_of(store: str, run_id: str) -> dict[str, Run]:
    client = MlflowClient(store)
    found = client.search_runs([client.get_run(run_id).info.experiment_id], f"tags.`mlflow.parentRunId` = '{run_id}'")
    return {run.data.tags["tinybench.fold"]: run for run in found}


def arrays(store: str, run_id: str, name: str) -> dict[str, Any]:
    with np.load(MlflowClient(store).download_artifacts(run_id, f"predictions/{name}.npz")) as stored:
        kept = Predictions.from_arrays(stored)
    return kept.arrays() | {"probabilities": kept.probabilities()}


def test_every_fold_is_a_finished_child_run_with_its_phase_below(store: str, done: tinybench.Result) -> None:
    runs = folds_of(store, done.run_id)
    assert set(runs) == {"1", "2", "3"}
    client = MlflowClient(store)
    for run in [*runs.values(), client.get_run(done.run_id)]:
        (events,) = client.list_artifacts(run.info.run_id, "tensorboard")
        assert events.path == "tensorboard/events.out.tfevents.0.tinybench"
    for run in runs.values():
        assert run.info.status == "FINISHED"
        below = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
        assert [each.data.tags["tinybench.phase"] for each in below] == ["scratch"]
        assert not [name for each in (run, *below) for name in each.data.metrics if name.startswith("test/")]


def test_every_training_image_is_predicted_once_by_a_fold_that_did_not_see_it(
    store: str, done: tinybench.Result
) -> None:
    kept = arrays(store, done.run_id, "out_of_fold")
    whole = data.load("digits", resolve(None, SMALL).data, 0, image_size=16)
    expected = np.sort(np.concatenate([whole.train.rows, whole.validation.rows]))
    np.testing.assert_array_equal(kept["rows"], expected)
    np.testing.assert_array_equal(kept["labels"], whole.train.pool.labels[expected])
    for fold in done.folds:
        own = arrays(store, fold.run_id, "out_of_fold")
        split = splits.make_fold(whole, fold.number - 1, FOLDS, 0)
        np.testing.assert_array_equal(own["rows"], split.validation.rows)
        assert not set(own["rows"]) & set(split.train.rows)
        right = accuracy_score(own["labels"], own["probabilities"].argmax(axis=1))
        assert fold.metrics["out_of_fold/accuracy"] == pytest.approx(right)


def test_mean_and_deviation_are_those_of_the_folds(store: str, done: tinybench.Result) -> None:
    each = np.array([fold.metrics["out_of_fold/accuracy"] for fold in done.folds])
    found = MlflowClient(store).get_run(done.run_id).data.metrics
    assert found["folds/accuracy_mean"] == pytest.approx(each.mean())
    assert found["folds/accuracy_sd"] == pytest.approx(each.std(ddof=1))
    assert done.metrics["folds/accuracy_mean"] == found["folds/accuracy_mean"]
    assert found["out_of_fold/accuracy"] == pytest.approx(each.mean(), abs=0.02)
    points = MlflowClient(store).get_metric_history(done.run_id, "fold/accuracy")
    assert [point.step for point in sorted(points, key=lambda point: point.step)] == [1, 2, 3]


def test_the_whole_run_says_what_its_folds_cost(store: str, done: tinybench.Result) -> None:
    runs = [run.data.metrics for run in folds_of(store, done.run_id).values()]
    seconds = sum(each["efficiency/training_seconds"] for each in runs)
    assert done.metrics["efficiency/training_seconds"] == pytest.approx(seconds)
    assert done.metrics["efficiency/parameters"] == runs[0]["efficiency/parameters"]
    assert done.metrics["best/overfitting_gap"] == pytest.approx(np.mean([e["best/overfitting_gap"] for e in runs]))


def test_the_test_images_are_scored_by_the_mean_of_all_folds(store: str, done: tinybench.Result) -> None:
    kept = arrays(store, done.run_id, "test")
    each = [arrays(store, done.run_id, f"test_of_fold_{number}")["probabilities"] for number in range(1, FOLDS + 1)]
    assert np.shape(each) == (FOLDS, 100, 10)
    np.testing.assert_allclose(np.mean(each, axis=0), kept["probabilities"], atol=2e-3)
    right = accuracy_score(kept["labels"], kept["probabilities"].argmax(axis=1))
    assert done.metrics["test/accuracy"] == pytest.approx(right, abs=0.01)
    alone = [accuracy_score(kept["labels"], found.argmax(axis=1)) for found in each]
    assert done.metrics["folds/test_accuracy_mean"] == pytest.approx(np.mean(alone), abs=0.01)


def test_the_model_that_is_kept_is_the_ensemble(store: str, done: tinybench.Result) -> None:
    file = MlflowClient(store).download_artifacts(done.run_id, "checkpoints/best.keras")
    whole = data.load("digits", resolve(None, SMALL).data, 0, image_size=16)
    kept = arrays(store, done.run_id, "test")
    found = models.load(Path(file)).predict(whole.test.images(), verbose=0)
    np.testing.assert_allclose(found, kept["probabilities"], atol=2e-3)
    again = tinybench.evaluate(done.run_id, uri=store)
    assert again == pytest.approx({name: value for name, value in done.metrics.items() if name.startswith("test/")})


def test_the_note_says_mean_and_deviation(store: str, done: tinybench.Result) -> None:
    note = MlflowClient(store).get_run(done.run_id).data.tags["mlflow.note.content"]
    mean, deviation = done.metrics["folds/accuracy_mean"], done.metrics["folds/accuracy_sd"]
    assert f"{mean:.4f} ± {deviation:.4f}" in note


def test_the_curves_of_all_folds_are_in_one_picture(store: str, done: tinybench.Result) -> None:
    client = MlflowClient(store)
    assert client.download_artifacts(done.run_id, "figures/curves.png")
    rows = Path(client.download_artifacts(done.run_id, "figures/curves.csv")).read_text().splitlines()
    assert len(rows) == 1 + FOLDS * SMALL["scratch.epochs"]


def test_a_broken_run_goes_on_with_the_fold_that_was_broken(
    store: str, done: tinybench.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tinybench.job import train

    class Broken(KeyboardInterrupt):
        """As Ctrl-C."""

    begun = []
    real = train.run_phase

    def breaks(context: PhaseContext, *args: Any) -> Any:
        begun.append(context.checkpoints.folder.parent.name)
        if begun == ["fold1", "fold2"]:
            raise Broken
        return real(context, *args)

    monkeypatch.setattr(train, "run_phase", breaks)
    with pytest.raises(Broken):
        tinybench.train(**SMALL, **{"track.uri": store, "track.experiment": "broken"})
    client = MlflowClient(store)
    (experiment,) = [each for each in client.search_experiments() if each.name == "broken"]
    runs = client.search_runs([experiment.experiment_id], "attributes.status = 'KILLED'")
    (whole,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert folds_of(store, whole.info.run_id)["1"].info.status == "FINISHED"
    again = tinybench.resume(whole.info.run_id, uri=store)
    assert begun == ["fold1", "fold2", "fold2", "fold3"]
    for mine, theirs in zip(again.folds, done.folds, strict=True):
        assert mine.metrics == pytest.approx(theirs.metrics)
    timed = "efficiency/training_seconds"
    assert {k: v for k, v in again.metrics.items() if k != timed} == pytest.approx(
        {k: v for k, v in done.metrics.items() if k != timed}
    )


def test_a_run_with_folds_is_not_fine_tuned_afterwards(store: str, done: tinybench.Result) -> None:
    with pytest.raises(ConfigError, match=r"has folds, which cannot be fine-tuned afterwards: train with phases="):
        tinybench.finetune(done.run_id, uri=store)


def test_fine_tuning_does_not_begin_folds(store: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    one = tinybench.train(**SMALL | {"data.folds": None, "scratch.epochs": 1, "track.uri": store})
    with pytest.raises(ConfigError, match=r"`data\.folds` cannot be changed here"):
        tinybench.finetune(one.run_id, uri=store, **{"data.folds": 3})


def test_only_the_test_images_of_a_run_with_folds_are_scored_again(store: str, done: tinybench.Result) -> None:
    with pytest.raises(ConfigError, match=r"has folds, which have seen all training images: only split test is left"):
        tinybench.evaluate(done.run_id, split="val", uri=store)


def test_both_phases_run_in_every_fold_on_features_that_are_computed_once(tmp_path_factory, own_folders: Path) -> None:
    store = fresh(tmp_path_factory)
    two_phases = {"phases": "transfer,finetune", "data.folds": 2, "transfer.epochs": 1, "finetune.epochs": 1}
    chosen = {key: value for key, value in SMALL.items() if not key.startswith("scratch.")} | two_phases
    result = tinybench.train(**chosen, **{"track.uri": store})
    client = MlflowClient(store)
    experiment = client.get_run(result.run_id).info.experiment_id
    computed = []
    for fold in result.folds:
        below = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{fold.run_id}'")
        runs = {run.data.tags["tinybench.phase"]: run for run in below}
        assert set(runs) == {"transfer", "finetune"}
        computed.append("efficiency/features_images_per_second" in runs["transfer"].data.metrics)
    assert computed == [True, False], "the second fold finds the features of the first"


@pytest.mark.parametrize("value", [1, 0, "one", 2.5])
def test_fewer_than_two_folds_are_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"Invalid value for `data\.folds`: expected a whole number of at least 2"):
        resolve(None, {"data.folds": value})


def test_more_folds_than_images_of_a_class() -> None:
    whole = data.load("digits", resolve(None, SMALL | {"data.per_class": 4}).data, 0, image_size=16)
    with pytest.raises(DataError, match=r"has 4 training images: too few for 5 folds\. Set `data\.folds` lower"):
        splits.make_fold(whole, 0, 5, 0)
