"""The engines there are: each gives the features of Keras, and a device has those that it can run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from engine_models import cosines, expected, extractor, needs_openvino, pixels

from tinybench.core.errors import EngineError
from tinybench.features import engine_selection
from tinybench.features import engines as engine_table

HERE = sorted(
    {("keras", "float32"), ("openvino", "float32"), ("xla", "float32")}
    | {each[:2] for each in engine_table.candidates(None, "auto", "auto")}
)


@pytest.mark.parametrize("model", ["smallcnn", "mobilenetv2"])
@pytest.mark.parametrize(("name", "precision"), HERE)
def test_every_engine_gives_the_features_of_keras(name: str, precision: str, model: str) -> None:
    needs_openvino(name)
    engine = engine_table.build_engine(extractor(model), name, precision)
    assert (engine.name, engine.precision) == (name, precision)
    for count in (engine.batch + 1, 1, engine.batch):
        features = engine(pixels(model)[:count])
        assert features.dtype == np.float32
        assert features.shape == expected(model)[:count].shape
        found = cosines(features, expected(model)[:count])
        if precision == "float32":
            assert found.diagonal().min() > 0.9999
            assert list(found.argmax(axis=1)) == [*range(count)], "the order is kept"
        assert found.diagonal().min() > engine_selection.MIN_COSINE
    np.testing.assert_array_equal(engine(pixels(model)[:3]), engine(pixels(model)[:3]))


@pytest.mark.parametrize("name", ["tensorflow", "xla"])
def test_engines_of_a_gpu_give_the_features_of_keras_on_a_processor_too(name: str, monkeypatch) -> None:
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a GPU"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": (9, 0)})
    known = engine_table.candidates(extractor("smallcnn"), "auto", "auto")
    assert [each[:2] for each in known] == [("xla", "bfloat16"), ("tensorflow", "bfloat16"), ("xla", "float32")]
    engine = next(make for each, precision, make in known if (each, precision) == (name, "bfloat16"))()
    assert (engine.name, engine.precision) == (name, "bfloat16")
    features = engine(pixels("smallcnn")[:33])
    assert features.dtype == np.float32
    assert cosines(features, expected("smallcnn")[:33]).diagonal().min() > engine_selection.MIN_COSINE
    assert np.abs(features - expected("smallcnn")[:33]).max() > 0, "it does compute in bfloat16"


def test_an_engine_keeps_the_weights_that_it_was_made_of() -> None:
    """A bank is made of the weights that its name vouches for."""
    needs_openvino("openvino")
    x = entry = keras.Input((4, 4, 1))
    model = keras.Model(entry, keras.layers.Flatten()(keras.layers.Conv2D(2, 3)(x)))
    images = np.random.default_rng(0).uniform(0, 255, (5, 4, 4, 1)).astype(np.float32)
    engine = engine_table.build_engine(model, "openvino", "float32")
    before = engine(images)
    model.set_weights([2 * weight for weight in model.get_weights()])
    np.testing.assert_array_equal(engine(images), before)


@pytest.mark.parametrize("model", ["smallcnn", "mobilenetv2"])
def test_a_copy_in_bfloat16_keeps_weights_and_computes_lower(model: str) -> None:
    original = extractor(model)
    copy = engine_table.to_bfloat16(original)
    for one, two in zip(copy.weights, original.weights, strict=True):
        assert one.dtype == "float32"
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    computing = [each for each in copy._flatten_layers() if each.weights and not isinstance(each, keras.Model)]
    assert computing
    assert {layer.compute_dtype for layer in computing} == {"bfloat16"}
    assert {layer.compute_dtype for layer in original._flatten_layers()} == {"float32"}, "that stays as it was"
    features = copy(pixels(model), training=False)
    assert features.dtype == "bfloat16"
    assert cosines(np.asarray(features, np.float32), expected(model)).diagonal().min() > 0.99


def test_pretrained_weights_agree_in_bfloat16(real_data: Path) -> None:
    backbone = keras.saving.load_model(real_data / "efficientnet_lite0_imagenet_notop.keras", compile=False)
    entry = keras.Input((8, 8, 1))
    x = keras.layers.Resizing(64, 64)(keras.layers.Concatenate()([entry, entry, entry]))
    model = keras.Model(entry, backbone(x, training=False))
    images = pixels("smallcnn")[:16]
    features = engine_table.KerasEngine(engine_table.to_bfloat16(model))(images)
    _, noise, cosine = engine_selection._compare_features(features, np.asarray(model(images, training=False)))
    assert engine_selection.MIN_COSINE < cosine < 0.99999
    assert 1e-4 < noise < engine_selection._MAX_NOISE


def rewritten() -> bool:
    return bool(tf.config.optimizer.get_experimental_options()[engine_table._REWRITE_OPTION])


def interrupted() -> None:
    with engine_table.rewrite_to_bfloat16():
        assert rewritten()
        raise KeyboardInterrupt


def test_rewriting_is_switched_back_whatever_happens() -> None:
    for before in (False, True, False):
        tf.config.optimizer.set_experimental_options({engine_table._REWRITE_OPTION: before})
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert rewritten() is before


@pytest.mark.parametrize("here", [True, False])
def test_bfloat16_is_tried_where_the_processor_has_it_and_it_is_allowed(here: bool, monkeypatch) -> None:
    needs_openvino("openvino")
    monkeypatch.setattr(engine_table, "cpu_has_bfloat16", lambda: here)

    def known(wanted: str, precision: str) -> list[tuple[str, str]]:
        return [each[:2] for each in engine_table.candidates(extractor("smallcnn"), wanted, precision)]

    low = [("openvino", "bfloat16")] if here else []
    assert known("auto", "auto") == [
        *low, ("openvino", "float32"), *([("tensorflow", "bfloat16")] if here else [])
    ]  # fmt: skip
    assert known("openvino", "auto") == [*low, ("openvino", "float32")]
    assert known("auto", "float32") == [("openvino", "float32")]
    assert known("tensorflow", "float32") == []
    assert known("xla", "auto") == [("xla", "float32")]
    assert known("keras", "auto") == []


def test_float32_leaves_bfloat16_of_a_gpu_out(monkeypatch) -> None:
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a GPU"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": (9, 0)})
    known = engine_table.candidates(extractor("smallcnn"), "auto", "float32")
    assert [each[:2] for each in known] == [("xla", "float32")]


FLAGS = "processor\t: 0\nmodel name\t: A Processor\nflags\t\t: fpu vme sse4_2 avx2 avx512f {}\nbugs\t\t: none\n"


@pytest.mark.parametrize(
    ("text", "has"),
    [
        (FLAGS.format("amx_bf16 amx_tile amx_int8"), True),
        (FLAGS.format("avx512_bf16"), True),
        (FLAGS.format("avx512_vnni"), False),
        ("", False),
        ("Features\t: fp asimd evtstrm aes\n", False),
    ],
)
def test_bfloat16_is_read_from_the_processor_s_flags(text: str, has: bool, monkeypatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda path, *_: {"/proc/cpuinfo": text}[str(path)])
    assert engine_table.cpu_has_bfloat16.__wrapped__() is has


def test_no_bfloat16_where_the_processor_s_flags_cannot_be_read(monkeypatch) -> None:
    def absent(path: Path, *_: Any) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", absent)
    assert engine_table.cpu_has_bfloat16.__wrapped__() is False


@pytest.mark.parametrize(("name", "precision"), [("xla", "bfloat16"), ("keras", "bfloat16"), ("tensorrt", "float32")])
def test_make_says_that_an_engine_is_gone(name: str, precision: str) -> None:
    with pytest.raises(
        EngineError,
        match=rf"^The phase began in {name} {precision}, which is not available any more: start a new run\.$",
    ):
        engine_table.build_engine(extractor("smallcnn"), name, precision)


def test_make_without_a_name_says_which_precision_is_gone(monkeypatch) -> None:
    monkeypatch.setattr(engine_table, "cpu_has_bfloat16", lambda: False)
    with pytest.raises(EngineError, match="began in bfloat16, which is not available any more"):
        engine_table.build_engine(extractor("smallcnn"), "", "bfloat16")


def test_make_without_a_name_gives_the_first_of_that_precision(monkeypatch) -> None:
    """Features that were all there named no engine; those that have gone since are computed alike."""
    needs_openvino("openvino")
    monkeypatch.setattr(engine_table, "cpu_has_bfloat16", lambda: True)
    for precision, name in [("float32", "keras"), ("bfloat16", "openvino")]:
        engine = engine_table.build_engine(extractor("smallcnn"), "", precision)
        assert (engine.name, engine.precision) == (name, precision)


def test_absence_says_why(monkeypatch) -> None:
    monkeypatch.setattr(engine_table, "cpu_has_bfloat16", lambda: True)
    assert engine_table.reason_absent("tensorflow", "float32") == "it computes in bfloat16, and precision is float32"
    monkeypatch.setattr(engine_table, "cpu_has_bfloat16", lambda: False)
    assert engine_table.reason_absent("tensorflow", "auto") == "this processor has no bfloat16"
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a GPU"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": (9, 0)})
    assert engine_table.reason_absent("openvino", "auto") == "it runs on processors"
    assert engine_table.reason_absent("tensorflow", "float32") == "it computes in bfloat16, and precision is float32"


def test_make_says_that_bfloat16_is_gone(monkeypatch) -> None:
    monkeypatch.setattr(engine_table, "cpu_has_bfloat16", lambda: False)
    with pytest.raises(EngineError, match="began in tensorflow bfloat16, which is not available any more"):
        engine_table.build_engine(extractor("smallcnn"), "tensorflow", "bfloat16")


USE = """
import keras, numpy
from tinybench.features import engines as engine_table
entry = keras.Input((4, 4, 1))
model = keras.Model(entry, keras.layers.Conv2D(2, 3)(entry))
(make,) = [make for name, precision, make in engine_table.candidates(model, "openvino", "float32")]
print(make()(numpy.ones((5, 4, 4, 1), numpy.float32)).shape)
"""


def test_openvino_sends_no_usage_data(tmp_path: Path) -> None:
    needs_openvino("openvino")
    home = tmp_path / "home"
    home.mkdir()
    asked_not_to = ("CI", "TF_BUILD", "JENKINS_URL")
    environment = {name: value for name, value in os.environ.items() if name not in asked_not_to}
    environment |= {"HOME": str(home), "https_proxy": "http://127.0.0.1:9", "KERAS_HOME": str(tmp_path / "keras")}
    done = subprocess.run([sys.executable, "-c", USE], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(5, 2, 2, 2)"
    assert not (home / "intel").exists(), "the client of the usage data keeps its files there"
