"""What lies where in a folder of pictures, and what is odd about it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from tinybench.core.errors import DataError
from tinybench.data import images, scan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# A class this many times larger than another is worth a word.
IMBALANCE = 3

_ALIASES = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
_EXPECTED = "expected one folder a class with JPEG, PNG, BMP or WebP pictures, optionally inside train/, val/ and test/"


@dataclass(frozen=True)
class Layout:
    """A folder of pictures as it was found.

    Attributes:
        classes: The class names, in order.
        members: For each split the label and the name of every picture, class by class.
        pictures: All picture files.
        warnings: What a person should know.
    """

    classes: tuple[str, ...]
    members: dict[str, list[tuple[int, str]]]
    pictures: tuple[scan.File, ...]
    warnings: tuple[str, ...]


def read_layout(root: Path) -> Layout:
    """Find splits, classes and pictures.

    Raises:
        DataError: not one folder a class, an empty one, or classes that differ between splits.
    """
    folders = _split_folders(root)
    classes = _classes(root, folders)
    listing = scan.files(root)
    pictures = tuple(file for file in listing if _suffix(file.name) in images.SUFFIXES)
    members = {split: _members(folder, classes, pictures) for split, folder in folders.items()}
    _check_members(root, folders, classes, members)
    return Layout(classes, members, pictures, tuple(_warnings(root, folders, classes, members, listing)))


def _split_folders(root: Path) -> dict[str, str]:
    """The folder of each split with a slash at its end; the root as "" where there are no splits."""
    tops = _folders(root)
    if "train" not in tops or not _folders(root / "train"):
        _refuse_without_train(root, tops)
        return {"train": ""}
    found = {}
    for split, aliases in _ALIASES.items():
        present = [alias for alias in aliases if alias in tops]
        if len(present) > 1:
            raise DataError(f"{root} has both {present[0]}/ and {present[1]}/: keep one of them.")
        if present:
            found[split] = f"{present[0]}/"
    return found


def _refuse_without_train(root: Path, tops: list[str]) -> None:
    splits = [alias for aliases in _ALIASES.values() for alias in aliases if alias in tops and _folders(root / alias)]
    if splits:
        raise DataError(f"{root} has {splits[0]}/ with classes in it but no train/ with classes: {_EXPECTED}.")


def _classes(root: Path, folders: dict[str, str]) -> tuple[str, ...]:
    of_split = {folder: _folders(root / folder) for folder in folders.values()}
    base = folders["train"]
    classes = of_split[base]
    for folder, names in of_split.items():
        if difference := sorted(set(names) ^ set(classes)):
            raise DataError(
                f"The classes in {root / folder} and {root / base} differ: {_some(difference)}. Every split needs "
                "the same class folders."
            )
    if not classes:
        raise DataError(f"{root / base} holds no class folder: {_EXPECTED}.")
    return tuple(classes)


def _members(folder: str, classes: tuple[str, ...], pictures: Sequence[scan.File]) -> list[tuple[int, str]]:
    label_of = {name: label for label, name in enumerate(classes)}
    found = []
    for picture in pictures:
        class_name, slash, _ = picture.name.removeprefix(folder).partition("/")
        if picture.name.startswith(folder) and slash and class_name in label_of:
            found.append((label_of[class_name], picture.name))
    return sorted(found)


def _check_members(
    root: Path, folders: dict[str, str], classes: tuple[str, ...], members: dict[str, list[tuple[int, str]]]
) -> None:
    for split, labelled in members.items():
        present = {label for label, _ in labelled}
        empty = [name for label, name in enumerate(classes) if label not in present]
        if empty:
            raise DataError(f"No pictures in {root / folders[split]} for {_some(empty)}: {_EXPECTED}.")


def _warnings(
    root: Path,
    folders: dict[str, str],
    classes: tuple[str, ...],
    members: dict[str, list[tuple[int, str]]],
    listing: Sequence[scan.File],
) -> Iterator[str]:
    if "validation" in folders and "test" not in folders:
        yield (
            f"{root} has {folders['validation']} but no test/: it is the held-out test set, and the images to select "
            "by are split off train/."
        )
    if folders["train"]:
        others = sorted(set(_folders(root)) - {folder.rstrip("/") for folder in folders.values()})
        if others:
            yield f"Folders beside train/ are left out: {_some(others)}."
    yield from _imbalance(classes, members["train"])
    unread = Counter(_suffix(file.name) for file in listing if _suffix(file.name) in images.UNREAD)
    for suffix, count in sorted(unread.items()):
        yield f"{count} {suffix} file(s) are left out: only JPEG, PNG, BMP and WebP are read."


def _imbalance(classes: tuple[str, ...], labelled: list[tuple[int, str]]) -> Iterator[str]:
    ranked = Counter(label for label, _ in labelled).most_common()
    (largest, most), (smallest, least) = ranked[0], ranked[-1]
    if most > IMBALANCE * least:
        yield (
            f"The classes are out of balance: {classes[largest]!r} has {most:,} training images, "
            f"{classes[smallest]!r} has {least:,}."
        )


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
