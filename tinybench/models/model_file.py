"""Load the model in a user's file, which is not trusted: no code in it is executed."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import keras

from tinybench.core.errors import ModelError
from tinybench.models import file_kinds
from tinybench.models.keras2_config import iterate_objects, modernize

_HDF5_CONFIG = "model_config"  # the attribute of an HDF5 file that describes its model
_CODE = ("Lambda", "__lambda__")
_GRAPH_OPERATIONS = ("TFOpLambda", "SlicingOpLambda", "ClassMethod", "TensorFlowOpLayer")
_KEYWORDS = re.compile(r"Unrecognized keyword arguments? passed to (\w+): \{?'?(\w+)")
_UNKNOWN_CLASS = re.compile(r"(?:Could not locate (?:class|function)|Unknown layer:|Could not deserialize) '([^']+)'")
_MAX_REASON = 300
_OWN_LAYERS = "Build it of Keras's own layers, without Lambda."


def check(path: Path) -> None:
    """Raise ModelError unless a path is that of a whole Keras model; nothing of it is loaded."""
    if path.is_dir():
        raise ModelError(f"{path} {file_kinds.describe_folder(path)}.")
    if not path.is_file():
        raise ModelError(f"No model file at {path}: expected the path of a .keras or .h5 file.")
    if file_kinds.is_keras_archive(path):
        return
    if not (file_kinds.is_hdf5(path) and _holds_model(path)):
        raise ModelError(f"{path} {file_kinds.describe_file(path)}.")


def load(path: Path) -> keras.Model:
    """Load a model from a `.keras` file, or from an HDF5 file of an older Keras version.

    What Keras 2 wrote and Keras 3 refuses is changed in a copy, where that changes nothing; see `keras2_config`.

    Raises:
        ModelError: There is no such file, or it cannot be loaded in safe mode; the message is the reason.
    """
    check(path)
    config = _read_config(path)
    classes = {str(node["class_name"]) for node in iterate_objects(config)}
    if classes & {*_CODE}:
        raise ModelError(f"{path} cannot be loaded in safe mode: it holds a Lambda, which is code. {_OWN_LAYERS}")
    operations = sorted(classes & {*_GRAPH_OPERATIONS})
    if operations:
        raise ModelError(
            f"{path} cannot be loaded: it holds a TensorFlow operation as a layer ({operations[0]}), which Keras 3 "
            f"does not have. {_OWN_LAYERS}"
        )
    changed = modernize(config)
    try:
        is_as_keras_wants_it = changed == config and path.suffix == _suffix(path)
        return _load(path) if is_as_keras_wants_it else _load_copy(path, changed)
    except Exception as error:  # Keras raises many kinds of errors for what such a file may hold
        raise ModelError(f"{path} cannot be loaded in safe mode: {_explain(error, path)}") from error


def _load(path: Path) -> keras.Model:
    return keras.saving.load_model(path, compile=False, safe_mode=True)


def _suffix(path: Path) -> str:
    """Return the suffix by which Keras knows the kind of a file."""
    return ".h5" if file_kinds.is_hdf5(path) else ".keras"


def _load_copy(path: Path, config: dict[str, Any]) -> keras.Model:
    """Load a model by another configuration, or from a file whose suffix is not that of its kind."""
    suffix = _suffix(path)
    with TemporaryDirectory() as folder:
        copy = Path(folder) / f"model{suffix}"
        (_copy_hdf5 if suffix == ".h5" else _copy_archive)(path, copy, json.dumps(config))
        return _load(copy)


def _copy_archive(path: Path, copy: Path, config: str) -> None:
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(copy, "w") as target:
        for name in source.namelist():
            if name == file_kinds.CONFIG:
                target.writestr(name, config)
            else:
                with source.open(name) as member, target.open(name, "w", force_zip64=True) as written:
                    shutil.copyfileobj(member, written)


def _copy_hdf5(path: Path, copy: Path, config: str) -> None:
    shutil.copyfile(path, copy)
    with h5py.File(copy, "r+") as file:
        file.attrs[_HDF5_CONFIG] = config


def _holds_model(path: Path) -> bool:
    try:
        with h5py.File(path, "r") as file:
            return _HDF5_CONFIG in file.attrs
    except OSError as error:
        raise ModelError(f"{path} is a damaged HDF5 file: copy or download it again.") from error


def _read_config(path: Path) -> dict[str, Any]:
    try:
        if file_kinds.is_hdf5(path):
            with h5py.File(path, "r") as file:
                config = json.loads(file.attrs[_HDF5_CONFIG])
        else:
            with zipfile.ZipFile(path) as archive:
                config = json.loads(archive.read(file_kinds.CONFIG))
    except (ValueError, TypeError, OSError, zipfile.BadZipFile, RecursionError) as error:
        raise ModelError(f"{path} is damaged: its description of the model cannot be read. Save it again.") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} is damaged: its description of the model cannot be read. Save it again.")
    return config


def _explain(error: Exception, path: Path) -> str:
    """Return why Keras did not load a file, and the way out; its own messages come to that after 2,000 characters."""
    text = str(error)
    innermost = text.rpartition("Exception encountered: ")[2]
    if keyword := _KEYWORDS.search(innermost):
        return (
            f"Keras {keras.__version__} does not know `{keyword[2]}` of {keyword[1]}, which {_writer(path)} wrote. "
            f"Save it with Keras {keras.__version__}, or leave that out."
        )
    if unknown := _UNKNOWN_CLASS.search(innermost):
        return f"it needs {unknown[1]!r}, which Keras {keras.__version__} does not have. {_OWN_LAYERS}"
    reason = " ".join(innermost.split())
    return reason if len(reason) <= _MAX_REASON else reason[:_MAX_REASON].rpartition(" ")[0] + " …"


def _writer(path: Path) -> str:
    """Return the version of Keras that wrote a file, for messages."""
    try:
        if file_kinds.is_hdf5(path):
            with h5py.File(path, "r") as file:
                return f"Keras {file.attrs['keras_version']}"
        with zipfile.ZipFile(path) as archive:
            return f"Keras {json.loads(archive.read('metadata.json'))['keras_version']}"
    except (OSError, KeyError, ValueError, TypeError):  # a message does without it
        return "another version of Keras"
