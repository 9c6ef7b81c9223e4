"""Weights: files, a mirror, and what goes wrong with them."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras.src.backend import config as keras_config
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from tinybench import models
from tinybench.core import download
from tinybench.core.errors import WeightsError
from tinybench.models import weights
from tinybench.recipes.resolve import resolve

MOBILENET = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5"
RESNET = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def keras_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where Keras keeps its downloads, for one test; nothing is tried twice."""
    monkeypatch.setattr(keras_config, "keras_home", lambda: str(tmp_path / "keras"))
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    monkeypatch.delenv(weights.MIRROR_VARIABLE, raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "keras"


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address and folder of a local server."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()
    thread.join()


def build(model: str, size: int, **overrides) -> keras.Model:
    chosen = {"model": model, "image_size": size, "weights": "imagenet"} | overrides
    return models.build(resolve("quickstart", chosen), (size, size, 3), 3)


def same(model: keras.Model, other: keras.Model) -> bool:
    pairs = zip(model.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(one, two) for one, two in pairs)


@pytest.fixture
def served_mobilenet(mirror: tuple[str, Path]) -> keras.Model:
    source = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(96, 96, 3))
    with h5py.File(mirror[1] / MOBILENET, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, source)
    return source


def test_weights_come_from_the_mirror(keras_folder: Path, mirror, served_mobilenet) -> None:
    original = file_utils.get_file
    model = build("mobilenetv2", 96, **{"backbone.mirror": mirror[0] + "/"})
    assert same(model.get_layer("backbone"), served_mobilenet)
    assert (keras_folder / "models" / MOBILENET).read_bytes() == (mirror[1] / MOBILENET).read_bytes()
    assert file_utils.get_file is original


def test_mirror_from_the_environment_and_only_once(
    keras_folder: Path, mirror, served_mobilenet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(weights.MIRROR_VARIABLE, mirror[0])
    assert same(build("mobilenetv2", 96).get_layer("backbone"), served_mobilenet)
    (mirror[1] / MOBILENET).unlink()
    assert same(build("mobilenetv2", 96).get_layer("backbone"), served_mobilenet)


def test_a_file_with_another_hash_is_refused(keras_folder: Path, mirror) -> None:
    (mirror[1] / RESNET).write_bytes(b"not the weights")
    original = file_utils.get_file
    with pytest.raises(WeightsError, match=r"has md5 [0-9a-f]{32} instead of [0-9a-f]{32} and was deleted") as caught:
        build("resnet50", 32, **{"backbone.mirror": mirror[0]})
    message = str(caught.value)
    assert f"Put the file at {keras_folder / 'models' / RESNET}" in message
    assert "TINYBENCH_WEIGHTS_MIRROR" in message
    assert "--weights none" in message
    assert "\n" not in message
    assert not (keras_folder / "models" / RESNET).exists()
    assert file_utils.get_file is original


def test_a_mirror_without_the_file(keras_folder: Path, mirror) -> None:
    with pytest.raises(WeightsError, match=r"no_top\.h5 \(the server answered 404 .*--weights FILE"):
        build("mobilenetv2", 96, **{"backbone.mirror": mirror[0]})


def test_no_server_at_all(keras_folder: Path) -> None:
    with pytest.raises(WeightsError, match=r"^Cannot fetch http://127\.0\.0\.1:9/.*Put the file at .*--weights none"):
        build("mobilenetv2", 96, **{"backbone.mirror": "http://127.0.0.1:9"})


def test_missing_weights_file() -> None:
    with pytest.raises(WeightsError, match=r"No weights file at absent\.h5: expected imagenet, none, file, or a"):
        build("smallcnn", 16, weights="absent.h5")


@pytest.mark.parametrize("name", ["some.keras", "some.weights.h5"])
def test_weights_from_a_file(tmp_path: Path, name: str) -> None:
    source = build("smallcnn", 16, weights="none").get_layer("backbone")
    source.save(tmp_path / name) if name.endswith(".keras") else source.save_weights(tmp_path / name)
    model = build("smallcnn", 16, weights=str(tmp_path / name))
    assert same(model.get_layer("backbone"), source)


@pytest.mark.filterwarnings("ignore:Skipping nested container:UserWarning")
@pytest.mark.parametrize("name", ["other.keras", "other.weights.h5"])
def test_weights_of_another_model_do_not_fit(tmp_path: Path, name: str) -> None:
    given = keras.Input((16, 16, 3))
    other = keras.Model(given, keras.layers.Conv2D(2, 3)(given))
    other.save(tmp_path / name) if name.endswith(".keras") else other.save_weights(tmp_path / name)
    with pytest.raises(WeightsError, match=r"The weights in .*other\S+ do not fit this model: ") as caught:
        build("smallcnn", 16, weights=str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_damaged_weights_file(tmp_path: Path) -> None:
    (tmp_path / "bad.weights.h5").write_bytes(b"nothing")
    with pytest.raises(WeightsError, match=r"bad\.weights\.h5 do not fit this model: ") as caught:
        build("smallcnn", 16, weights=str(tmp_path / "bad.weights.h5"))
    assert "\n" not in str(caught.value)
