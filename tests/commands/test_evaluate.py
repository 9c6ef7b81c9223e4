"""A finished run is scored again: the same figures, in a run of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
import stores
from mlflow.tracking import MlflowClient
from PIL import Image

import tinybench
from tinybench.commands import evaluate
from tinybench.core.errors import ConfigError, DataError, TrackingError

SMALL = {"recipe": "quickstart", "phases": "transfer", "transfer.epochs": 1, "data.per_class": 6}
SMALL |= {"track.pictures": False, "track.costs": "off"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return stores.fresh(tmp_path_factory)


@pytest.fixture(scope="module")
def done(store: str, tmp_path_factory: pytest.TempPathFactory) -> tinybench.Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYBENCH_STATE", str(tmp_path_factory.mktemp("state")))
        return tinybench.train(**SMALL, **{"data.test_per_class": 5, "track.uri": store, "track.experiment": "digits"})


@pytest.fixture(autouse=True)
def forget_the_store() -> Iterator[None]:
    yield
    mlflow.set_tracking_uri(None)


@pytest.fixture(scope="module")
def again(store: str, done: tinybench.Result) -> dict[str, float]:
    return evaluate.evaluate_run(done.run_id, split="test", uri=store)


def evaluations(store: str, source: str) -> list[mlflow.entities.Run]:
    client = MlflowClient(store)
    everywhere = [experiment.experiment_id for experiment in client.search_experiments()]
    return client.search_runs(everywhere, f"tags.`tinybench.source_run` = '{source}'")


def test_the_test_images_give_the_figures_of_the_run(done, again):
    judged = {name: value for name, value in done.metrics.items() if name.startswith(("test/", "best/temperature"))}
    assert again == pytest.approx(judged, rel=1e-4, nan_ok=True)


def test_the_figures_are_in_a_finished_run_that_is_linked(store, done, again):
    (run,) = evaluations(store, done.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "evaluate smallcnn on digits"
    assert run.data.params.items() >= {"run_id": done.run_id, "split": "test", "data.test_per_class": "5"}.items()
    assert run.data.metrics == pytest.approx(again, rel=0, nan_ok=True)
    assert run.inputs.dataset_inputs[0].dataset.name == "digits"
    assert "mlflow.parentRunId" not in run.data.tags, "a phase is what a child of the source would be"


def test_settings_of_the_evaluation_are_used(store, done):
    phase = done.phases["transfer"].run_id
    evaluate.evaluate_run(phase, split="test", uri=store, settings={"track.run_name": "mine"})
    assert "mine" in {run.info.run_name for run in evaluations(store, phase)}


def test_the_validation_images_give_what_selected(store, done):
    found = evaluate.evaluate_run(done.run_id, split="val", uri=store)
    assert set(found) >= {"val/loss", "val/accuracy", "val/f1_macro"}
    assert found["val/loss"] == pytest.approx(done.metrics["best/val_loss"], rel=1e-4)
    assert found["val/accuracy"] == pytest.approx(done.metrics["best/val_accuracy"])


def test_the_training_images_can_be_scored(store, done):
    found = evaluate.evaluate_run(done.run_id, split="train", uri=store)
    assert found["train/accuracy"] * 50 == pytest.approx(round(found["train/accuracy"] * 50)), "one of six held out"


@pytest.mark.parametrize(
    ("key", "value"), [("seed", 5), ("data.per_class", 3), ("model", "vgg16"), ("head_dropout", 0.5)]
)
def test_what_the_run_has_settled_cannot_be_changed(store, done, key, value):
    name = key.replace("head_dropout", "head.dropout")
    with pytest.raises(ConfigError, match=rf"`{name}` cannot be changed here: run {done.run_id} has settled it as"):
        evaluate.evaluate_run(done.run_id, split="val", uri=store, settings={key: value})


def test_a_phase_is_scored_like_its_run(store, done, again):
    assert evaluate.evaluate_run(done.phases["transfer"].run_id, split="test", uri=store) == again


@pytest.mark.parametrize("split", ["", "Test"])
def test_a_split_that_is_not_there_opens_no_run(store, done, split):
    before = len(evaluations(store, done.run_id))
    with pytest.raises(ConfigError, match=rf"`split`: expected one of train, validation, test, got '{split}'"):
        evaluate.evaluate_run(done.run_id, split=split, uri=store)
    assert len(evaluations(store, done.run_id)) == before


def test_a_setting_that_is_not_allowed_opens_no_run(store, done):
    before = len(evaluations(store, done.run_id))
    with pytest.raises(ConfigError, match="`batch_size`"):
        evaluate.evaluate_run(done.run_id, split="test", uri=store, settings={"batch_size": 0})
    assert len(evaluations(store, done.run_id)) == before


def test_data_with_other_classes(store, done):
    with pytest.raises(
        DataError, match=r"knows 10 classes; the data are \(8, 8, 1\) with 3 classes: give the data set"
    ):
        evaluate.evaluate_run(done.run_id, split="test", uri=store, settings={"data.classes": 3})
    assert evaluations(store, done.run_id)[0].info.status == "FAILED"


def pictures(folder, names, count=3, side=20):
    """A folder of noisy pictures, one folder a class."""
    generator = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = generator.integers(0, 256, (side, side, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return f"folder:{folder}"


def test_a_folder_of_pictures_is_told_by_its_names(store, done, tmp_path):
    """Three of the classes, in another order than the model's, of another size; all of them are tested."""
    found = evaluate.evaluate_run(
        done.run_id, split="test", uri=store, settings={"dataset": pictures(tmp_path / "own", ("7", "3", "5"), count=9)}
    )
    assert found["test/images"] == 27  # more than data.per_class, which is about training
    (run,) = [each for each in evaluations(store, done.run_id) if each.data.params["dataset"].endswith("own")]
    kept = MlflowClient(store).download_artifacts(run.info.run_id, "predictions/test.npz")
    with np.load(kept) as stored:
        assert np.bincount(stored["labels"], minlength=10).tolist() == [0, 0, 0, 9, 0, 9, 0, 9, 0, 0]
    assert 0 <= found["test/accuracy"] <= 1
    assert found["test/top5"] >= found["test/accuracy"]
    assert found["test/classes"] == 3
    assert found["best/temperature"] == pytest.approx(done.metrics["best/temperature"])


