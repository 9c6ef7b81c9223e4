"""Split a data set into train, validation and test, as a function of the settings and the seed.

Each class is shuffled by its own generator, so that a class is split in the same way whichever other classes are
selected, and each class keeps at least one image on both sides.
"""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinybench.core.errors import DataError
from tinybench.core.name_text import find_name
from tinybench.data.dataset import Dataset, ImagePool, Labels, RawDataset, Split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinybench.config.sections import DataConfig

Rows = NDArray[np.int64]

# The test set of a data set without an official one is the same for every seed
TEST_SEED = 20_240_601


def split(name: str, raw: RawDataset, config: DataConfig, seed: int) -> Dataset:
    """Split a data set for a run.

    Args:
        name: The name in the configuration.
        raw: The data set as its files give it.
        config: Which classes, how many images per class, and the shares of validation and test images.
        seed: Decides which training images are held out for validation, and nothing else.

    Raises:
        DataError: A class does not exist, or has too few images.
    """
    selected = select_classes(raw.class_names, config.classes)
    names = tuple(raw.class_names[label] for label in selected)
    train = _rows_of(raw.train, selected)
    if raw.test is None:
        train, test = split_stratified(raw.train.labels, train, selected, config.test, TEST_SEED, names)
    else:
        test = _rows_of(raw.test, selected)
    train = _limit(raw.train, train, selected, config.per_class)
    if raw.validation is None:
        train, validation = split_stratified(raw.train.labels, train, selected, config.validation, seed, names)
    else:
        validation = _rows_of(raw.validation, selected)
    test_pool, validation_pool = raw.test or raw.train, raw.validation or raw.train
    test = _limit(test_pool, test, selected, config.test_per_class)
    splits = {
        "train": _make_split(raw.train, train, selected, names, "train"),
        "validation": _make_split(validation_pool, validation, selected, names, "validation"),
        "test": _make_split(test_pool, test, selected, names, "test"),
    }
    height, width, channels = raw.train.images.shape[1:]
    return Dataset(
        name=name,
        **splits,
        class_names=names,
        shape=(height, width, channels),
        fingerprint=raw.fingerprint,
        split_hash=hash_splits(splits),
        origin=raw.origin,
        superclasses=tuple(raw.superclasses[label] for label in selected) if raw.superclasses else (),
        resize=config.resize,
        duplicates=count_duplicates(splits),
        warnings=raw.warnings,
        unused=raw.unused,
    )


def select_classes(names: tuple[str, ...], classes: int | tuple[str, ...] | None) -> list[int]:
    """Return the labels of the classes to use.

    Args:
        names: The names of all classes, by label.
        classes: A number of classes from the first, or names in the order to give; None for all.

    Raises:
        DataError: More classes than there are, an unknown name, a name twice, or fewer than two classes.
    """
    if len(names) < 2:
        raise DataError(f"The data have one class, {names[0]!r}: at least two are needed, each in a folder of its own.")
    if classes is None:
        return list(range(len(names)))
    if isinstance(classes, int):
        if classes > len(names):
            raise DataError(
                f"`data.classes` asks for {classes} classes, but there are {len(names)}: ask for fewer, or all."
            )
        selected = list(range(classes))
    else:
        selected = [_label_of(names, name) for name in classes]
    if len(set(selected)) < max(2, len(selected)):
        raise DataError(f"`data.classes` must give at least two different classes, got {[names[i] for i in selected]}.")
    return selected


def split_stratified(
    labels: Labels, rows: Rows, selected: list[int], share: float, seed: int, names: tuple[str, ...]
) -> tuple[Rows, Rows]:
    """Hold out a random share of each class.

    Args:
        labels: (n,) labels of a pool.
        rows: The rows of the pool to split.
        selected: The labels of the classes to split.
        share: The share of each class that is held out: at least one image, never all of them.
        seed: Decides which rows are held out.
        names: The names of the selected classes, for error messages.

    Returns:
        The remaining rows and those held out, both sorted.

    Raises:
        DataError: A class has fewer than two images.
    """
    held_out_by_class = []
    for label, name in zip(selected, names, strict=True):
        members = rows[labels[rows] == label]
        if len(members) < 2:
            raise DataError(
                f"Class {name!r} has too few training images ({len(members)} left to split): it needs one for every "
                "split that is drawn from it. Add images, or leave the class out with `data.classes`."
            )
        count = min(max(round(share * len(members)), 1), len(members) - 1)
        held_out_by_class.append(np.random.default_rng([seed, label]).permutation(members)[:count])
    held_out = np.sort(np.concatenate(held_out_by_class))
    return np.setdiff1d(rows, held_out), held_out


