"""A user's file is loaded if it holds a model without code, and what it is is told if it does not."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from tinybench import models
from tinybench.core.errors import ModelError, WeightsError
from tinybench.models import model_file, weights
from tinybench.recipes.resolve import resolve

Edit = Callable[[dict[str, Any]], None]


def make_model() -> keras.Model:
    pixels = keras.Input((16, 16, 3))
    layers = keras.layers
    x = layers.DepthwiseConv2D(3, name="depthwise")(pixels)
    x = layers.BatchNormalization(name="norm")(x)
    return keras.Model(pixels, layers.SeparableConv2D(4, 3, name="separable")(layers.Conv2DTranspose(3, 3)(x)))


@keras.saving.register_keras_serializable("mine")
class Mish(keras.layers.Layer):
    def call(self, inputs):
        return inputs


def with_mish() -> keras.Model:
    pixels = keras.Input((16, 16, 3))
    return keras.Model(pixels, Mish()(keras.layers.Conv2D(4, 3)(pixels)))


def with_lambda() -> keras.Model:
    pixels = keras.Input((16, 16, 3))
    return keras.Model(pixels, keras.layers.Lambda(lambda x: x * 2, output_shape=(16, 16, 3))(pixels))


def edit_config(path: Path, edit: Edit) -> None:
    """Change the configuration in a `.keras` or `.h5` file."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            edit(config)
            file.attrs["model_config"] = json.dumps(config)
        return
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(content["config.json"])
    edit(config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (content | {"config.json": json.dumps(config).encode()}).items():
            archive.writestr(name, data)


def give(config: dict[str, Any], **keywords: Any) -> None:
    """Add keywords to every layer of some classes, as Keras 2 did."""
    for layer in config["config"]["layers"]:
        if layer["class_name"] in ("DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"):
            layer["config"]["groups"] = 1
        if layer["class_name"] == "BatchNormalization":
            layer["config"] |= {"fused": True} | keywords


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_keywords_of_keras_2_that_say_nothing_are_left_out(tmp_path, suffix):
    path, model = tmp_path / f"old{suffix}", make_model()
    model.save(path)
    edit_config(path, give)
    before = path.read_bytes()
    loaded = model_file.load(path)
    for weight, expected in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert path.read_bytes() == before, "the user's file stays as it is"


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(
    ("keywords", "culprit"),
    [({"virtual_batch_size": 4}, "`virtual_batch_size` of BatchNormalization"), ({"odd": 1}, "`odd` of BatchNorm")],
)
def test_a_keyword_that_may_say_something_is_named(tmp_path, suffix, keywords, culprit):
    path = tmp_path / f"old{suffix}"
    make_model().save(path)
    edit_config(path, lambda config: give(config, **keywords))
    with pytest.raises(ModelError) as caught:
        model_file.load(path)
    assert f"Keras {keras.__version__} does not know {culprit}" in str(caught.value)
    assert "which Keras 3." in str(caught.value)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_layer_that_keras_does_not_have_is_named(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"own{suffix}"
    with_mish().save(path)
    assert model_file.load(path).layers[-1].__class__ is Mish, "the user's program has registered it"
    monkeypatch.delitem(keras.saving.get_custom_objects(), "mine>Mish")
    with pytest.raises(ModelError, match=r"own\.\w+ cannot be loaded in safe mode: it needs '(mine>)?Mish', which"):
        model_file.load(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_is_refused(tmp_path, suffix):
    path = tmp_path / f"lambda{suffix}"
    with_lambda().save(path)
    with pytest.raises(ModelError, match=r"cannot be loaded in safe mode: it holds a Lambda, which is code\."):
        model_file.load(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", ["activation", "class"])
def test_a_file_that_names_a_program_does_not_run_it(tmp_path, suffix, name):
    path, touched = tmp_path / f"evil{suffix}", tmp_path / "touched"
    make_model().save(path)
    attack = {"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}
    if name == "class":
        attack = {"module": "os", "class_name": "system", "config": {"command": f"touch {touched}"}}

    def plant(config: dict[str, Any]) -> None:
        config["config"]["layers"][-1]["config"]["activation"] = attack

    edit_config(path, plant)
    with pytest.raises(ModelError, match="cannot be loaded in safe mode"):
        model_file.load(path)
    assert not touched.exists()


def test_operations_of_tensorflow_are_named(tmp_path):
    path = tmp_path / "old.keras"
    make_model().save(path)
    edit_config(path, lambda config: config["config"]["layers"][-1].update(class_name="TFOpLambda"))
    with pytest.raises(ModelError, match=r"a TensorFlow operation as a layer \(TFOpLambda\), which Keras 3"):
        model_file.load(path)


def test_a_suffix_that_is_not_that_of_its_kind_does_no_harm(tmp_path):
    for suffix, name in [(".keras", "model.zip"), (".keras", "model.h5"), (".h5", "model.hdf5"), (".h5", "m.keras")]:
        path = tmp_path / f"good{suffix}"
        make_model().save(path)
        assert len(model_file.load(path.rename(tmp_path / name)).layers) == 5


def test_an_old_file_is_a_backbone(tmp_path):
    """By the command line's own way, without a folder in its name."""
    make_model().save("old.h5")
    config = resolve("quickstart", {"model": "old.h5", "image_size": 16, "phases": "transfer"})
    assert config.has_own_model
    models.check(config)
    assert models.build(config, (16, 16, 3), 2).get_layer("backbone").count_params() == make_model().count_params()


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_description_that_cannot_be_read(tmp_path, content):
    path = tmp_path / "odd.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", content)
    with pytest.raises(ModelError, match=r"odd\.keras is damaged: its description of the model cannot be read"):
        model_file.load(path)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_half_a_file_is_told_in_one_line(tmp_path, suffix, share):
    path = tmp_path / f"half{suffix}"
    make_model().save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ModelError, match="copy or download it again") as caught:
        model_file.load(path)
    assert "\n" not in str(caught.value)


def test_weights_that_are_no_file_of_keras(tmp_path):
    page = tmp_path / "x.weights.h5"
    page.write_text("<!DOCTYPE html><html>log in</html>")
    with pytest.raises(WeightsError, match=r"x\.weights\.h5 do not fit this model: the file is a web page"):
        weights.load(make_model(), page)
    with pytest.raises(WeightsError, match="is a folder: expected imagenet, none, file"):
        weights.check_file(tmp_path)


def test_a_file_of_the_name_of_no_model_is_pointed_at(tmp_path):
    Path("mymodel").mkdir()
    with pytest.raises(ModelError, match=r"To name the file of this name, give \./mymodel\."):
        models.check(resolve("quickstart", {"model": "mymodel"}))


@pytest.mark.parametrize("name", ["functional.keras", "functional.h5"])
def test_files_that_keras_2_wrote_give_what_they_gave_there(name, tmp_path):
    """`keras2/` holds a model that tf_keras 2.21 saved in both formats, and what it answered to random pixels."""
    folder = Path(__file__).parent / "keras2"
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype("float32")
    with np.load(folder / "output.npz") as expected:
        answer = np.asarray(model_file.load(folder / name)(pixels))[:, ::5, ::5]
        np.testing.assert_allclose(answer, expected["output"], rtol=1e-4, atol=1e-5)
        assert np.ptp(expected["output"]) > 0.1


def test_a_file_of_keras_2_is_a_backbone():
    path = Path(__file__).parent / "keras2" / "functional.keras"
    config = resolve("quickstart", {"model": str(path), "image_size": 16, "phases": "transfer"})
    classifier = models.build(config, (16, 16, 3), 2)
    assert classifier(np.zeros((3, 16, 16, 3), "uint8")).shape == (3, 2)
