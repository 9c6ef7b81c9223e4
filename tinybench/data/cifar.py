"""Load CIFAR-10 and CIFAR-100 from the official Python archives."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tinybench.core.count_text import describe_count
from tinybench.core.errors import DataError
from tinybench.core.name_text import clean_name
from tinybench.data import cifar_pickles, decoded_cache, locate, official
from tinybench.data.archive import Tree
from tinybench.data.copies import Layout
from tinybench.data.dataset import DatasetCard, ImagePool, Images, Labels, RawDataset
from tinybench.data.dataset_registry import register
from tinybench.data.decoding import PoolWriter
from tinybench.data.load_request import LoadRequest

if TYPE_CHECKING:
    pass

_NO_BATCHES = "files named like a training batch"  # such as `data_batch_1 (1)`, which a second download leaves


@dataclass(frozen=True)
class Variant:
    """CIFAR-10 or CIFAR-100: the files and keys by which the two differ.

    Attributes:
        card: The data set's card.
        official: The official archive.
        train: Names of the training files, as a regular expression.
        test: Name of the test file.
        meta: Name of the file with the class names.
        labels, names: Keys of the labels and of the class names in those files.
    """

    card: DatasetCard
    official: locate.OfficialArchive
    train: str
    test: str
    meta: str
    labels: str
    names: str


CIFAR10 = Variant(
    DatasetCard("cifar10", "Photographs of 10 kinds of things, 32 x 32.", 10, 50_000, 10_000, (32, 32, 3)),
    locate.OfficialArchive(
        "cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        "cifar-10-batches-py",
        Layout(r"cifar10(?!\d)", (("batches.meta",), ("data_batch_[1-5]",))),
    ),
    *("data_batch_[0-9]+", "test_batch", "batches.meta", "labels", "label_names"),
)

CIFAR100 = Variant(
    DatasetCard(
        "cifar100", "Photographs of 100 kinds of things in 20 superclasses, 32 x 32.", 100, 50_000, 10_000, (32, 32, 3)
    ),
    locate.OfficialArchive(
        "cifar-100-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "sha256:85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        "cifar-100-python",
        Layout(r"cifar100(?!\d)", (("meta", "train"), ("meta", "test"))),
    ),
    *("train", "test", "meta", "fine_labels", "fine_label_names"),
)


@register(CIFAR10.card)
def load_cifar10(request: LoadRequest) -> RawDataset:
    """Load the official training and test images of CIFAR-10."""
    return _load(CIFAR10, request)


@register(CIFAR100.card)
def load_cifar100(request: LoadRequest) -> RawDataset:
    """Load the official training and test images of CIFAR-100, with the fine or coarse labels of the settings."""
    raw = _load(CIFAR100, request)
    return _with_superclass_labels(raw) if request.config.labels == "coarse" else raw


def _load(variant: Variant, request: LoadRequest) -> RawDataset:
    return official.load(
        variant.card,
        variant.official,
        request,
        lambda tree, _path, writer: _write_pools(variant, tree, writer),
    )


def _write_pools(variant: Variant, tree: Tree, writer: PoolWriter) -> decoded_cache.DatasetMetadata:
    meta = _read_pickle(tree, variant.meta)
    names = _class_names(meta, variant.names)
    files = [name for name in tree.names if re.fullmatch(variant.train, name)]
    if not files:
        raise _missing_error(variant.train.replace("[0-9]+", "1"))
    training = [_read_pickle(tree, name) for name in files]
    test = [_read_pickle(tree, variant.test)]
    for split, batches in (("train", training), ("test", test)):
        images, labels = zip(*(_read_batch(batch, variant.labels, len(names)) for batch in batches), strict=True)
        writer.write_arrays(split, np.concatenate(images), np.concatenate(labels))
    superclasses = _superclasses(training, names, meta) if variant is CIFAR100 else ()
    others = [name for name in tree.names if name.startswith("data_batch_") and name not in files]
    unused = {_NO_BATCHES: len(others)} if others else {}
    warnings = (
        (f"Not used: {describe_count(len(others), _NO_BATCHES)}, such as {clean_name(others[0])}.",) if others else ()
    )
    return decoded_cache.DatasetMetadata(names, superclasses=superclasses, warnings=warnings, unused=unused)


def _read_pickle(tree: Tree, name: str) -> dict[str, Any]:
    try:
        return cifar_pickles.loads(tree.read(name), name)
    except KeyError:
        raise _missing_error(name) from None


def _class_names(meta: dict[str, Any], key: str) -> tuple[str, ...]:
    names = meta.get(key)
    if not isinstance(names, list) or not names:
        raise _layout_error(f"no {key}")
    return tuple(name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in names)


def _read_batch(batch: dict[str, Any], key: str, classes: int) -> tuple[Images, Labels]:
    """Return the (n, 32, 32, 3) images and (n,) labels of a batch whose rows of pixels hold three colour planes."""
    data, labels = batch.get("data"), _read_labels(batch, key, classes)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (len(labels), 3072):
        raise _layout_error(f"{getattr(data, 'shape', 'no')} pixels for {len(labels)} labels")
    return data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def _read_labels(batch: dict[str, Any], key: str, classes: int) -> Labels:
    labels = batch.get(key)
    labels = labels.tolist() if isinstance(labels, np.ndarray) else labels
    valid = isinstance(labels, list) and all(isinstance(label, int) and 0 <= label < classes for label in labels)
    if not valid or not labels:
        raise _layout_error(f"no valid {key}")
    return np.array(labels, np.int32)


def _superclasses(batches: list[dict[str, Any]], fine: tuple[str, ...], meta: dict[str, Any]) -> tuple[str, ...]:
    """Return the name of the superclass of each fine label; empty for a class without training images."""
    coarse = _class_names(meta, "coarse_label_names")
    pairs = set()
    for batch in batches:
        labels = (_read_labels(batch, "fine_labels", len(fine)), _read_labels(batch, "coarse_labels", len(coarse)))
        if len(labels[0]) != len(labels[1]):
            raise _layout_error("fine and coarse labels of different numbers")
        pairs |= set(zip(*(array.tolist() for array in labels), strict=True))
    coarse_of_fine = dict(pairs)
    if len(pairs) != len(coarse_of_fine):
        raise _layout_error("fine and coarse labels that do not agree")
    return tuple(coarse[coarse_of_fine[label]] if label in coarse_of_fine else "" for label in range(len(fine)))


def _with_superclass_labels(raw: RawDataset) -> RawDataset:
    """Return the same images labelled by superclass, in the alphabetical order of the official list."""
    names = tuple(sorted(set(raw.superclasses)))
    coarse_of_fine = np.array([names.index(name) for name in raw.superclasses], np.int32)

    def relabel(pool: ImagePool) -> ImagePool:
        return replace(pool, labels=coarse_of_fine[pool.labels])

    assert raw.test is not None
    return replace(raw, train=relabel(raw.train), test=relabel(raw.test), class_names=names, superclasses=())


def _missing_error(name: str) -> DataError:
    return DataError(f"CIFAR's file {name!r} is missing: delete the archive or the folder and fetch it again.")


def _layout_error(problem: str) -> DataError:
    return DataError(f"Not CIFAR's layout ({problem}): delete the archive or the folder and fetch it again.")
