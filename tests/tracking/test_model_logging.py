"""The logged model: made once, and as a client would use it."""

from __future__ import annotations

import base64
import io
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from PIL import Image
from stores import elsewhere

from tinybench import data, models
from tinybench.config.sections import TrackConfig
from tinybench.data import images
from tinybench.data.dataset import Dataset
from tinybench.recipes.resolve import resolve
from tinybench.tracking import model_logging as tracked
from tinybench.tracking.run_writer import RunWriter
from tinybench.tracking.tracker import Tracker


@pytest.fixture(scope="module")
def digits() -> Dataset:
    chosen = resolve("quickstart", {"data.per_class": 4, "data.test_per_class": 2})
    return data.load("digits", chosen.data, 0, image_size=16)


@pytest.fixture(scope="module")
def network(digits: Dataset) -> keras.Model:
    return models.build(resolve("quickstart"), digits.shape, len(digits.class_names))


@pytest.fixture(scope="module")
def parent(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunWriter]:
    with elsewhere(tmp_path_factory), closing(Tracker(TrackConfig(uri=store), may_be_away=True)) as tracker:
        yield tracker.open_parent_run("x")


@pytest.fixture(scope="module")
def uri(parent: RunWriter, network: keras.Model, digits: Dataset) -> str:
    key = tracked.log_model(parent, network, digits, 3)
    assert parent.store.flush()
    return f"models:/{parent.store.id_of(key)}"


