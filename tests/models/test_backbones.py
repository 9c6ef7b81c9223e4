"""The whole model: its size, its preprocessing, and what is refused."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from tinybench import models
from tinybench.config import run_config
from tinybench.core.errors import ModelError, WeightsError
from tinybench.models import backbones
from tinybench.recipes.resolve import resolve


def settings(**overrides) -> run_config.RunConfig:
    return resolve("quickstart", overrides)


def fresh(shape=(16, 16, 3), classes=4, **overrides) -> keras.Model:
    return models.build(settings(**overrides), shape, classes)


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.fixture
def own_backbone(tmp_path: Path) -> Path:
    """smallcnn's backbone as a user would bring it."""
    path = tmp_path / "mine.keras"
    fresh().get_layer("backbone").save(path)
    return path


@pytest.mark.parametrize(
    ("name", "count"), [("vgg16", 14_897_416), ("resnet50", 24_163_656), ("efficientnetb0", 4_428_907)]
)
def test_parameter_counts_of_the_benchmark(name: str, count: int) -> None:
    asked = run_config.replace(run_config.RunConfig(), {"model": name, "weights": "none", "image_size": 224})
    model = models.build(asked, (64, 64, 3), 200)
    assert model.count_params() == count
    assert model.input_shape == (None, 64, 64, 3)
    assert model.output_shape == (None, 200)


def test_smallcnn_has_the_documented_size() -> None:
    assert fresh().get_layer("backbone").count_params() == 65_568


@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_preprocessing_inside_is_the_one_of_keras(name: str) -> None:
    model = fresh((32, 32, 3), model=name, image_size=32)
    inside = keras.Model(model.input, model.get_layer("backbone")._inbound_nodes[-1].arguments.args[0])
    images = pixels(2, 32, 32, 3)
    expected = getattr(keras.applications, name).preprocess_input(images.astype(np.float32))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(inside(images)), expected, atol=1e-4)


def test_efficientnet_normalizes_by_itself() -> None:
    model = fresh((32, 32, 3), model="efficientnetb0", image_size=32)
    inside = keras.Model(model.input, model.get_layer("backbone")._inbound_nodes[-1].arguments.args[0])
    images = pixels(2, 32, 32, 3)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(inside(images)), images.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [("smallcnn", 16, (8, 8, 1)), ("smallcnn", 16, (20, 12, 3)), ("resnet50", 32, (16, 16, 3))],
)
def test_saved_model_takes_bytes_and_answers_the_same(tmp_path: Path, name: str, size: int, shape) -> None:
    model = fresh(shape, model=name, image_size=size)
    images = pixels(3, *shape)
    before = model.predict(images, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(again.predict(images, verbose=0), before)
    assert before.shape == (3, 4)
    assert before.dtype == np.float32
    np.testing.assert_allclose(before.sum(axis=1), 1, rtol=1e-5)


def test_bytes_and_floats_give_the_same_answer() -> None:
    model, images = fresh(), pixels(3, 16, 16, 3)
    np.testing.assert_array_equal(model(images), model(images.astype(np.float32)))


def test_two_calls_agree_and_inference_is_the_default() -> None:
    model = fresh(**{"head.dropout": 0.9, "augment.rotation": 90})
    images = pixels(3, 16, 16, 3)
    first = np.asarray(model(images))
    np.testing.assert_array_equal(model(images), first)
    np.testing.assert_array_equal(model(images, training=False), first)


def test_gray_images_become_three_equal_channels() -> None:
    gray = fresh((32, 32, 1), model="mobilenetv2", image_size=32)
    colour = fresh((32, 32, 3), model="mobilenetv2", image_size=32)
    colour.set_weights(gray.get_weights())
    images = pixels(2, 32, 32, 1)
    np.testing.assert_allclose(gray(images), colour(images.repeat(3, axis=-1)), atol=1e-6)


def test_no_resize_where_none_is_needed() -> None:
    assert "resize" not in [layer.name for layer in fresh((16, 16, 3)).layers]
    assert fresh((8, 8, 3)).get_layer("resize").output.shape == (None, 16, 16, 3)


def test_head_obeys_its_settings() -> None:
    model = fresh(**{"head.pooling": "max", "head.hidden": "none", "head.dropout": 0.25})
    assert isinstance(model.get_layer("pooling"), keras.layers.GlobalMaxPooling2D)
    assert "hidden" not in [layer.name for layer in model.layers]
    assert model.get_layer("dropout").rate == 0.25
    assert model.losses == []
    penalized = fresh(**{"head.hidden": 8, "head.l2": 0.5})
    kernel = np.asarray(penalized.get_layer("hidden").kernel)
    assert float(penalized.losses[0]) == pytest.approx(0.5 * np.square(kernel).sum(), rel=1e-5)


def test_names_lists_the_documented_ones_first() -> None:
    names = backbones.names()
    assert names[:2] == ["smallcnn", "shallow"]
    assert names.index("vgg16") < names.index("efficientnetv2b0") < names.index("mobilenetv2")
    assert "mobilenetv2" in names
    assert len(names) == len(set(names))


def test_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"Unknown model 'resnet51': expected one of smallcnn, .*, vgg16") as caught:
        fresh(model="resnet51")
    assert "\n" not in str(caught.value)


