"""Load MNIST, 70,000 handwritten digits, from the archive that Keras uses or from the idx files of its publication."""

from __future__ import annotations

import io
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from tinybench.core.errors import DataError
from tinybench.data import copies, decoded_cache, idx, locate, official
from tinybench.data.archive import Tree
from tinybench.data.dataset import DatasetCard, Images, Labels, RawDataset
from tinybench.data.dataset_registry import register
from tinybench.data.decoding import PoolWriter
from tinybench.data.load_request import LoadRequest

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CARD = DatasetCard("mnist", "Handwritten digits, 28 x 28 gray.", 10, 60_000, 10_000, (28, 28, 1))

_ARRAYS = ("x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy")
_IDX = ("train-images[-.]idx3-ubyte*", "t10k-images[-.]idx3-ubyte*")
_PREFIXES = {"train": "train", "test": "t10k"}  # of the names of idx files, by split
_OTHERS = r"fashion|kuzushiji|[kqe]mnist|notmnist|mnistfashion"  # whose files have the same names

OFFICIAL = locate.OfficialArchive(
    "mnist.npz",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
    "sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    "mnist",
    copies.Layout(
        r"mnist",
        (_ARRAYS, *((mark,) for mark in _IDX), *((f"{mark}/{mark}",) for mark in _IDX)),
        _OTHERS,
        (".npz", *copies.PACKED),
    ),
)


@register(CARD)
def load(request: LoadRequest) -> RawDataset:
    """Load the official training and test images from `mnist.npz`, from the .npy files in it, or from idx files."""
    return official.load(CARD, OFFICIAL, request, _write_pools)


def _write_pools(tree: Tree, path: Path, writer: PoolWriter) -> decoded_cache.DatasetMetadata:
    for split in ("train", "test"):
        writer.write_arrays(split, *_read_split(tree, path, split))
    return decoded_cache.DatasetMetadata(tuple(str(digit) for digit in range(10)))


def _read_split(tree: Tree, path: Path, split: str) -> tuple[Images, Labels]:
    """Return the (n, 28, 28, 1) images and (n,) labels of a split; raise DataError for another layout."""
    if any(fnmatchcase(name, mark) for name in tree.names for mark in _IDX):
        images, labels = _read_idx(tree, path, split, "images", 3), _read_idx(tree, path, split, "labels", 1)
    else:
        images, labels = _read_arrays(tree, path, split)
    fits = images.dtype == np.uint8 and images.ndim == 3 and images.shape[1:] == (28, 28)
    fits = fits and labels.shape == images.shape[:1] and labels.dtype.kind in "ui"
    if not fits or labels.max(initial=0) > 9 or labels.min(initial=0) < 0:
        raise DataError(f"{path} is not MNIST's archive (wrong {split} shapes): delete it and fetch it again.")
    return images[..., np.newaxis], labels.astype(np.int32)


def _read_arrays(tree: Tree, path: Path, split: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the images and labels in Keras's .npy files."""
    try:
        images, labels = (
            np.lib.format.read_array(io.BytesIO(tree.read(f"{axis}_{split}.npy")), allow_pickle=False) for axis in "xy"
        )
    except (KeyError, ValueError, EOFError, MemoryError, OverflowError) as error:
        raise DataError(f"{path} is not MNIST's archive ({error}): delete it and fetch it again.") from None
    return images, labels


def _read_idx(tree: Tree, path: Path, split: str, values: str, dimensions: int) -> NDArray[np.uint8]:
    """Return an array in an idx file, which some archives have twice, packed or in a folder of the same name.

    Raises:
        DataError: There is no such file, it is refused, or there are several that differ.
    """
    file = rf"{_PREFIXES[split]}-{values}[-.]idx{dimensions}-ubyte"
    names = [name for name in tree.names if re.fullmatch(rf"({file}/)?{file}(\.gz)?", name)]
    if not names:
        raise DataError(
            f"{path} has no {_PREFIXES[split]}-{values}-idx{dimensions}-ubyte, packed by gzip or not: put it beside "
            "MNIST's other idx files."
        )
    arrays = [idx.parse(tree.read(name), name, dimensions) for name in names]
    for name, array in zip(names[1:], arrays[1:], strict=True):
        if not np.array_equal(array, arrays[0]):
            raise DataError(f"{names[0]} and {name} in {path} differ: remove the one that is not MNIST's.")
    return arrays[0]