def make_fold(dataset: Dataset, number: int, count: int, seed: int) -> Dataset:
    """Return one fold of a stratified cross-validation: its share of the training images is held out for validation.

    All training images are used, including those that were held out before; official validation images are not.

    Args:
        dataset: The data set as a run without folds has it; its test images are left as they are.
        number: The number of the fold, from 0.
        count: The number of folds.
        seed: Decides which image is in which fold.

    Raises:
        DataError: A class has fewer training images than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    splits = [dataset.train]
    if dataset.validation.pool is dataset.train.pool:
        splits.append(dataset.validation)
    rows = np.concatenate([split.rows for split in splits])
    labels = np.concatenate([split.labels for split in splits])
    order = np.argsort(rows)
    rows, labels = rows[order], labels[order]
    fewest = np.bincount(labels).argmin()
    if np.count_nonzero(labels == fewest) < count:
        raise DataError(
            f"Class {dataset.class_names[fewest]!r} has {np.count_nonzero(labels == fewest)} training images: too few "
            f"for {count} folds. Set `data.folds` lower, or leave the class out with `data.classes`."
        )
    folds = StratifiedKFold(count, shuffle=True, random_state=seed).split(rows, labels)
    train, validation = (Split(dataset.train.pool, rows[indices], labels[indices]) for indices in [*folds][number])
    fold = replace(dataset, train=train, validation=validation)
    return replace(fold, split_hash=hash_splits(fold.splits), duplicates=count_duplicates(fold.splits))


def hash_splits(splits: Mapping[str, Split]) -> str:
    """Return 64 hex digits over the pixels, labels and order of every split."""
    hasher = hashlib.sha256()
    for name, split in splits.items():
        hasher.update(f"{name} {len(split)}\n".encode())
        hasher.update(split.pool.digests[split.rows].tobytes())
        hasher.update(np.ascontiguousarray(split.labels, np.int32).data)
    return hasher.hexdigest()


def count_duplicates(splits: Mapping[str, Split]) -> dict[str, int]:
    """Return for each two splits "a/b" how many images of b have an exact copy in a."""
    digests = {name: split.pool.digests[split.rows] for name, split in splits.items()}
    return {f"{a}/{b}": int(np.isin(digests[b], digests[a]).sum()) for a, b in combinations(digests, 2)}


def _label_of(names: tuple[str, ...], name: str) -> int:
    label = find_name(name, names)
    if label is not None:
        return label
    near = difflib.get_close_matches(name, names, n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"classes are {', '.join(names[:10])}"
    raise DataError(f"There is no class {name!r}: {hint}{'' if near or len(names) <= 10 else ' …'}")


def _rows_of(pool: ImagePool, selected: list[int]) -> Rows:
    return np.flatnonzero(np.isin(pool.labels, selected)).astype(np.int64)


def _limit(pool: ImagePool, rows: Rows, selected: list[int], per_class: int | None) -> Rows:
    """Return the first rows of each class, sorted; all rows where there is no limit."""
    if per_class is None:
        return rows
    labels = pool.labels[rows]
    return np.sort(np.concatenate([rows[labels == label][:per_class] for label in selected]))


def _make_split(pool: ImagePool, rows: Rows, selected: list[int], names: tuple[str, ...], split: str) -> Split:
    """Return rows of a pool as a split, with labels numbered in the order of the selected classes.

    Raises:
        DataError: A class has no image among the rows.
    """
    new_labels = np.full(max(int(pool.labels.max(initial=0)), *selected) + 1, -1, np.int32)
    new_labels[selected] = np.arange(len(selected), dtype=np.int32)
    labels = new_labels[pool.labels[rows]]
    missing = np.flatnonzero(np.bincount(labels, minlength=len(selected)) == 0)
    if len(missing):
        raise DataError(
            f"Class {names[missing[0]]!r} has no {split} images: add some, or leave it out with `data.classes`."
        )
    return Split(pool, rows, labels)
