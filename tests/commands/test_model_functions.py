"""The public functions that use the model of a finished run do what the commands do."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from PIL import Image
from stores import elsewhere, fresh

import tinybench
from tinybench import api, data
from tinybench.recipes.resolve import resolve

SMALL = {
    "recipe": "quickstart",
    "phases": "scratch",
    "scratch.epochs": 1,
    "data.per_class": 12,
    "track.pictures": False,
    "track.costs": "off",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[tinybench.Result, str]:
    store = fresh(tmp_path_factory)
    with elsewhere(tmp_path_factory):
        return tinybench.train(**SMALL, **{"track.uri": store}), store


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    (image,) = data.load("digits", resolve(None, SMALL).data, 0, image_size=16).test.images(slice(1))
    file = tmp_path / "two.png"
    Image.fromarray(image.squeeze()).save(file)
    return file


@pytest.mark.parametrize("name", ["predict", "explain_images", "export"])
def test_they_are_public(name: str) -> None:
    function = getattr(tinybench, name)
    assert name in tinybench.__all__
    assert function is getattr(api, name)
    assert function.__name__ == name
    assert "Args:" in inspect.getdoc(function)
    assert "Raises:" in inspect.getdoc(function)


@pytest.mark.parametrize("several", [False, True])
def test_images_are_one_path_or_several(run: tuple[tinybench.Result, str], picture: Path, several: bool) -> None:
    result, store = run
    images = [str(picture), picture.parent] if several else str(picture)
    found = tinybench.predict(result.run_id, images, top=2, uri=store)
    expected = result.load_model().predict({"image": [picture.read_bytes()]}, params={"top_k": 2})
    assert [each.path for each in found] == [picture] * (2 if several else 1)
    assert found[0].labels == tuple(expected["labels"][0])
    assert found[0].probabilities == pytest.approx(expected["probabilities"][0], rel=1e-4)


def test_a_number_of_classes_that_is_none_is_refused(run: tuple[tinybench.Result, str], picture: Path) -> None:
    with pytest.raises(tinybench.TinybenchError, match="`top`: expected a whole number of at least 1, got 0"):
        tinybench.predict(run[0].run_id, picture, top=0, uri=run[1])


def test_an_explanation_is_written(run: tuple[tinybench.Result, str], picture: Path) -> None:
    found = tinybench.explain_images(run[0].run_id, picture, output="maps", label="3", uri=run[1])
    assert {file.name for file in found.files} == {"explanations_1.png", "explanations_1.npz", "faithfulness.csv"}
    assert all(file.is_file() for file in found.files)
    assert 0 <= found.deletion["Grad-CAM"] <= 1


def test_an_export_is_written_and_compared(run: tuple[tinybench.Result, str]) -> None:
    found = tinybench.export(run[0].run_id, output="model.tflite", license="MIT", uri=run[1])
    assert (found.path, found.metadata_path) == (Path("model.tflite"), Path("model.tflite.json"))
    assert found.path.is_file()
    assert found.metadata_path.is_file()
    assert (found.metadata["format"], found.metadata["license"]) == ("litert", "MIT")
    assert found.agreement.agreement == 1
    with pytest.raises(tinybench.TinybenchError, match="is there already"):
        tinybench.export(run[0].run_id, output="model.tflite", uri=run[1])
