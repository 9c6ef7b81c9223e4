"""Load official data sets: find the files, decode them once, and compare what is there with the card."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tinybench.core.count_text import describe_count
from tinybench.core.errors import DataError
from tinybench.data import decoded_cache, locate
from tinybench.data.archive import SubTree, Tree, open_tree
from tinybench.data.dataset import DatasetCard, ImagePool, RawDataset
from tinybench.data.decoding import PoolWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tinybench.data.copies import Layout
    from tinybench.data.load_request import LoadRequest
    from tinybench.data.locate import LocatedFiles, OfficialArchive

_OTHER_CLASSES = "test images of classes without training images"


def load(
    card: DatasetCard,
    archive: OfficialArchive,
    request: LoadRequest,
    write: Callable[[Tree, Path, PoolWriter], decoded_cache.DatasetMetadata],
    **key: Any,
) -> RawDataset:
    """Load an official data set from its archive, from another one of the same layout, or from an unpacked copy.

    Whatever differs from the official data is told in one warning, and classes without training images are left out.

    Args:
        card: The official numbers of images and classes.
        archive: The official archive.
        request: The request of the loader.
        write: Writes the pools of the files below a folder or in an archive, whose path is given for messages.
        **key: Settings that decide what `write` writes.

    Raises:
        DataError: The files are absent, damaged, or have another layout.
    """
    located = locate.find(archive, request)

    def build(folder: Path) -> decoded_cache.DatasetMetadata:
        with open_tree(located.path) as tree:
            writer = PoolWriter(folder, request.progress, request.config.skip_corrupt)
            metadata = write(_unwrap(tree, archive.layout, located.path), located.path, writer)
        return replace(metadata, fingerprint=located.fingerprint)

    raw = decoded_cache.load_or_build({"data": card.name, **key, **located.key}, str(located.path), build)
    if not len(raw.train.labels):
        raise DataError(f"{located.path} has no training images: delete it and fetch it again.")
    present = leave_out_empty_classes(raw)
    return replace(present, warnings=(*warn_of_differences(card, present, located), *present.warnings))


def _unwrap(tree: Tree, layout: Layout, path: Path) -> Tree:
    """Return the files below the folder in which an archive wraps a data set.

    Raises:
        DataError: Several folders of the archive have its files.
    """
    tops = layout.find_in_archive(tree.names)
    if len(tops) > 1:
        raise DataError(
            f"{path} has several copies of the data set, in {', '.join(tops)}: unpack one of them into a folder of its "
            "own, and name that folder with `--data.root`."
        )
    return SubTree(tree, tops[0]) if tops and tops[0] else tree


def leave_out_empty_classes(raw: RawDataset) -> RawDataset:
    """Return a data set without the classes that have no training images, and without their test images."""
    present = np.unique(raw.train.labels)
    if len(present) == len(raw.class_names):
        return raw
    new_labels = np.full(len(raw.class_names), -1, np.int32)
    new_labels[present] = np.arange(len(present), dtype=np.int32)

    def select(pool: ImagePool) -> ImagePool:
        rows = np.flatnonzero(new_labels[pool.labels] >= 0)
        images = pool.images if len(rows) == len(pool.labels) else pool.images[rows]
        return replace(pool, images=images, labels=new_labels[pool.labels[rows]], digests=pool.digests[rows])

    dropped = 0 if raw.test is None else int(np.count_nonzero(new_labels[raw.test.labels] < 0))
    unused = {_OTHER_CLASSES: dropped} if dropped else {}
    return replace(
        raw,
        train=select(raw.train),
        test=raw.test and select(raw.test),
        class_names=tuple(raw.class_names[label] for label in present),
        superclasses=tuple(raw.superclasses[label] for label in present) if raw.superclasses else (),
        warnings=(*raw.warnings, *(f"Not used: {describe_count(count, reason)}." for reason, count in unused.items())),
        unused={**raw.unused, **unused},
    )


def warn_of_differences(card: DatasetCard, raw: RawDataset, located: LocatedFiles) -> tuple[str, ...]:
    """Return one warning that says how a data set differs from the official one; none where it does not."""
    numbers = {
        "training images": (len(raw.train.labels), card.train),
        "test images": (0 if raw.test is None else len(raw.test.labels), card.test),
        "classes": (len(raw.class_names), card.classes),
    }
    counts = [
        f"{count:,} of the {expected:,} {things}" if count < expected else f"{count:,} instead of {expected:,} {things}"
        for things, (count, expected) in numbers.items()
        if expected is not None and count != expected
    ]
    listed = f"{', '.join(counts[:-1])} and {counts[-1]}" if len(counts) > 1 else "".join(counts)
    parts = [part for part in (located.difference, f"has {listed}" if listed else "") if part]
    if not parts:
        return ()
    return (f"{located.path} {', and '.join(parts)}: scores are not comparable with published figures.",)
