"""Settings of one folder of images do not follow a model to another folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinybench
from tinybench.core.errors import ConfigError
from tinybench.tracking import run_record
from tinybench.tracking.tracker import Tracker

QUICK = {
    "recipe": "quickstart",
    "phases": "scratch",
    "image_size": 8,
    "scratch.epochs": 1,
    "track.costs": "off",
    "track.pictures": False,
    "explain.images": 0,
}


def draw(folder: Path, count: int, seed: int) -> None:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(seed)
    for index in range(count):
        Image.fromarray(generator.integers(0, 256, (8, 8, 3), np.uint8)).save(folder / f"{seed}{index:02}.png")


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    draw(tmp_path / "flat/images", 20, 1)
    rows = [f"1{index:02},{('cat', 'café')[index % 2]}" for index in range(20)]
    (tmp_path / "flat/table.csv").write_text("\n".join(["picture,what", *rows]), "utf-8")
    return tmp_path / "flat"


def test_a_model_of_a_table_is_evaluated_on_class_folders(flat: Path, tmp_path: Path) -> None:
    columns = {"data.labels_file": "table.csv", "data.label_column": "what"}
    result = tinybench.train(dataset=f"folder:{flat}", **QUICK, **columns)
    config = run_record.read_config(Tracker.at(None), Tracker.at(None).get_run(result.run_id))
    assert config.data.labels_file == "table.csv"
    draw(tmp_path / "other/cat", 4, 2)
    draw(tmp_path / "other/cafe\u0301", 4, 3)  # as another system writes it
    metrics = tinybench.evaluate(result.run_id, dataset=f"folder:{tmp_path / 'other'}")
    assert metrics["test/images"] == 8


def test_they_are_refused_for_other_data_sets() -> None:
    with pytest.raises(
        ConfigError, match=r"^`data.labels_file` would have no effect: it is for a folder of images, and"
    ):
        tinybench.train(recipe="quickstart", **{"data.labels_file": "x.csv"})
    with pytest.raises(ConfigError, match=r"^`data.label_column` would have no effect: no table is read"):
        tinybench.train(dataset="folder:x", **{"data.labels_file": "none", "data.label_column": "x"})
