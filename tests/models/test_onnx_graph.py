"""What is written is the model, with the model's own input alone."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from tinybench.models import onnx_graph

onnxruntime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
pytest.importorskip("tf2onnx", reason="the extra onnx is not installed")


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_preprocessing_of_backbones_leaves_no_input_behind(tmp_path, mode):
    pixels = keras.Input((8, 8, 3), name="pixels")
    x = keras.applications.imagenet_utils.preprocess_input(pixels, mode=mode)
    x = keras.layers.Conv2D(4, 3)(x)
    model = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(x))
    file = tmp_path / "model.onnx"
    onnx_graph.save(model, file)
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["pixels"]
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.float32)
    found = session.run(None, {"pixels": images})[0]
    assert np.allclose(found, model(images), atol=1e-3)


def test_constants_that_a_layer_holds_are_no_inputs(tmp_path, capfd):
    """The mean of a `Normalization` in a backbone is such a constant."""
    pixels = keras.Input((8, 8, 3), name="pixels")
    inner = keras.Input((8, 8, 3))
    x = keras.layers.Normalization(mean=[124.0, 116.0, 104.0], variance=[58.0, 57.0, 57.0])(inner)
    backbone = keras.Model(inner, keras.layers.Conv2D(4, 3)(x), name="backbone")
    model = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(backbone(pixels, training=False)))
    file = tmp_path / "model.onnx"
    onnx_graph.save(model, file, {"license": "MIT"})
    assert tuple(capfd.readouterr()) == ("", "")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["pixels"]
    assert [each.name for each in session.get_outputs()] == ["probabilities"]
    assert session.get_modelmeta().custom_metadata_map == {"license": "MIT"}
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.float32)
    assert np.allclose(session.run(None, {"pixels": images})[0], model(images), atol=1e-3)
