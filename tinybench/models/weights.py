"""Load weights from Keras's own addresses, a mirror or a file.

Keras Applications download their weights with `keras.utils.get_file`, which starts from the beginning when a
connection breaks. Within `redirect_downloads` that function is replaced by our download, which is resumed, checked
and locked, and uses a mirror where one is set. The files are stored where Keras looks for them, so that other
programs share them.
"""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
from keras.src.backend import config as keras_config
from keras.src.utils import file_utils  # the name that keras.applications itself resolves at call time

from tinybench.core import download
from tinybench.core.errors import ModelError, WeightsError

MIRROR_VARIABLE = "TINYBENCH_WEIGHTS_MIRROR"


@contextmanager
def redirect_downloads(mirror: str | None) -> Iterator[None]:
    """Let Keras Applications download weights with our download within the block.

    Args:
        mirror: Address of a folder that holds the files by Keras's names; TINYBENCH_WEIGHTS_MIRROR when
            None, Keras's own addresses when that is empty too.

    Raises:
        WeightsError: The file cannot be downloaded, or is not the one that Keras expects.
    """
    base = mirror or os.environ.get(MIRROR_VARIABLE)

    def get_file(fname: str, origin: str, file_hash: str | None = None, **_: Any) -> str:
        target = Path(keras_config.keras_home()) / "models" / Path(fname).name
        address = f"{base.rstrip('/')}/{origin.rsplit('/', 1)[-1]}" if base else origin
        known_hash = f"{'md5' if len(file_hash) == 32 else 'sha256'}:{file_hash}" if file_hash else None
        way_out = (
            f"Put the file at {target}, set {MIRROR_VARIABLE} to an address that has it, "
            "give --weights FILE, or train from scratch with --weights none."
        )
        return str(download.fetch(address, target, known_hash, way_out=way_out, error=WeightsError))

    original = file_utils.get_file
    file_utils.get_file = get_file
    try:
        yield
    finally:
        file_utils.get_file = original


def load(model: keras.Model, path: Path) -> None:
    """Load the weights of a file into a model: `.keras`, `.weights.h5` or Keras's older `.h5`.

    Raises:
        WeightsError: There is no such file, or it does not fit the model.
    """
    check_file(path)
    try:
        if path.suffix == ".keras":
            model.set_weights(load_model_file(path).get_weights())
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Keras warns of the error that it then raises
                model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"The weights in {path} do not fit this model: {reason}") from error


def check_file(path: Path) -> None:
    """Raise WeightsError unless there is a file of weights at a path."""
    if not path.is_file():
        raise WeightsError(f"No weights file at {path}: expected imagenet, none, file, or a .keras or .h5 file.")


def no_imagenet_weights(name: str) -> WeightsError:
    """Return the error that there are no ImageNet weights for a model, to be raised by the caller."""
    return WeightsError(f"There are no ImageNet weights for {name}: set --weights none, or give a file.")


def check_model_file(path: Path) -> None:
    """Raise ModelError unless a path is that of a `.keras` file."""
    if not path.is_file():
        raise ModelError(f"No model file at {path}: expected the path of a .keras file.")
    if not zipfile.is_zipfile(path):
        raise ModelError(f"{path} is not a .keras file: it is damaged or of another kind. Save it with model.save().")


def load_model_file(path: Path) -> keras.Model:
    """Load a model from a `.keras` file that is not trusted: no code in it is executed.

    Raises:
        ModelError: There is no such file, or it cannot be loaded in safe mode.
    """
    check_model_file(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds of errors for what such a file may hold
        # Keras's own message recommends to turn safe mode off
        reason = "it holds a Lambda" if "lambda" in str(error).lower() else " ".join(str(error).split())[:200]
        raise ModelError(
            f"{path} cannot be loaded in safe mode: {reason}. Build it of Keras's own layers, without Lambda."
        ) from error
