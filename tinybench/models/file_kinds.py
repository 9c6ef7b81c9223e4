"""Tell what a file or folder is that a user gives as a model, by its content and not by its name."""

from __future__ import annotations

import zipfile
from pathlib import Path

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
CONFIG = "config.json"
"""The member of a `.keras` file that describes the model."""
_ZIP_SIGNATURE = b"PK\x03\x04"
_PICKLE_START = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_TEXT_LENGTH = 200


def is_keras_archive(path: Path) -> bool:
    """Return whether a file is a whole `.keras` archive, whatever its name."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return CONFIG in archive.namelist()


def is_hdf5(path: Path) -> bool:
    """Return whether a file is in HDF5, in which older Keras versions saved models, and all of them weights."""
    with path.open("rb") as file:
        return file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE


def describe_folder(folder: Path) -> str:
    """Return what a folder is that was given as a model, and how to get the file."""
    if (folder / "saved_model.pb").exists():
        return (
            "is a SavedModel folder, which holds a graph without Keras layers: save the Keras model that it was made "
            'of with model.save("model.keras"). One that Keras 2 wrote is converted with pip install tf_keras, then '
            f'tf_keras.models.load_model("{folder}").save("model.h5")'
        )
    if (folder / CONFIG).exists():
        return f"is the content of a .keras file: pack it with (cd {folder} && zip -r ../{folder.name}.keras .)"
    files = sorted(file.name for file in folder.iterdir() if file.suffix in (".keras", ".h5", ".hdf5"))
    if files:
        return f"is a folder: name a file in it, such as {folder / files[0]}"
    return "is a folder without a model: expected a .keras or .h5 file"


def describe_file(path: Path) -> str:
    """Return what a file is that holds no Keras model, and how to get one."""
    with path.open("rb") as file:
        start = file.read(_TEXT_LENGTH)
    if zipfile.is_zipfile(path):
        return _describe_archive(path)
    if start.startswith(HDF5_SIGNATURE):
        return (
            "holds weights and no model: build the model in Keras, load them with model.load_weights and save it with "
            'model.save("model.keras"); or, if they are of a model that has a name, give --model NAME --weights FILE'
        )
    if not start:
        return "is empty"
    if start.startswith(_ZIP_SIGNATURE):
        return "is a .keras file or another archive whose end is missing: copy or download it again"
    if start[4:8] == b"TFL3" or path.suffix == ".tflite":
        return f"is a LiteRT model, which cannot be trained: {_ORIGINAL}"
    if path.suffix == ".safetensors":
        return 'holds weights and no model: build the model in Keras and save it with model.save("model.keras")'
    if path.suffix in (".pkl", ".pickle", ".joblib") or start.startswith(_PICKLE_START):
        return 'is a pickle, which is not opened, since it can run code: save the model with model.save("model.keras")'
    if path.suffix == ".onnx":
        return f"is an ONNX model, which cannot be trained here: {_ORIGINAL}"
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS in place of the file: run git lfs pull"
    if start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "is a web page, perhaps of a login in place of a download: download it again"
    return 'is not a .keras or .h5 file: it is damaged or of another kind. Save it with model.save("model.keras")'


_ORIGINAL = "give the .keras file of the model that it was made of"


def _describe_archive(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("data.pkl") for name in names):
        return 'is a PyTorch file: build the model in Keras and save it with model.save("model.keras")'
    inner = [name for name in names if name.endswith((".keras", ".h5", ".hdf5"))]
    if inner:
        return f"is an archive: unpack it and name {inner[0]}"
    return f'is an archive without {CONFIG}, and no .keras file: save the model with model.save("model.keras")'
