"""Load MNIST, 70,000 handwritten digits, from the archive that Keras uses."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from tinybench.core.errors import DataError
from tinybench.data import decoded_cache, locate, official
from tinybench.data.archive import Tree
from tinybench.data.dataset import DatasetCard, Images, Labels, RawDataset
from tinybench.data.dataset_registry import register
from tinybench.data.decoding import PoolWriter
from tinybench.data.load_request import LoadRequest

if TYPE_CHECKING:
    from pathlib import Path

CARD = DatasetCard("mnist", "Handwritten digits, 28 x 28 gray.", 10, 60_000, 10_000, (28, 28, 1))

OFFICIAL = locate.OfficialArchive(
    "mnist.npz",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
    "sha256:731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
    "mnist",
)

_ARRAYS = ("x_train.npy", "y_train.npy", "x_test.npy", "y_test.npy")


@register(CARD)
def load(request: LoadRequest) -> RawDataset:
    """Load the official training and test images from `mnist.npz`, or from the .npy files in it."""
    return official.load(
        CARD, OFFICIAL, request, lambda folder: all((folder / name).is_file() for name in _ARRAYS), _write_pools
    )


def _write_pools(tree: Tree, path: Path, writer: PoolWriter) -> decoded_cache.DatasetMetadata:
    for split in ("train", "test"):
        writer.write_arrays(split, *_read_split(tree, path, split))
    return decoded_cache.DatasetMetadata(tuple(str(digit) for digit in range(10)))


def _read_split(tree: Tree, path: Path, split: str) -> tuple[Images, Labels]:
    """Return the (n, 28, 28, 1) images and (n,) labels of a split; raise DataError for another layout."""
    try:
        images, labels = (np.load(io.BytesIO(tree.read(f"{axis}_{split}.npy")), allow_pickle=False) for axis in "xy")
    except (KeyError, ValueError, EOFError) as error:
        raise DataError(f"{path} is not MNIST's archive ({error}): delete it and fetch it again.") from None
    fits = images.dtype == np.uint8 and images.ndim == 3 and images.shape[1:] == (28, 28)
    if not fits or labels.shape != images.shape[:1] or labels.dtype.kind not in "ui" or labels.max(initial=0) > 9:
        raise DataError(f"{path} is not MNIST's archive (wrong {split} shapes): delete it and fetch it again.")
    return images[..., np.newaxis], labels.astype(np.int32)
