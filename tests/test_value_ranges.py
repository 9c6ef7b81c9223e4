"""16-bit images are converted alike in training, prediction, serving, evaluation and explanation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.special import softmax
from stores import elsewhere, fresh

import tinybench
from tinybench import data
from tinybench.cli import root
from tinybench.commands import loaded_model, predict
from tinybench.inference.classifier import ImageClassifier
from tinybench.tracking import logged_model, run_record, stored_predictions
from tinybench.tracking.tracker import Tracker

_SETTINGS = {
    "recipe": "quickstart",
    "phases": "scratch",
    "image_size": 16,
    "scratch.epochs": 2,
    "track.pictures": False,
    "track.costs": "off",
}
_NAMES = ("bright", "dark")


@dataclass(frozen=True)
class Trained:
    """A model trained on images of 12 bits in 16, its test images, and what it answered to them."""

    range: str
    store: str
    folder: Path
    result: tinybench.Result
    warnings: list[str]
    files: list[Path]
    probabilities: np.ndarray


def make_images(folder: Path) -> None:
    generator = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 6)):
        for label, level in (("dark", 600), ("bright", 2400)):
            (folder / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = (level + generator.integers(0, 1600, (16, 16))).astype(np.uint16)
                Image.fromarray(pixels).save(folder / split / label / f"{number:02}.png")


@pytest.fixture(scope="module", params=["full", "12bit", "image"])
def trained(request, tmp_path_factory) -> Trained:
    store, folder = fresh(tmp_path_factory), tmp_path_factory.mktemp("images")
    make_images(folder)
    settings = _SETTINGS | {"dataset": f"folder:{folder}", "data.range": request.param, "track.uri": store}
    with elsewhere(tmp_path_factory):
        result = tinybench.train(**settings)
    tracker = Tracker.at(store)
    stored = stored_predictions.read_predictions(tracker, run_record.find_final_run(tracker, result.run_id), "test")
    assert stored is not None
    logits = stored.logits.astype(np.float64) + stored.largest[:, None]
    config = run_record.read_config(tracker, tracker.find_top_run(result.run_id))
    warnings = list(data.load(config.dataset, config.data, config.seed, image_size=16).warnings)
    files = sorted((folder / "test").rglob("*.png"))
    probabilities = softmax(logits / result.metrics["best/temperature"], axis=1)
    return Trained(request.param, store, folder, result, warnings, files, probabilities)


def compare(trained: Trained, found: list[dict[str, float]]) -> None:
    np.testing.assert_allclose([[each[name] for name in _NAMES] for each in found], trained.probabilities, atol=2e-3)


def test_a_range_that_does_not_fit_is_noted_once_for_the_folder(trained):
    notes = [line for line in trained.warnings if "data.range" in line]
    assert len(notes) == (trained.range == "full")
    assert all("nearly black (16 of 255)" in note and note.endswith("`data.range` 12bit.") for note in notes)


@pytest.mark.parametrize("kind", ["run", "model"])
def test_prediction(trained, kind):
    source = trained.result.run_id if kind == "run" else trained.result.model_uri
    found = predict.predict_images(source, [trained.folder / "test"], top=2, uri=trained.store)
    found = list(found)
    compare(trained, [dict(zip(each.labels, each.probabilities, strict=True)) for each in found])
    assert [bool(each.warning) for each in found] == [trained.range == "full"] * len(found)


def test_mlflow_s_and_our_server(trained):
    files = [path.read_bytes() for path in trained.files]
    answer = trained.result.load_model().predict({"image": files})
    rows = zip(answer["labels"], answer["probabilities"], strict=True)
    compare(trained, [dict(zip(*row, strict=True)) for row in rows])
    with logged_model.download(trained.result.model_uri) as stored:
        assert stored.info.value_range == trained.range
        found = ImageClassifier(loaded_model.models.load(stored.keras_path), stored.info)(files)
    compare(trained, [dict(zip(each.labels, each.probabilities, strict=True)) for each in found])
    told = [[line for line in each.warnings if "data.range" in line] for each in found]
    assert [len(lines) for lines in told] == [trained.range == "full"] * len(files)


def test_evaluation_explanation_and_export(trained, tmp_path_factory, tmp_path):
    with elsewhere(tmp_path_factory):
        metrics = tinybench.evaluate(trained.result.run_id, dataset=f"folder:{trained.folder / 'test'}")
    assert metrics["test/loss"] == pytest.approx(trained.result.metrics["test/loss"], abs=1e-3)
    tracker = Tracker.at(trained.store)
    config = run_record.read_config(tracker, tracker.find_top_run(trained.result.run_id))
    dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
    model = loaded_model.load_model(trained.result.run_id, trained.store)
    np.testing.assert_array_equal(model.read_images(trained.files), dataset.test.images())
    tinybench.export(trained.result.run_id, "keras", output=tmp_path / "model.keras", uri=trained.store)
    assert json.loads((tmp_path / "model.keras.json").read_text())["input"]["range_before"] == trained.range


def test_the_command_notes_it_once(trained):
    words = ["predict", trained.result.run_id, str(trained.folder / "test"), "--uri", trained.store]
    done = CliRunner().invoke(root.cli, words)
    assert done.exit_code == 0, done.output
    assert done.stderr.count("Note: ") == (trained.range == "full")
