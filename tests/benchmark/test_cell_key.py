from __future__ import annotations

import shutil
from dataclasses import replace as replace_setting
from pathlib import Path

import pytest
from small_grid import TINY, cells

from tinybench import models
from tinybench.benchmark.cell_key import list_contents, make_key
from tinybench.config import run_config as configuration
from tinybench.config.run_config import SETTINGS
from tinybench.recipes.resolve import resolve

DATA = {"data": "0" * 64}


def key_of(**settings: object) -> str:
    return make_key(configuration.replace(resolve("quickstart"), settings), DATA)


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": 1}, {"transfer.epochs": 3}, {"model": "simple5"}, {"dataset": "mnist"}, {"head.dropout": 0.3},
        {"phases": "transfer"}, {"precision": "float32"}, {"data.per_class": 5},
    ],
)  # fmt: skip
def test_what_changes_the_result_changes_the_key(settings):
    assert key_of(**settings) != key_of()


@pytest.mark.parametrize(
    "settings",
    [
        {"track.uri": "sqlite:///other.db"}, {"track.pictures": False}, {"track.run_name": "a"}, {"device": "cpu"},
        {"engine": "keras"}, {"cache.budget": "1GB"}, {"checkpoint.keep": 5}, {"data.root": "/elsewhere"},
        {"scratch.epochs": 7}, {"optimizer.momentum": 0.1}, {"data.labels": "coarse"},
    ],
)  # fmt: skip
def test_where_a_run_is_executed_and_what_has_no_effect_change_nothing(settings):
    assert key_of(**settings) == key_of()


def test_a_setting_that_a_later_version_adds_changes_no_key(monkeypatch):
    before = key_of()
    config = resolve("quickstart")
    flat = configuration.RunConfig.flat
    monkeypatch.setitem(
        SETTINGS, "data.later", replace_setting(SETTINGS["data.per_class"], name="data.later", default=5)
    )
    monkeypatch.setattr(configuration.RunConfig, "flat", lambda self: {"data.later": 5} | flat_without(flat, self))
    assert make_key(config, DATA) == before


def flat_without(flat, config):
    name = "data.later"
    spec = SETTINGS.pop(name)
    try:
        return flat(config)
    finally:
        SETTINGS[name] = spec


def test_other_data_of_the_same_name_are_another_cell(tmp_path):
    some, other = list_contents([cells("smallcnn")[0], cells("smallcnn", **{"data.per_class": 7})[0]])
    assert some["data"] == other["data"], "the fingerprint is that of the whole data set"
    config = cells("smallcnn")[0]
    assert make_key(config, some) != make_key(config, {"data": "1" * 64})


def test_a_folder_that_is_moved_is_the_same_data(tmp_path):
    import numpy as np
    from PIL import Image

    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "here" / split / name).mkdir(parents=True)
            for index in range(6):
                pixels = np.full((8, 8, 3), [index * 9, len(split), len(name) + ord(name[0])], np.uint8)
                Image.fromarray(pixels).save(tmp_path / "here" / split / name / f"{index}.png")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    settings = TINY | {"image_size": 16, "data.per_class": None, "data.test_per_class": None}
    both = [resolve("quickstart", settings | {"dataset": f"folder:{tmp_path / name}"}) for name in ("here", "there")]
    contents = list_contents(both)
    assert make_key(both[0], contents[0]) == make_key(both[1], contents[1])
    Image.new("RGB", (8, 8), "red").save(tmp_path / "there" / "train" / "cat" / "0.png")
    assert make_key(both[1], list_contents(both[1:])[0]) != make_key(both[0], contents[0])


def test_a_models_file_counts_by_its_content(tmp_path):
    import keras

    keras.utils.set_random_seed(0)
    built = models.build(resolve("quickstart"), (8, 8, 1), 10)
    for name in ("a.keras", "b.keras"):
        built.save(tmp_path / name)
    shutil.copy(tmp_path / "a.keras", tmp_path / "c.keras")

    def key(file: Path) -> str:
        config = resolve("quickstart", TINY | {"model": str(file), "weights": "file"})
        return make_key(config, list_contents([config])[0])

    assert key(tmp_path / "a.keras") == key(tmp_path / "c.keras")
    (tmp_path / "c.keras").write_bytes(b"other")
    assert key(tmp_path / "a.keras") != key(tmp_path / "c.keras")
