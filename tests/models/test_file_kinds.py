"""What a user gives as a model is named by its content, with the way to a file that can be loaded."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras
import pytest

from tinybench.core.errors import ModelError
from tinybench.models import model_file


def write_archive(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x")


FILES = {
    b"": "is empty",
    b"hello": r"is not a \.keras or \.h5 file: it is damaged or of another kind\. Save it with model\.save",
    b"PK\x03\x04 and no end": "whose end is missing: copy or download it again",
    b"\x1c\0\0\0TFL3 and more": "is a LiteRT model, which cannot be trained: give the .keras file",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n": "is a pointer of Git LFS .*: run git lfs pull",
    b"\n<!DOCTYPE html><html>": "is a web page, perhaps of a login in place of a download: download it again",
}


@pytest.mark.parametrize("content", FILES, ids=range(len(FILES)))
def test_a_file_that_is_no_model(tmp_path, content):
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"model\.keras .*{FILES[content]}"):
        model_file.check(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.onnx", b"\x08\x07\x12\x07pytorch", "is an ONNX model, which cannot be trained here"),
        ("model.safetensors", b"\x40\0\0\0\0\0\0\0{}", "holds weights and no model: build the model in Keras"),
        ("model.pkl", b"anything", "is a pickle, which is not opened, since it can run code"),
        ("model.keras", b"\x80\x04\x95", "is a pickle, which is not opened"),
    ],
)
def test_a_file_of_another_library_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        model_file.check(path)


ARCHIVES = {
    ("archive/data.pkl", "archive/version"): r"is a PyTorch file: build the model in Keras",
    ("folder/model.keras", "readme"): r"is an archive: unpack it and name folder/model\.keras",
    ("a.txt",): r"is an archive without config\.json, and no \.keras file",
}


@pytest.mark.parametrize("names", ARCHIVES, ids=lambda names: names[0])
def test_an_archive_that_is_no_model(tmp_path, names):
    write_archive(tmp_path / "model.keras", *names)
    with pytest.raises(ModelError, match=ARCHIVES[names]):
        model_file.check(tmp_path / "model.keras")


def test_weights_without_a_model(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    model.save_weights(tmp_path / "x.weights.h5")
    with pytest.raises(ModelError, match=r"holds weights and no model: .*--model NAME --weights FILE\.$"):
        model_file.check(tmp_path / "x.weights.h5")


def test_folders(tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    model.export(tmp_path / "saved", verbose=False)
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        archive.extractall(tmp_path / "unpacked")
    (tmp_path / "empty").mkdir()
    expected = {
        "saved": r"saved is a SavedModel folder, .*tf_keras\.models\.load_model",
        "unpacked": r"unpacked is the content of a \.keras file: pack it with \(cd .*unpacked && zip -r \.\./unpacked",
        "empty": r"empty is a folder without a model: expected a \.keras or \.h5 file\.$",
        ".": r"is a folder: name a file in it, such as .*/model\.keras\.$",
    }
    for name, words in expected.items():
        with pytest.raises(ModelError, match=words) as caught:
            model_file.check(tmp_path / name)
        assert "\n" not in str(caught.value)
