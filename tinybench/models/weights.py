"""Weights: Keras's own addresses, a mirror, or a file.

Keras Applications fetch their weights with `keras.utils.get_file`, which starts again when a connection
breaks. While `fetching` is open that function is ours: resumed, checked and locked, from a mirror where
one is set. The files land where Keras looks for them, so other programs share them.
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
    """Let Keras Applications fetch weights through our download.

    Args:
        mirror: Address of a folder that holds the files by Keras's names; TINYBENCH_WEIGHTS_MIRROR when
            None, Keras's own addresses when that is empty too.

    Raises:
        WeightsError: the file cannot be had, or is not the one that Keras expects.
    """
    base = mirror or os.environ.get(MIRROR_VARIABLE)

    def get_file(fname: str, origin: str, file_hash: str | None = None, **_: Any) -> str:
        target = Path(keras_config.keras_home()) / "models" / Path(fname).name
        address = f"{base.rstrip('/')}/{origin.rsplit('/', 1)[-1]}" if base else origin
        known = f"{'md5' if len(file_hash) == 32 else 'sha256'}:{file_hash}" if file_hash else None
        way_out = (
            f"Put the file at {target}, set {MIRROR_VARIABLE} to an address that has it, "
            "give --weights FILE, or train from scratch with --weights none."
        )
        return str(download.fetch(address, target, known, way_out=way_out, error=WeightsError))

    original = file_utils.get_file
    file_utils.get_file = get_file
    try:
        yield
    finally:
        file_utils.get_file = original


def load(model: keras.Model, path: Path) -> None:
    """Copy the weights of a file into a model: `.keras`, `.weights.h5` or Keras's older `.h5`.

    Raises:
        WeightsError: there is no such file, or it does not fit the model.
    """
    if not path.is_file():
        raise WeightsError(f"No weights file at {path}: expected imagenet, none, or a .keras or .h5 file.")
    try:
        if path.suffix == ".keras":
            model.set_weights(load_model_file(path).get_weights())
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Keras warns of what it then raises
                model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"The weights in {path} do not fit this model: {reason}") from error


def no_imagenet_weights(name: str) -> WeightsError:
    """That a small network was trained by nobody."""
    return WeightsError(f"There are no ImageNet weights for {name}: set --weights none, or give a file.")


def check_model_file(path: Path) -> None:
    """Raises ModelError where there is no `.keras` file."""
    if not path.is_file():
        raise ModelError(f"No model file at {path}: expected the path of a .keras file.")
    if not zipfile.is_zipfile(path):
        raise ModelError(f"{path} is not a .keras file: it is damaged or of another kind. Save it with model.save().")


def load_model_file(path: Path) -> keras.Model:
    """A model from a `.keras` file, which may come from a stranger: nothing in it is executed.

    Raises:
        ModelError: there is no such file, or it cannot be loaded in safe mode.
    """
    check_model_file(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises many kinds for what a stranger's file may hold
        # Keras's advice would be to give up safe mode
        reason = "it holds a Lambda" if "lambda" in str(error).lower() else " ".join(str(error).split())[:200]
        raise ModelError(
            f"{path} cannot be loaded in safe mode: {reason}. Build it of Keras's own layers, without Lambda."
        ) from error
