"""An image of another aspect ratio is resized alike in training, prediction, serving, evaluation and explanation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax
from stores import elsewhere, fresh

import tinybench
from tinybench import data
from tinybench.commands import loaded_model, predict
from tinybench.data.images import RESIZE_METHODS
from tinybench.inference.classifier import ImageClassifier
from tinybench.tracking import logged_model, run_record, stored_predictions
from tinybench.tracking.tracker import Tracker

_SIDE = 16
_SETTINGS = {
    "recipe": "quickstart",
    "model": "smallcnn",
    "phases": "scratch",
    "image_size": _SIDE,
    "scratch.epochs": 2,
    "track.pictures": False,
    "track.costs": "off",
}


@dataclass(frozen=True)
class Trained:
    """A model trained on images of many aspect ratios; its test images, and what it answered to them."""

    method: str
    store: str
    folder: Path
    result: tinybench.Result
    files: list[Path]
    probabilities: np.ndarray


def make_images(root: Path) -> None:
    """Write photographs of two classes, most of them no squares: stripes along the long or the short side."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 8)):
        for label in ("along", "across"):
            (root / split / label).mkdir(parents=True)
            for number in range(count):
                height, width = generator.integers(12, 60, 2)
                stripes = np.broadcast_to(np.linspace(0, 6, width) % 1, (height, width))
                if (label == "along") == (width > height):
                    stripes = np.broadcast_to((np.linspace(0, 6, height) % 1)[:, None], (height, width))
                noise = generator.integers(0, 40, (height, width, 3))
                pixels = (stripes[..., None] * 200 + noise).astype(np.uint8)
                Image.fromarray(pixels).save(root / split / label / f"{number:02}.png")


@pytest.fixture(scope="module", params=RESIZE_METHODS)
def trained(request, tmp_path_factory) -> Trained:
    store, folder = fresh(tmp_path_factory), tmp_path_factory.mktemp("images")
    make_images(folder)
    settings = _SETTINGS | {"dataset": f"folder:{folder}", "data.resize": request.param, "track.uri": store}
    with elsewhere(tmp_path_factory):
        result = tinybench.train(**settings)
    tracker = Tracker.at(store)
    stored = stored_predictions.read_predictions(tracker, run_record.find_final_run(tracker, result.run_id), "test")
    assert stored is not None
    temperature = result.metrics["best/temperature"]
    logits = stored.logits.astype(np.float64) + stored.largest[:, None]
    files = sorted((folder / "test").rglob("*.png"))
    assert len(files) == len(stored.rows)
    return Trained(request.param, store, folder, result, files, softmax(logits / temperature, axis=1))


def compare(trained: Trained, found: list[dict[str, float]]) -> None:
    """Compare probabilities by class with those of the run; they are stored as float16."""
    names = ("across", "along")
    np.testing.assert_allclose([[each[name] for name in names] for each in found], trained.probabilities, atol=2e-3)


def test_the_methods_differ_in_what_they_answer(trained):
    """So that the other tests can fail."""
    pixels = loaded_model.load_model(trained.result.run_id, trained.store)
    others = [method for method in RESIZE_METHODS if method != trained.method]
    for method in others:
        changed = loaded_model.LoadedModel(pixels.model, pixels.class_names, pixels.shape, pixels.temperature, method)
        assert (changed.read_images(trained.files) != pixels.read_images(trained.files)).any()


@pytest.mark.parametrize("kind", ["run", "model"])
def test_prediction(trained, kind):
    source = trained.result.run_id if kind == "run" else trained.result.model_uri
    found = predict.predict_images(source, [trained.folder / "test"], top=2, uri=trained.store)
    compare(trained, [dict(zip(each.labels, each.probabilities, strict=True)) for each in found])


def test_mlflow_s_server(trained):
    answer = trained.result.load_model().predict({"image": [path.read_bytes() for path in trained.files]})
    rows = zip(answer["labels"], answer["probabilities"], strict=True)
    compare(trained, [dict(zip(*row, strict=True)) for row in rows])


def test_our_server(trained):
    with logged_model.download(trained.result.model_uri) as files:
        classifier = ImageClassifier(loaded_model.models.load(files.keras_path), files.info)
        found = classifier([path.read_bytes() for path in trained.files])
    compare(trained, [dict(zip(each.labels, each.probabilities, strict=True)) for each in found])


def test_evaluation_on_a_folder(trained, tmp_path_factory):
    with elsewhere(tmp_path_factory):
        metrics = tinybench.evaluate(trained.result.run_id, dataset=f"folder:{trained.folder / 'test'}")
    assert metrics["test/accuracy"] == trained.result.metrics["test/accuracy"]
    assert metrics["test/loss"] == pytest.approx(trained.result.metrics["test/loss"], abs=1e-3)


def test_explanation_and_export_see_the_same_pixels(trained):
    config = run_record.read_config(
        Tracker.at(trained.store), Tracker.at(trained.store).find_top_run(trained.result.run_id)
    )
    dataset = data.load(config.dataset, config.data, config.seed, image_size=config.image_size)
    model = loaded_model.load_model(trained.result.run_id, trained.store)
    np.testing.assert_array_equal(model.read_images(trained.files), dataset.test.images())
