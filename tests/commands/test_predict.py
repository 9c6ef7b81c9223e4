"""A real run's model on pictures of one's own: what it says, what it draws, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from stores import elsewhere, fresh

import tinybench
from tinybench import data
from tinybench.cli import root
from tinybench.commands import explain, image_files, loaded_model, predict
from tinybench.core.errors import ConfigError, DataError, ModelError, TrackingError
from tinybench.explain import faithfulness
from tinybench.recipes.resolve import resolve

ROOT = Path(tinybench.__file__).parents[1]
SMALL = {
    "recipe": "quickstart",
    "phases": "scratch",
    "scratch.epochs": 4,
    "scratch.lr": 3e-3,
    "track.pictures": False,
    "track.costs": "off",
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


@pytest.fixture(scope="module")
def done(store: str, tmp_path_factory: pytest.TempPathFactory) -> tinybench.Result:
    with elsewhere(tmp_path_factory):
        return tinybench.train(**SMALL, **{"track.uri": store})


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Some test images as files, in a folder with another inside."""
    folder = tmp_path / "pictures"
    (folder / "inside").mkdir(parents=True)
    (folder / "notes.txt").write_text("no picture")
    test = data.load("digits", resolve(None, SMALL).data, 0, image_size=16).test
    for place, image in enumerate(test.images(slice(3))):
        Image.fromarray(image.squeeze()).save(folder / ("inside" if place == 2 else "") / f"{place}.png")
    return folder


@pytest.mark.parametrize("kind", ["run", "model"])
def test_it_answers_as_the_run_did(store: str, done: tinybench.Result, pictures: Path, kind: str) -> None:
    paths = image_files.find_images([pictures])
    assert [path.name for path in paths] == ["0.png", "1.png", "2.png"]
    source = done.run_id if kind == "run" else done.model_uri
    found = [*predict.predict_images(source, [pictures], top=3, uri=store)]
    expected = done.load_model().predict({"image": [path.read_bytes() for path in paths]})
    assert [each.labels for each in found] == [tuple(labels[:3]) for labels in expected["labels"]]
    np.testing.assert_allclose(
        [each.probabilities for each in found], [each[:3] for each in expected["probabilities"]], rtol=1e-4
    )


def test_the_command_prints_words_or_json(store: str, done: tinybench.Result, pictures: Path) -> None:
    words = ["predict", done.run_id, str(pictures), "--top", "2", "--uri", store]
    lines = CliRunner().invoke(root.cli, words, catch_exceptions=False).stdout.splitlines()
    assert lines[0] == str(pictures / "0.png")
    assert lines[1].strip().split("%")[1].strip() in "0123456789"
    assert len(lines) == 9
    lines = CliRunner().invoke(root.cli, [*words, "--json"], catch_exceptions=False).stdout.splitlines()
    first = json.loads(lines[0])
    assert first["path"] == str(pictures / "0.png")
    assert len(first["labels"]) == len(first["probabilities"]) == 2


def test_a_picture_of_one_pixel_is_answered(store: str, done: tinybench.Result, tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), "red").save(tmp_path / "one.png")
    (found,) = predict.predict_images(done.run_id, [tmp_path / "one.png"], top=10, uri=store)
    assert sum(found.probabilities) == pytest.approx(1, abs=1e-5)


def test_a_picture_that_cannot_be_read_does_not_end_the_rest(
    store: str, done: tinybench.Result, pictures: Path
) -> None:
    (pictures / "0a.png").write_bytes(b"text")
    frames = [Image.new("P", (4, 4), place) for place in (0, 1)]
    frames[0].save(pictures / "0b.png", "GIF", save_all=True, append_images=frames[1:])
    words = ["predict", done.run_id, str(pictures), "--top", "1", "--uri", store]
    result = CliRunner().invoke(root.cli, words)
    assert result.exit_code == 1
    assert result.stderr.count("cannot be read: not a JPEG, PNG, BMP, WebP or PPM image") == 2
    assert [line for line in result.stdout.splitlines() if line.endswith(".png")] == [
        str(pictures / name) for name in ("0.png", "1.png", "inside/2.png")
    ]
    lines = CliRunner().invoke(root.cli, [*words, "--json"]).stdout.splitlines()
    assert ["error" in json.loads(line) for line in lines] == [False, True, True, False, False]


def test_a_script_can_tell_that_a_picture_was_not_read(store: str, done: tinybench.Result, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_bytes(b"text")
    words = [sys.executable, "-m", "tinybench", "predict", done.run_id, str(tmp_path), "--uri", store]
    found = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert (found.returncode, found.stdout) == (1, "")
    assert "cannot be read" in found.stderr


def test_pictures_of_other_kinds_in_a_folder_are_not_passed_over_in_silence(
    store: str, done: tinybench.Result, pictures: Path
) -> None:
    for name in ("a.gif", "b.GIF", "c.tiff"):
        (pictures / "inside" / name).write_bytes(b"GIF89a")
    result = CliRunner().invoke(root.cli, ["predict", done.run_id, str(pictures), "--uri", store])
    assert result.exit_code == 0
    assert (
        "Note: 2 .gif, 1 .tiff, 1 .txt file(s) are left out: they are not JPEG, PNG, BMP, WebP or PPM images."
        in result.stderr
    )
    assert image_files.describe_skipped_files([pictures / "0.png"]) == ""


@pytest.mark.parametrize("name", ["none.png", "empty"])
def test_where_there_is_no_picture_it_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"There is no .*(none\.png|image in .*: expected JPEG, PNG)"):
        image_files.find_images([tmp_path / name])


