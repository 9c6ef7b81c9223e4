"""Load weights from Keras's own addresses, a mirror or a file.

Keras Applications download their weights with `keras.utils.get_file`, which starts from the beginning when a
connection breaks. Within `redirect_downloads` that function is replaced by our download, which is resumed, checked
and locked, and uses a mirror where one is set. The files are stored where Keras looks for them, so that other
programs share them.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
from keras.src.backend import config as keras_config
from keras.src.utils import file_utils  # the name that keras.applications itself resolves at call time

from tinybench.core import download
from tinybench.core.errors import WeightsError
from tinybench.models import file_kinds, model_file

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
            model.set_weights(model_file.load(path).get_weights())
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Keras warns of the error that it then raises
                model.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        if not (file_kinds.is_hdf5(path) or file_kinds.is_keras_archive(path)):
            reason = f"the file {file_kinds.describe_file(path)}."
        else:
            reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"The weights in {path} do not fit this model: {reason}") from error


def check_file(path: Path) -> None:
    """Raise WeightsError unless there is a file of weights at a path."""
    if path.is_dir():
        raise WeightsError(f"{path} is a folder: expected imagenet, none, file, or a .keras or .h5 file.")
    if not path.is_file():
        raise WeightsError(f"No weights file at {path}: expected imagenet, none, file, or a .keras or .h5 file.")


def no_imagenet_weights(name: str) -> WeightsError:
    """Return the error that there are no ImageNet weights for a model, to be raised by the caller."""
    return WeightsError(f"There are no ImageNet weights for {name}: set --weights none, or give a file.")
