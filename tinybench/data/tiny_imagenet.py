"""Tiny ImageNet: 200 classes of 64 x 64 photographs, from the official archive or an unpacked copy.

Its test images have no labels, so its validation images are the held-out test set here, as is usual.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from tinybench.core.errors import DataError
from tinybench.data import decoded_cache, locate
from tinybench.data.archive import Tree, open_tree
from tinybench.data.dataset import Card, Source
from tinybench.data.dataset_registry import Request, register
from tinybench.data.decoding import Encoded, Writer

if TYPE_CHECKING:
    from collections.abc import Iterator

CARD = Card("tiny-imagenet", "Photographs of 200 ImageNet classes, 64 x 64.", 200, 100_000, 10_000, (64, 64, 3))

OFFICIAL = locate.Official(
    "tiny-imagenet-200.zip",
    "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    "md5:90528d7ca1a48142e341f4ef8d21d0de",
    "tiny-imagenet-200",
)

_SPLITS = {"train": "train", "val": "test"}
_SUFFIXES = (".jpeg", ".jpg")


@register(CARD)
def load(request: Request) -> Source:
    """Train images, and the validation images as test set; gray ones come as RGB."""
    found = locate.find(OFFICIAL, request, lambda folder: (folder / "train").is_dir() and (folder / "val").is_dir())
    skip = request.config.skip_corrupt

    def build(folder: Path) -> decoded_cache.Contents:
        with open_tree(found.path, OFFICIAL.folder) as tree:
            contents = _write(tree, found.path, Writer(folder, request.progress, skip))
        return replace(contents, fingerprint=found.fingerprint)

    source = decoded_cache.source({"data": CARD.name, "skip_corrupt": skip, **found.key}, str(found.path), build)
    return replace(source, warnings=found.warnings + source.warnings)


def _write(tree: Tree, path: Path, writer: Writer) -> decoded_cache.Contents:
    images = [name for name in tree.names if PurePosixPath(name).suffix.lower() in _SUFFIXES]
    wnids = _wnids(tree, images)
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    annotations = _annotations(tree)
    assert CARD.shape is not None
    for part, split in _SPLITS.items():
        labelled = sorted(_labelled(images, part, label_of, annotations))
        if not labelled:
            raise DataError(
                f"No {part} images in {path}: expected {part}/<label>/*.JPEG or the official layout, with "
                "val/val_annotations.txt. Delete it and fetch it again."
            )
        labels, _, names = zip(*labelled, strict=True)
        writer.encoded(split, Encoded(names, np.array(labels, np.int32), tree.read, CARD.shape))
    return decoded_cache.Contents(_class_names(tree, wnids), warnings=writer.corrupt_warnings())


def _wnids(tree: Tree, images: list[str]) -> list[str]:
    if "wnids.txt" in tree.names:
        return tree.read("wnids.txt").decode("utf-8").split()
    return sorted({name.split("/")[1] for name in images if name.startswith("train/")})


def _annotations(tree: Tree) -> dict[str, str]:
    if "val/val_annotations.txt" not in tree.names:
        return {}
    lines = tree.read("val/val_annotations.txt").decode("utf-8").splitlines()
    return {fields[0]: fields[1] for fields in (line.split("\t") for line in lines) if len(fields) > 1}


def _labelled(
    images: list[str], part: str, label_of: dict[str, int], annotations: dict[str, str]
) -> Iterator[tuple[int, list[int], str]]:
    """Label, numbers in the file's name and name of each image of a part, so that both layouts sort alike."""
    for name in images:
        first, folder, *_ = name.split("/")
        file = name.rsplit("/", 1)[-1]
        wnid = folder if folder in label_of else annotations.get(file, "")
        if first == part and wnid in label_of:
            yield label_of[wnid], [int(digits) for digits in re.findall(r"\d+", file)], name


def _class_names(tree: Tree, wnids: list[str]) -> tuple[str, ...]:
    """The first synonym of each class, with the id added where two classes share it."""
    if "words.txt" not in tree.names:
        return tuple(wnids)
    lines = tree.read("words.txt").decode("utf-8").splitlines()
    words = dict(line.split("\t", 1) for line in lines if "\t" in line)
    first = [words.get(wnid, wnid).split(",")[0].strip() for wnid in wnids]
    shared = Counter(first)
    return tuple(f"{name} ({wnid})" if shared[name] > 1 else name for name, wnid in zip(first, wnids, strict=True))
