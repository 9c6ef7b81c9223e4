"""Load Tiny ImageNet, 200 classes of 64 x 64 photographs, from the official archive or an unpacked copy.

Its test images have no labels, so its validation images are the held-out test set here, as is usual.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from tinybench.core.errors import DataError
from tinybench.data import decoded_cache, locate, official, tiny_imagenet_layout
from tinybench.data.archive import Tree
from tinybench.data.copies import Layout
from tinybench.data.dataset import DatasetCard, RawDataset
from tinybench.data.dataset_registry import register
from tinybench.data.decoding import EncodedImages, PoolWriter
from tinybench.data.load_request import LoadRequest

CARD = DatasetCard("tiny-imagenet", "Photographs of 200 ImageNet classes, 64 x 64.", 200, 100_000, 10_000, (64, 64, 3))

OFFICIAL = locate.OfficialArchive(
    "tiny-imagenet-200.zip",
    "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    "md5:90528d7ca1a48142e341f4ef8d21d0de",
    "tiny-imagenet-200",
    Layout(r"(stanford)?tinyimagenet", (("train/", "val/"), ("train/", "wnids.txt"))),
)


@register(CARD)
def load(request: LoadRequest) -> RawDataset:
    """Load the training images, and the official validation images as test set; gray images become RGB."""
    return official.load(
        CARD,
        OFFICIAL,
        request,
        _write_pools,
        skip_corrupt=request.config.skip_corrupt,
    )


def _write_pools(tree: Tree, path: Path, writer: PoolWriter) -> decoded_cache.DatasetMetadata:
    names = tiny_imagenet_layout.label_names(tree)
    assert CARD.shape is not None
    for folder, split, labelled in (("train", "train", names.train), ("val", "test", names.val)):
        if not labelled:
            reasons = names.describe_unused()
            raise DataError(
                f"No {folder} images in {path}: expected {folder}/<label>/*.JPEG or the official layout, with "
                f"val/val_annotations.txt{f', and found {reasons}' if reasons else ''}. Delete it and fetch it again."
            )
        labels, sorted_names = zip(*sorted(labelled, key=tiny_imagenet_layout.sort_key), strict=True)
        images = EncodedImages(sorted_names, np.array(labels, np.int32), tree.read, CARD.shape)
        writer.write_encoded(split, images)
    warnings = (*names.warnings(), *writer.corrupt_warnings())
    unused = {reason: len(files) for reason, files in names.unused.items()}
    return decoded_cache.DatasetMetadata(_class_names(tree, names.wnids), warnings=warnings, unused=unused)


def _class_names(tree: Tree, wnids: tuple[str, ...]) -> tuple[str, ...]:
    """Return the first synonym of each class, with its WordNet id added where two classes share it."""
    if "words.txt" not in tree.names:
        return wnids
    lines = tiny_imagenet_layout.read_text(tree, "words.txt").splitlines()
    synonyms = dict(line.split("\t", 1) for line in lines if "\t" in line)
    names = [synonyms.get(wnid, wnid).split(",")[0].strip() for wnid in wnids]
    counts = Counter(names)
    return tuple(f"{name} ({wnid})" if counts[name] > 1 else name for name, wnid in zip(names, wnids, strict=True))