def test_too_small_images_are_one_line() -> None:
    with pytest.raises(ModelError, match=r"^vgg16 cannot be built at image_size=16: .*at least 32") as caught:
        fresh(model="vgg16")
    assert "\n" not in str(caught.value)


def test_own_backbone_keeps_its_weights(own_backbone: Path) -> None:
    model = fresh(model=str(own_backbone), weights="file")
    for new, old in zip(
        model.get_layer("backbone").get_weights(), keras.saving.load_model(own_backbone).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(new, old)


def test_own_backbone_with_fresh_weights(own_backbone: Path) -> None:
    model = fresh(model=str(own_backbone), weights="none")
    old = keras.saving.load_model(own_backbone).get_weights()
    new = model.get_layer("backbone").get_weights()
    assert [weight.shape for weight in new] == [weight.shape for weight in old]
    assert not np.array_equal(new[0], old[0])


@pytest.mark.parametrize("mode", ["caffe", "tf", "torch"])
def test_own_backbone_gets_the_named_preprocessing(own_backbone: Path, mode: str) -> None:
    model = fresh(model=str(own_backbone), **{"backbone.preprocessing": mode})
    inside = keras.Model(model.input, model.get_layer("backbone")._inbound_nodes[-1].arguments.args[0])
    images = pixels(2, 16, 16, 3)
    expected = keras.applications.imagenet_utils.preprocess_input(images.astype(np.float32), mode=mode)
    np.testing.assert_allclose(inside(images), expected, atol=1e-4)


def test_own_backbone_of_another_size(own_backbone: Path) -> None:
    with pytest.raises(ModelError, match=r"mine\.keras takes images of \(16, 16\): set image_size to that"):
        fresh(model=str(own_backbone), image_size=24)


def test_text_that_calls_itself_a_model(tmp_path: Path) -> None:
    path = tmp_path / "text.keras"
    path.write_text("not a model", "utf-8")
    with pytest.raises(
        ModelError, match=r"text\.keras is not a \.keras or \.h5 file: it is damaged or of another kind"
    ):
        fresh(model=str(path))


def test_missing_backbone_file() -> None:
    with pytest.raises(ModelError, match=r"No model file at absent\.keras"):
        fresh(model="absent.keras")


def test_a_classifier_is_no_backbone(tmp_path: Path) -> None:
    path = tmp_path / "dense.keras"
    given = keras.Input((16, 16, 3))
    keras.Model(given, keras.layers.Dense(3)(keras.layers.Flatten()(given))).save(path)
    with pytest.raises(ModelError, match=r"dense\.keras is not a backbone: .*got outputs \[\(None, 3\)\]"):
        fresh(model=str(path))


def test_a_sequential_backbone_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "sequential.keras"
    own = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(3, 3), keras.layers.Conv2D(2, 3)])
    own.save(path)
    model = fresh(model=str(path), weights="file")
    assert model.output_shape == (None, 4)
    images = pixels(2, 16, 16, 3).astype("float32")
    np.testing.assert_allclose(model.get_layer("backbone")(images), own(images), rtol=1e-4, atol=1e-3)
    assert [layer.name for layer in model.get_layer("backbone").layers[1:]] == [layer.name for layer in own.layers]


def test_a_lambda_in_a_stranger_s_file_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "lambda.keras"
    keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Lambda(lambda x: x * 2)]).save(path)
    with pytest.raises(ModelError, match=r"lambda\.keras cannot be loaded in safe mode: .*without Lambda") as caught:
        fresh(model=str(path))
    assert "\n" not in str(caught.value)


def test_small_networks_have_no_imagenet_weights() -> None:
    with pytest.raises(WeightsError, match=r"There are no ImageNet weights for smallcnn: set --weights none"):
        fresh(weights="imagenet")


def test_counting_fetches_nothing() -> None:
    model = models.build(settings(weights="imagenet"), (16, 16, 3), 4, pretrained=False)
    assert model.get_layer("backbone").count_params() == 65_568


@pytest.mark.slow
def test_the_real_backbone_keeps_its_weights(real_data: Path) -> None:
    path = real_data / "efficientnet_lite0_imagenet_notop.keras"
    model = fresh((64, 64, 3), model=str(path), weights="file", image_size=224)
    assert model.get_layer("backbone").output_shape[-1] == 1280
