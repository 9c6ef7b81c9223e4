"""Load Tiny ImageNet, 200 classes of 64 x 64 photographs, from the official archive or an unpacked copy.

Its test images have no labels, so its validation images are the held-out test set here, as is usual.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from tinybench.core.errors import DataError
from tinybench.data import decoded_cache, locate, official
from tinybench.data.archive import Tree
from tinybench.data.dataset import DatasetCard, RawDataset
from tinybench.data.dataset_registry import register
from tinybench.data.decoding import EncodedImages, PoolWriter
from tinybench.data.load_request import LoadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

CARD = DatasetCard("tiny-imagenet", "Photographs of 200 ImageNet classes, 64 x 64.", 200, 100_000, 10_000, (64, 64, 3))

OFFICIAL = locate.OfficialArchive(
    "tiny-imagenet-200.zip",
    "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    "md5:90528d7ca1a48142e341f4ef8d21d0de",
    "tiny-imagenet-200",
)

_SPLITS = {"train": "train", "val": "test"}  # by folder of the archive
_SUFFIXES = (".jpeg", ".jpg")


@register(CARD)
def load(request: LoadRequest) -> RawDataset:
    """Load the training images, and the official validation images as test set; gray images become RGB."""
    return official.load(
        CARD,
        OFFICIAL,
        request,
        lambda folder: (folder / "train").is_dir() and (folder / "val").is_dir(),
        _write_pools,
        skip_corrupt=request.config.skip_corrupt,
    )


def _write_pools(tree: Tree, path: Path, writer: PoolWriter) -> decoded_cache.DatasetMetadata:
    images = [name for name in tree.names if PurePosixPath(name).suffix.lower() in _SUFFIXES]
    wnids = _read_wnids(tree, images)
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    annotations = _read_annotations(tree)
    assert CARD.shape is not None
    for folder, split in _SPLITS.items():
        labelled = sorted(_labelled_images(images, folder, label_of, annotations))
        if not labelled:
            raise DataError(
                f"No {folder} images in {path}: expected {folder}/<label>/*.JPEG or the official layout, with "
                "val/val_annotations.txt. Delete it and fetch it again."
            )
        labels, _, names = zip(*labelled, strict=True)
        writer.write_encoded(split, EncodedImages(names, np.array(labels, np.int32), tree.read, CARD.shape))
    return decoded_cache.DatasetMetadata(_class_names(tree, wnids), warnings=writer.corrupt_warnings())


def _read_wnids(tree: Tree, images: list[str]) -> list[str]:
    """Return the WordNet ids of the classes, which stand for them in file names, in the order of the labels."""
    if "wnids.txt" in tree.names:
        return tree.read("wnids.txt").decode("utf-8").split()
    return sorted({name.split("/")[1] for name in images if name.startswith("train/")})


def _read_annotations(tree: Tree) -> dict[str, str]:
    """Return the WordNet id of each validation image by file name."""
    if "val/val_annotations.txt" not in tree.names:
        return {}
    lines = tree.read("val/val_annotations.txt").decode("utf-8").splitlines()
    return {fields[0]: fields[1] for fields in (line.split("\t") for line in lines) if len(fields) > 1}


def _labelled_images(
    images: list[str], folder: str, label_of: dict[str, int], annotations: dict[str, str]
) -> Iterator[tuple[int, list[int], str]]:
    """Yield the label, the numbers in the file name and the name of each image in a folder.

    Sorted by these, the images of both layouts have the same order.
    """
    for name in images:
        top, subfolder, *_ = name.split("/")
        file = name.rsplit("/", 1)[-1]
        wnid = subfolder if subfolder in label_of else annotations.get(file, "")
        if top == folder and wnid in label_of:
            yield label_of[wnid], [int(digits) for digits in re.findall(r"\d+", file)], name


def _class_names(tree: Tree, wnids: list[str]) -> tuple[str, ...]:
    """Return the first synonym of each class, with its WordNet id added where two classes share it."""
    if "words.txt" not in tree.names:
        return tuple(wnids)
    lines = tree.read("words.txt").decode("utf-8").splitlines()
    synonyms = dict(line.split("\t", 1) for line in lines if "\t" in line)
    names = [synonyms.get(wnid, wnid).split(",")[0].strip() for wnid in wnids]
    counts = Counter(names)
    return tuple(f"{name} ({wnid})" if counts[name] > 1 else name for name, wnid in zip(names, wnids, strict=True))
