"""Runs are ranked only if they were tested on the same images."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from mlflow.entities import Metric, Param, Run, RunData, RunInfo, RunTag
from mlflow.tracking import MlflowClient
from stores import fresh

from tinybench.core.errors import ConfigError
from tinybench.registry import candidates
from tinybench.registry.candidates import CandidateQuery
from tinybench.tracking import tags
from tinybench.tracking.tracker import Tracker


def run(run_id: str, accuracy: float, test_hash: str, **params: Any) -> Run:
    info = RunInfo(run_id, "0", "me", "FINISHED", 1, 2, "active", run_name=run_id)
    settings = {"dataset": "digits"} | {key.replace("__", "."): str(value) for key, value in params.items()}
    return Run(
        info,
        RunData(
            [Metric("best/val_accuracy", accuracy, 0, 0)],
            [Param(*item) for item in settings.items()],
            [RunTag(tags.TEST_HASH, test_hash)],
        ),
    )


def test_runs_of_different_numbers_of_classes_are_not_ranked():
    runs = [
        run("a", 0.9, "x", data__classes=10),
        run("b", 0.5, "y", data__classes=20),
        run("c", 0.6, "y", data__classes=20),
    ]
    with pytest.raises(ConfigError, match="were tested on different images") as raised:
        candidates.choose(runs, CandidateQuery())
    assert "--filter 'params.`data.classes` = \"20\"' (2 runs, best c)" in str(raised.value)
    assert "--filter 'params.`data.classes` = \"10\"' (1 run, best a)" in str(raised.value)


def test_where_no_setting_tells_them_apart_the_images_do():
    runs = [run("a", 0.9, "x", data__classes=10), run("b", 0.5, "y", data__classes=10)]
    with pytest.raises(ConfigError, match=re.escape('tags.`data.test_hash` = "y"\' (1 run, best b)')):
        candidates.choose(runs, CandidateQuery())


def test_runs_of_other_settings_with_the_same_images_are_ranked():
    runs = [run("a", 0.7, "x", image_size=64), run("b", 0.9, "x", image_size=96)]
    assert candidates.choose(runs, CandidateQuery()).run_id == "b"


def test_with_a_champion_its_images_decide_and_a_run_that_is_named_is_taken():
    runs = [run("a", 0.9, "x", data__classes=10), run("b", 0.5, "y", data__classes=20)]
    assert candidates.choose(runs, CandidateQuery(), test_hash="y").run_id == "b"
    assert candidates.choose(runs[:1], CandidateQuery("a")).run_id == "a"


@pytest.mark.parametrize("spelling", ["pets", "folder:/data/pets"])
def test_a_folder_is_found_by_its_name_and_by_its_path(tmp_path_factory, spelling):
    tracker = Tracker.at(fresh(tmp_path_factory))
    for dataset in ("folder:/data/pets", "folder:/data/cars"):
        made = tracker.client.create_run("0", tags={tags.MODEL_URI: "models:/m"}).info.run_id
        tracker.client.log_param(made, "dataset", dataset)
        tracker.client.log_metric(made, "best/val_accuracy", 0.5)
        tracker.client.set_terminated(made)
    found = candidates.find_runs(tracker, CandidateQuery(dataset=spelling))
    assert [each.data.params["dataset"] for each in found] == ["folder:/data/pets"]


def test_a_folder_that_lies_in_two_places_is_one_data_set_and_two_of_one_name_are_not():
    def of(path: str, fingerprint: str) -> Run:
        made = run(path, 0.5, "x", dataset=f"folder:{path}")
        made.data.tags[tags.DATA_FINGERPRINT] = fingerprint
        return made

    assert candidates.common_dataset([of("/a/pets", "f"), of("/b/pets", "f")]) == "folder:/a/pets"
    with pytest.raises(ConfigError, match="There are runs on folder:/a/pets, folder:/b/pets: choose by --dataset"):
        candidates.common_dataset([of("/a/pets", "f"), of("/b/pets", "g")])


def test_the_filters_of_the_message_find_the_runs(tmp_path_factory):
    client = MlflowClient(fresh(tmp_path_factory))
    for number, classes in enumerate((10, 20)):
        made = client.create_run("0").info.run_id
        client.log_param(made, "data.classes", classes)
        client.set_tag(made, tags.TEST_HASH, f"images{number}")
        client.log_metric(made, "best/val_accuracy", 0.5)
    runs = [*client.search_runs(["0", "1"])]
    for changed in (runs, [run(each.info.run_id, 0.5, each.data.tags[tags.TEST_HASH]) for each in runs]):
        with pytest.raises(ConfigError) as raised:
            candidates.choose(changed, CandidateQuery())
        words = shlex.split(re.sub(r"[(),]", " ", str(raised.value)))
        filters = [words[index + 1] for index, word in enumerate(words) if word == "--filter"]
        assert [len(client.search_runs(["0", "1"], condition)) for condition in filters] == [1, 1]