def test_pictures_of_a_single_class_can_be_judged(store, done, tmp_path):
    found = evaluate.evaluate_run(
        done.run_id, split="test", uri=store, settings={"dataset": pictures(tmp_path / "one", ("4",), count=5)}
    )
    assert (found["test/images"], found["test/classes"]) == (5, 1)
    assert "test/auc_ovr_macro" not in found
    assert found["test/accuracy"] == pytest.approx(found["test/recall_weighted"])


def test_pictures_that_the_model_cannot_know(store, done, tmp_path):
    with pytest.raises(DataError, match="does not know 1 of the classes, such as 'ten'"):
        evaluate.evaluate_run(
            done.run_id, split="test", uri=store, settings={"dataset": pictures(tmp_path / "a", ("1", "ten"))}
        )


def test_a_mistake_leaves_no_run(store, done, tmp_path):
    before = len(evaluations(store, done.run_id))
    given = {"dataset": pictures(tmp_path / "own", ("1", "2"))}
    with pytest.raises(ConfigError, match="other data are not split"):
        evaluate.evaluate_run(done.run_id, split="val", uri=store, settings=given)
    with pytest.raises(DataError):
        evaluate.evaluate_run(
            done.run_id, split="test", uri=store, settings={"dataset": f"folder:{tmp_path / 'nothing'}"}
        )
    assert len(evaluations(store, done.run_id)) == before


def test_kept_answers_are_judged_without_the_model(store, done, monkeypatch):
    monkeypatch.setattr("tinybench.tracking.run_record.load_final_model", None)
    found = evaluate.evaluate_run(done.run_id, split="test", uri=store)
    assert found["test/accuracy"] == done.metrics["test/accuracy"]
    assert found["test/ece_scaled"] == pytest.approx(done.metrics["test/ece_scaled"])
    assert found["test/accuracy_low"] <= found["test/accuracy"] <= found["test/accuracy_high"]


def test_an_evaluation_has_pictures_where_they_are_wanted(store, done):
    evaluate.evaluate_run(
        done.run_id, split="val", uri=store, settings={"track.pictures": True, "track.run_name": "drawn"}
    )
    (run,) = [each for each in evaluations(store, done.run_id) if each.info.run_name == "drawn"]
    found = {Path(item.path).name for item in MlflowClient(store).list_artifacts(run.info.run_id, "figures")}
    assert {"confusion_matrix.png", "confusion_matrix.csv", "reliability.csv", "worst.png", "worst.csv"} <= found
    assert "reliability.png" not in found, "there are too few images"
    assert "reliability: " in run.data.tags["figures.absent"]


def test_the_same_classes_in_another_order(store, done):
    with pytest.raises(DataError):
        evaluate.evaluate_run(done.run_id, split="test", uri=store, settings={"data.classes": "9,8,7,6,5,4,3,2,1,0"})


def test_a_run_that_is_not_there(store):
    with pytest.raises(TrackingError, match="No run 'gone'"):
        evaluate.evaluate_run("gone", split="test", uri=store)


def test_a_run_of_somebody_else(store):
    theirs = MlflowClient(store).create_run("0").info.run_id
    with pytest.raises(TrackingError, match=f"Run {theirs} was not made by tinybench"):
        evaluate.evaluate_run(theirs, split="test", uri=store)
    assert evaluations(store, theirs) == []