@pytest.fixture(scope="module")
def stored(uri: str, store: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the logged model."""
    folder = tmp_path_factory.mktemp("model")
    return Path(download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=store))


@pytest.fixture(scope="module")
def served(stored: Path) -> Iterator[Any]:
    """The model as MLflow serves it, from its files alone."""
    before = list(sys.path)
    yield mlflow.pyfunc.load_model(str(stored))
    sys.path[:] = before


@pytest.fixture(scope="module")
def pixels(digits: Dataset) -> np.ndarray:
    return digits.test.images(slice(0, 3))


@pytest.fixture(scope="module")
def expected(network: keras.Model, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(network(pixels))


def png(picture: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(picture.squeeze()).save(encoded, "PNG")
    return encoded.getvalue()


def base64_of(picture: np.ndarray) -> str:
    return base64.b64encode(png(picture)).decode()


def ask(served, *pictures: Any, **params: Any) -> pd.DataFrame:
    return served.predict(pd.DataFrame({"image": list(pictures)}), params=params or None)


def by_label(answer: pd.DataFrame) -> np.ndarray:
    """(n, 10) probabilities in the order of the labels, from answers in the order of probability."""
    rows = [dict(zip(*row, strict=True)) for row in zip(answer["labels"], answer["probabilities"], strict=True)]
    return np.array([[row[str(digit)] for digit in range(10)] for row in rows])


def test_the_model_belongs_to_the_run(parent, uri, store):
    (logged,) = mlflow.MlflowClient(store).search_logged_models(["0", "1"])
    assert logged.model_uri == uri
    assert logged.source_run_id == parent.id
    assert mlflow.MlflowClient(store).get_run(parent.id).data.tags["tinybench.model_uri"] == uri


def test_a_resumed_run_logs_no_second_model(parent, network, digits, uri, store):
    tracker = Tracker(TrackConfig(uri=store), may_be_away=True)
    resumed = tracker.reopen(tracker.get_run(parent.id))
    assert tracked.log_model(resumed, network, digits, 3) == uri.removeprefix("models:/")
    tracker.close()
    assert len(mlflow.MlflowClient(store).search_logged_models(["0", "1"])) == 1


def test_no_run_is_left_active(uri):
    assert mlflow.active_run() is None


def test_requirements_are_pinned_to_what_is_here(stored):
    pins = dict(line.split("==") for line in (stored / "requirements.txt").read_text().split())
    assert {"mlflow", "tensorflow", "keras", "numpy", "pillow"} <= set(pins)
    assert pins == {name: metadata.version(name) for name in pins}


def test_the_package_goes_with_the_model(stored):
    assert (stored / "code" / "tinybench" / "data" / "images.py").is_file()


def test_the_example_is_a_picture_that_is_answered(served, expected):
    answer = served.predict(served.input_example, params={"top_k": 10})
    np.testing.assert_allclose(by_label(answer), expected[:1], atol=1e-5)


@pytest.mark.parametrize("form", [png, base64_of, lambda picture: picture, lambda picture: picture[..., 0],
                                  lambda picture: picture.tolist(), lambda picture: picture.repeat(3, axis=-1)],
                         ids=["PNG", "base64", "array", "gray array", "lists", "RGB array"])  # fmt: skip
def test_every_form_of_a_picture_gets_the_answer_of_the_network(served, pixels, expected, form):
    answer = ask(served, *map(form, pixels), top_k=10)
    np.testing.assert_allclose(by_label(answer), expected, atol=1e-5)


def test_forms_can_be_mixed_in_a_dictionary(served, pixels, expected):
    answer = served.predict({"image": [base64_of(pixels[0]), pixels[1], png(pixels[2])]}, params={"top_k": 10})
    np.testing.assert_allclose(by_label(answer), expected, atol=1e-5)


def test_a_dictionary_of_text_alone(served, pixels, expected):
    answer = served.predict({"image": [base64_of(picture) for picture in pixels]}, params={"top_k": 10})
    np.testing.assert_allclose(by_label(answer), expected, atol=1e-5)


def test_a_colour_picture_of_another_size_is_read_as_the_data_sets_are(served, network):
    sent = png(np.random.default_rng(0).integers(0, 256, (40, 20, 3), np.uint8))
    as_data = images.resize(images.decode(sent, channels=1), (8, 8), "crop")
    np.testing.assert_allclose(by_label(ask(served, sent, top_k=10)), network(as_data[None]), atol=1e-5)


def test_more_pictures_than_a_batch_keep_their_order(served, network):
    pictures = np.random.default_rng(0).integers(0, 256, (70, 8, 8, 1), np.uint8)
    np.testing.assert_allclose(by_label(ask(served, *pictures, top_k=10)), network(pictures), atol=1e-5)


def test_labels_come_by_their_probability(served, pixels):
    (probabilities,) = ask(served, pixels[0], top_k=10)["probabilities"]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("asked", "given"), [({}, 5), ({"top_k": 1}, 1), ({"top_k": 3}, 3), ({"top_k": 99}, 10)])
def test_as_many_labels_as_asked(served, pixels, asked, given):
    answer = ask(served, *pixels, **asked)
    assert [len(labels) for labels in answer["labels"]] == [given] * 3
    assert [len(values) for values in answer["probabilities"]] == [given] * 3


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        ("a cat, a picture", "expected an image as base64 text, got text that is not base64"),
        (base64.b64encode(b"hello").decode(), "not a JPEG, PNG, BMP, WebP or PPM image"),
        (b"hello", "not a JPEG, PNG, BMP, WebP or PPM image"),
        (np.zeros((8, 8, 1)), "Expected pixels as whole numbers in 0..255, got float64; they must not be scaled"),
        (np.zeros((8, 8, 2), np.uint8), r"Expected pixels as .*, got \(8, 8, 2\)"),
        (None, "expected base64 text or pixels, got NoneType"),
    ],
)
def test_what_is_no_picture(served, picture, reason):
    with pytest.raises(ValueError, match=reason):
        ask(served, picture)


def test_another_column_is_refused(served, pixels):
    with pytest.raises(MlflowException, match="image"):
        served.predict(pd.DataFrame({"picture": [png(pixels[0])]}))


# The part that matters of the file that was stored with models when the classifier was in `tinybench.serving`
FORMER_SERVED_MODEL = """
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from tinybench.serving.answering import Answerer
from tinybench.serving.versions import version


class PictureClassifier(PythonModel):
    def load_context(self, context):
        model, about = (Path(context.artifacts[name]) for name in ("model", "labels"))
        self.answerer = Answerer.load(model, about, version(model.parents[1]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        found = self.answerer(list(model_input.iloc[:, 0]), (params or {}).get("top_k", 5))
        return pd.DataFrame([asdict(each) for each in found])


mlflow.models.set_model(PictureClassifier())
"""


def test_a_model_that_was_logged_by_earlier_code_is_loaded_beside_this_code(stored, served, pixels, tmp_path):
    former = Path(shutil.copytree(stored, tmp_path / "former"))
    (former / "served_model.py").write_text(FORMER_SERVED_MODEL)
    before = list(sys.path)
    loaded = mlflow.pyfunc.load_model(str(former))
    sys.path[:] = before
    former_answer, answer = ask(loaded, png(pixels[0]), top_k=10), ask(served, png(pixels[0]), top_k=10)
    pd.testing.assert_frame_equal(former_answer, answer)
