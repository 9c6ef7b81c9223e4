"""Train, validation and test from what a source gives, as a function of the settings and the seed.

Each class is shuffled by its own generator, so that a class is split the same way whichever other classes take
part, and each keeps at least one image on both sides.
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
from tinybench.data.dataset import Dataset, Labels, Pool, Source, Split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tinybench.config.sections import DataConfig

Rows = NDArray[np.int64]

# The test set of a source without one is the same for every seed.
TEST_SEED = 20_240_601


def split(name: str, source: Source, config: DataConfig, seed: int) -> Dataset:
    """The data set of a run.

    Args:
        name: As in the configuration.
        source: Pools with official splits.
        config: Classes, limits and shares.
        seed: Decides which training images are held out for validation, and nothing else.

    Raises:
        DataError: classes that are not there, or too few images of one.
    """
    chosen = choose_classes(source.class_names, config.classes)
    names = tuple(source.class_names[label] for label in chosen)
    train, test = _held_out(source, chosen, config, names)
    train = _first(source.train, train, chosen, config.per_class)
    if source.validation is None:
        train, validation = stratified(source.train.labels, train, chosen, config.validation, seed, names)
    else:
        validation = _rows(source.validation, chosen)
    test_pool, validation_pool = source.test or source.train, source.validation or source.train
    splits = {
        "train": _split(source.train, train, chosen, names, "train"),
        "validation": _split(validation_pool, validation, chosen, names, "validation"),
        "test": _split(test_pool, _first(test_pool, test, chosen, config.test_per_class), chosen, names, "test"),
    }
    height, width, channels = source.train.images.shape[1:]
    return Dataset(
        name=name,
        **splits,
        class_names=names,
        shape=(height, width, channels),
        fingerprint=source.fingerprint,
        split_hash=split_hash(splits),
        origin=source.origin,
        superclasses=tuple(source.superclasses[label] for label in chosen) if source.superclasses else (),
        duplicates=duplicates(splits),
        warnings=source.warnings,
    )


def choose_classes(names: tuple[str, ...], wanted: int | tuple[str, ...] | None) -> list[int]:
    """Labels of the wanted classes: all, the first n, or those named, in the order given.

    Raises:
        DataError: more classes than there are, an unknown name, a name twice, or fewer than two.
    """
    labels = list(range(len(names)))
    if len(names) < 2:
        raise DataError(f"The data have one class, {names[0]!r}: at least two are needed, each in a folder of its own.")
    if wanted is None:
        chosen = labels
    elif isinstance(wanted, int):
        if wanted > len(names):
            raise DataError(
                f"`data.classes` asks for {wanted} classes, but there are {len(names)}: ask for fewer, or all."
            )
        chosen = labels[:wanted]
    else:
        chosen = [_label(names, name) for name in wanted]
    if len(set(chosen)) < max(2, len(chosen)):
        raise DataError(f"`data.classes` must give at least two different classes, got {[names[i] for i in chosen]}.")
    return chosen


def stratified(
    labels: Labels, rows: Rows, chosen: list[int], share: float, seed: int, names: tuple[str, ...]
) -> tuple[Rows, Rows]:
    """Part a share of each class from the rest.

    Args:
        labels: (n,) labels of a pool.
        rows: Rows of the pool that take part.
        chosen: Labels of the classes that take part.
        share: How much of each class is held out: at least one image, never all.
        seed: Decides which.
        names: Names of the chosen classes, for errors.

    Returns:
        The rows that stay and those held out, both sorted.

    Raises:
        DataError: a class has fewer than two images.
    """
    held = []
    for label, name in zip(chosen, names, strict=True):
        members = rows[labels[rows] == label]
        if len(members) < 2:
            raise DataError(
                f"Class {name!r} has too few training images ({len(members)} left to split): it needs one for every "
                "split that is drawn from it. Add images, or leave the class out with `data.classes`."
            )
        count = min(max(round(share * len(members)), 1), len(members) - 1)
        held.append(np.random.default_rng([seed, label]).permutation(members)[:count])
    held_out = np.sort(np.concatenate(held))
    return np.setdiff1d(rows, held_out), held_out


def fold(dataset: Dataset, number: int, count: int, seed: int) -> Dataset:
    """One fold of stratified cross-validation: its part of the training images is held out for validation.

    All of the training images take part, those that were held out as well; official validation images do not.

    Args:
        dataset: As a run without folds has it; its test images stay as they are.
        number: Which fold, from 0.
        count: How many folds there are.
        seed: Decides which image is in which fold.

    Raises:
        DataError: a class has fewer training images than there are folds.
    """
    from sklearn.model_selection import StratifiedKFold

    parts = [dataset.train]
    if dataset.validation.pool is dataset.train.pool:
        parts.append(dataset.validation)
    rows, labels = (np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "labels"))
    order = np.argsort(rows)
    rows, labels = rows[order], labels[order]
    fewest = np.bincount(labels).argmin()
    if np.count_nonzero(labels == fewest) < count:
        raise DataError(
            f"Class {dataset.class_names[fewest]!r} has {np.count_nonzero(labels == fewest)} training images: too few "
            f"for {count} folds. Set `data.folds` lower, or leave the class out with `data.classes`."
        )
    folds = StratifiedKFold(count, shuffle=True, random_state=seed).split(rows, labels)
    parts = [Split(dataset.train.pool, rows[places], labels[places]) for places in [*folds][number]]
    given = replace(dataset, train=parts[0], validation=parts[1])
    return replace(given, split_hash=split_hash(given.splits), duplicates=duplicates(given.splits))


def split_hash(splits: Mapping[str, Split]) -> str:
    """64 hex digits over the pixels, labels and order of every split."""
    hasher = hashlib.sha256()
    for name, part in splits.items():
        hasher.update(f"{name} {len(part)}\n".encode())
        hasher.update(part.pool.digests[part.rows].tobytes())
        hasher.update(np.ascontiguousarray(part.labels, np.int32).data)
    return hasher.hexdigest()


def duplicates(splits: Mapping[str, Split]) -> dict[str, int]:
    """For each two splits how many images of the second have exact copies in the first."""
    hashes = {name: part.pool.digests[part.rows] for name, part in splits.items()}
    return {f"{a}/{b}": int(np.isin(hashes[b], hashes[a]).sum()) for a, b in combinations(hashes, 2)}


def _held_out(source: Source, chosen: list[int], config: DataConfig, names: tuple[str, ...]) -> tuple[Rows, Rows]:
    train = _rows(source.train, chosen)
    if source.test is not None:
        return train, _rows(source.test, chosen)
    return stratified(source.train.labels, train, chosen, config.test, TEST_SEED, names)


def _label(names: tuple[str, ...], name: str) -> int:
    if name in names:
        return names.index(name)
    near = difflib.get_close_matches(name, names, n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"classes are {', '.join(names[:10])}"
    raise DataError(f"There is no class {name!r}: {hint}{'' if near or len(names) <= 10 else ' …'}")


def _rows(pool: Pool, chosen: list[int]) -> Rows:
    return np.flatnonzero(np.isin(pool.labels, chosen)).astype(np.int64)


def _first(pool: Pool, rows: Rows, chosen: list[int], limit: int | None) -> Rows:
    if limit is None:
        return rows
    labels = pool.labels[rows]
    return np.sort(np.concatenate([rows[labels == label][:limit] for label in chosen]))


def _split(pool: Pool, rows: Rows, chosen: list[int], names: tuple[str, ...], split: str) -> Split:
    labels = np.full(max(int(pool.labels.max(initial=0)), *chosen) + 1, -1, np.int32)
    labels[chosen] = np.arange(len(chosen), dtype=np.int32)
    renumbered = labels[pool.labels[rows]]
    missing = np.flatnonzero(np.bincount(renumbered, minlength=len(chosen)) == 0)
    if len(missing):
        raise DataError(
            f"Class {names[missing[0]]!r} has no {split} images: add some, or leave it out with `data.classes`."
        )
    return Split(pool, rows, renumbered)
