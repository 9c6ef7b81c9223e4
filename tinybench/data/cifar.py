"""CIFAR-10 and CIFAR-100, from the official python archives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tinybench.core.errors import DataError
from tinybench.data import cifar_pickles, decoded_cache, locate
from tinybench.data.archive import Tree, open_tree
from tinybench.data.dataset import Card, Images, Labels, Pool, Source
from tinybench.data.dataset_registry import Request, register
from tinybench.data.decoding import Writer

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Variant:
    """What differs between the two.

    Attributes:
        card: Its card.
        official: Its archive.
        train: What the names of training files begin with.
        test: The name of the test file.
        meta: The file with the class names.
        labels, names: Keys of the labels and of the class names.
    """

    card: Card
    official: locate.Official
    train: str
    test: str
    meta: str
    labels: str
    names: str


CIFAR10 = Variant(
    Card("cifar10", "Photographs of 10 kinds of things, 32 x 32.", 10, 50_000, 10_000, (32, 32, 3)),
    locate.Official(
        "cifar-10-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        "cifar-10-batches-py",
    ),
    *("data_batch_", "test_batch", "batches.meta", "labels", "label_names"),
)

CIFAR100 = Variant(
    Card(
        "cifar100", "Photographs of 100 kinds of things in 20 superclasses, 32 x 32.", 100, 50_000, 10_000, (32, 32, 3)
    ),
    locate.Official(
        "cifar-100-python.tar.gz",
        "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        "sha256:85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        "cifar-100-python",
    ),
    *("train", "test", "meta", "fine_labels", "fine_label_names"),
)


@register(CIFAR10.card)
def load_cifar10(request: Request) -> Source:
    """The official train and test images of CIFAR-10."""
    return _load(CIFAR10, request)


@register(CIFAR100.card)
def load_cifar100(request: Request) -> Source:
    """The official train and test images of CIFAR-100 with fine labels, or coarse ones where the settings say so."""
    source = _load(CIFAR100, request)
    return _coarse(source) if request.config.labels == "coarse" else source


def _load(variant: Variant, request: Request) -> Source:
    found = locate.find(variant.official, request, lambda folder: (folder / variant.meta).is_file())

    def build(folder: Path) -> decoded_cache.Contents:
        with open_tree(found.path, variant.official.folder) as tree:
            return replace(_write(variant, tree, Writer(folder, request.progress)), fingerprint=found.fingerprint)

    source = decoded_cache.source({"data": variant.card.name, **found.key}, str(found.path), build)
    return replace(source, warnings=found.warnings + source.warnings)


def _write(variant: Variant, tree: Tree, writer: Writer) -> decoded_cache.Contents:
    names = _names(_read(tree, variant.meta), variant.names)
    training = [_read(tree, name) for name in tree.names if name.startswith(variant.train)] or [
        _read(tree, variant.train)
    ]
    test = [_read(tree, variant.test)]
    for split, batches in (("train", training), ("test", test)):
        images, labels = zip(*(_batch(batch, variant.labels, len(names)) for batch in batches), strict=True)
        writer.arrays(split, np.concatenate(images), np.concatenate(labels))
    coarse = _superclasses(training, names, _read(tree, variant.meta)) if variant is CIFAR100 else ()
    return decoded_cache.Contents(names, superclasses=coarse)


def _read(tree: Tree, name: str) -> dict[str, Any]:
    try:
        return cifar_pickles.loads(tree.read(name), name)
    except KeyError:
        raise DataError(
            f"CIFAR's file {name!r} is missing: delete the archive or the folder and fetch it again."
        ) from None


def _names(meta: dict[str, Any], key: str) -> tuple[str, ...]:
    names = meta.get(key)
    if not isinstance(names, list) or not names:
        raise _wrong(f"no {key}")
    return tuple(name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in names)


def _batch(batch: dict[str, Any], key: str, classes: int) -> tuple[Images, Labels]:
    """(n, 32, 32, 3) images and (n,) labels of a batch that holds its pixels as rows of three planes."""
    data, labels = batch.get("data"), _labels(batch, key, classes)
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape != (len(labels), 3072):
        raise _wrong(f"{getattr(data, 'shape', 'no')} pixels for {len(labels)} labels")
    return data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels


def _labels(batch: dict[str, Any], key: str, classes: int) -> Labels:
    labels = batch.get(key)
    valid = isinstance(labels, list) and all(isinstance(label, int) and 0 <= label < classes for label in labels)
    if not valid or not labels:
        raise _wrong(f"no valid {key}")
    return np.array(labels, np.int32)


def _superclasses(batches: list[dict[str, Any]], fine: tuple[str, ...], meta: dict[str, Any]) -> tuple[str, ...]:
    coarse = _names(meta, "coarse_label_names")
    pairs = set()
    for batch in batches:
        pairs |= set(zip(batch["fine_labels"], _labels(batch, "coarse_labels", len(coarse)).tolist(), strict=True))
    above = dict(pairs)
    if not len(pairs) == len(above) == len(fine):
        raise _wrong("fine and coarse labels that do not agree")
    return tuple(coarse[above[label]] for label in range(len(fine)))


def _coarse(source: Source) -> Source:
    """The same images with their superclasses, in the alphabetical order of the official list, as labels."""
    names = tuple(sorted(set(source.superclasses)))
    above = np.array([names.index(name) for name in source.superclasses], np.int32)

    def relabel(pool: Pool) -> Pool:
        return replace(pool, labels=above[pool.labels])

    assert source.test is not None
    return replace(source, train=relabel(source.train), test=relabel(source.test), class_names=names, superclasses=())


def _wrong(what: str) -> DataError:
    return DataError(f"Not CIFAR's layout ({what}): delete the archive or the folder and fetch it again.")