def test_maps_of_a_model_need_pictures(store: str, done: tinybench.Result, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="A model has no test images: give --images, or a run"):
        explain.explain_run(done.model_uri, [], tmp_path / "maps", uri=store)


@pytest.mark.parametrize("source", ["abc", "models:/none/1", "models:/m-0123"])
def test_a_model_that_is_not_there_is_one_line(store: str, source: str) -> None:
    with pytest.raises(TrackingError, match=r"No (run|model)"):
        loaded_model.load_model(source, store)


def test_maps_are_drawn_and_judged(store: str, done: tinybench.Result, pictures: Path, tmp_path: Path) -> None:
    found = explain.explain_run(done.run_id, [pictures], tmp_path / "maps", uri=store)
    assert [file.name for file in found.files] == ["explanations_1.png", "explanations_1.npz", "faithfulness.csv"]
    methods = {"Gradient", "SmoothGrad", "Integrated gradients", "Grad-CAM", "Grad-CAM++", faithfulness.RANDOM}
    assert set(found.deletion) == set(found.insertion) == methods
    assert all(0 <= area <= 1 for area in (*found.deletion.values(), *found.insertion.values()))
    rows = found.files[2].read_text().splitlines()
    assert rows[0] == "method,deletion,insertion"
    assert {row.split(",")[0] for row in rows[1:]} == methods
    with np.load(found.files[1]) as stored:
        assert stored["grad_cam"].shape == (3, 8, 8)
        assert stored["classes"].shape == (3,)
    with Image.open(found.files[0]) as picture:
        assert picture.width > 600


def test_pictures_are_taken_some_at_a_time(
    store: str, done: tinybench.Result, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = explain.explain_run(done.run_id, [pictures], tmp_path / "whole", uri=store)
    monkeypatch.setattr(explain, "_CHUNK", 2)
    parts = explain.explain_run(done.run_id, [pictures], tmp_path / "parts", layer="block1_conv1", uri=store)
    assert [file.name for file in parts.files if file.name.startswith("explanations")] == [
        f"explanations_{page}.{kind}" for page in (1, 2) for kind in ("png", "npz")
    ]
    assert (tmp_path / "parts" / "feature_maps_3.npz").is_file()
    for method in ("Gradient", "SmoothGrad", "Integrated gradients"):
        assert parts.deletion[method] == pytest.approx(whole.deletion[method], abs=1e-4)
        assert parts.insertion[method] == pytest.approx(whole.insertion[method], abs=1e-4)


def test_test_images_are_explained_where_no_picture_is_given(store: str, done: tinybench.Result) -> None:
    output = CliRunner().invoke(root.cli, ["explain", done.run_id, "--uri", store], catch_exceptions=False).output
    assert Path("explanations/explanations_1.png").is_file()
    assert "random map" in output
    assert "wrote explanations/explanations_1.npz" in output


def test_another_class_and_another_layer_can_be_asked_for(
    store: str, done: tinybench.Result, pictures: Path, tmp_path: Path
) -> None:
    found = explain.explain_run(done.run_id, [pictures], tmp_path / "maps", label="3", layer="block1_conv1", uri=store)
    with np.load(found.files[1]) as stored:
        assert stored["classes"].tolist() == [3, 3, 3]
    names = [file.name for file in found.files]
    assert names[2:8] == [f"feature_maps_{place}.{kind}" for place in (1, 2, 3) for kind in ("png", "npz")]
    with np.load(found.files[3]) as stored:
        assert stored["maps"].shape[:2] == (16, 16)
        assert stored["image"].shape == (8, 8, 1)
    with pytest.raises(ModelError, match="block1_conv"):
        explain.explain_run(done.run_id, [pictures], tmp_path / "maps", layer="block1_con", uri=store)
    with pytest.raises(ConfigError, match="expected one of the model's classes, got 'cat'"):
        explain.explain_run(done.run_id, [pictures], tmp_path / "maps", label="cat", uri=store)


def test_predict_draws_maps_too(store: str, done: tinybench.Result, pictures: Path, tmp_path: Path) -> None:
    words = ["predict", done.run_id, str(pictures / "0.png"), "--maps", str(tmp_path / "maps"), "--uri", store]
    output = CliRunner().invoke(root.cli, words, catch_exceptions=False).output
    assert f"wrote {tmp_path / 'maps' / 'explanations_1.png'}" in output
