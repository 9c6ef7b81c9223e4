"""Find the splits, classes and images in a folder, and warn of what is unusual about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from tinybench.core.errors import DataError
from tinybench.data import images, scan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

IMBALANCE = 3  # a class this many times larger than another gives a warning

_ALIASES = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
_EXPECTED = "expected one folder per class with JPEG, PNG, BMP or WebP images, optionally inside train/, val/ and test/"


@dataclass(frozen=True)
class FolderLayout:
    """The content of a folder of images.

    Attributes:
        classes: The class names, in order.
        members: The label and the file name of every image of a split, class by class; by split.
        files: All image files.
        warnings: Lines to show once.
    """

    classes: tuple[str, ...]
    members: dict[str, list[tuple[int, str]]]
    files: tuple[scan.FileEntry, ...]
    warnings: tuple[str, ...]


def read_layout(root: Path) -> FolderLayout:
    """Find the splits, classes and images in a folder.

    Raises:
        DataError: Not one folder per class, an empty one, or classes that differ between splits.
    """
    folders = _split_folders(root)
    classes = _class_names(root, folders)
    listing = scan.list_files(root)
    files = tuple(file for file in listing if _suffix(file.name) in images.SUFFIXES)
    members = {split: _members(folder, classes, files) for split, folder in folders.items()}
    _check_members(root, folders, classes, members)
    return FolderLayout(classes, members, files, tuple(_warnings(root, folders, classes, members, listing)))


def _split_folders(root: Path) -> dict[str, str]:
    """Return the folder of each split with a slash at its end; "train" is "" where the classes are in the root."""
    subfolders = _subfolders(root)
    if "train" not in subfolders or not _subfolders(root / "train"):
        _refuse_splits_without_train(root, subfolders)
        return {"train": ""}
    folders = {}
    for split, aliases in _ALIASES.items():
        present = [alias for alias in aliases if alias in subfolders]
        if len(present) > 1:
            raise DataError(f"{root} has both {present[0]}/ and {present[1]}/: keep one of them.")
        if present:
            folders[split] = f"{present[0]}/"
    return folders


def _refuse_splits_without_train(root: Path, subfolders: list[str]) -> None:
    aliases = [alias for aliases in _ALIASES.values() for alias in aliases]
    splits = [alias for alias in aliases if alias in subfolders and _subfolders(root / alias)]
    if splits:
        raise DataError(f"{root} has {splits[0]}/ with classes in it but no train/ with classes: {_EXPECTED}.")


def _class_names(root: Path, folders: dict[str, str]) -> tuple[str, ...]:
    """Return the names of the class folders in order; raise DataError unless all splits have the same."""
    names_by_folder = {folder: _subfolders(root / folder) for folder in folders.values()}
    train = folders["train"]
    classes = names_by_folder[train]
    for folder, names in names_by_folder.items():
        if difference := sorted(set(names) ^ set(classes)):
            raise DataError(
                f"The classes in {root / folder} and {root / train} differ: {_shorten(difference)}. Every split needs "
                "the same class folders."
            )
    if not classes:
        raise DataError(f"{root / train} holds no class folder: {_EXPECTED}.")
    return tuple(classes)


def _members(folder: str, classes: tuple[str, ...], files: Sequence[scan.FileEntry]) -> list[tuple[int, str]]:
    """Return the label and the name of each image in the folder of a split, sorted."""
    label_of = {name: label for label, name in enumerate(classes)}
    members = []
    for file in files:
        class_name, slash, _ = file.name.removeprefix(folder).partition("/")
        if file.name.startswith(folder) and slash and class_name in label_of:
            members.append((label_of[class_name], file.name))
    return sorted(members)


def _check_members(
    root: Path, folders: dict[str, str], classes: tuple[str, ...], members: dict[str, list[tuple[int, str]]]
) -> None:
    """Raise DataError unless every class has an image in every split."""
    for split, labelled in members.items():
        present = {label for label, _ in labelled}
        empty = [name for label, name in enumerate(classes) if label not in present]
        if empty:
            raise DataError(f"No images in {root / folders[split]} for {_shorten(empty)}: {_EXPECTED}.")


def _warnings(
    root: Path,
    folders: dict[str, str],
    classes: tuple[str, ...],
    members: dict[str, list[tuple[int, str]]],
    listing: Sequence[scan.FileEntry],
) -> Iterator[str]:
    if "validation" in folders and "test" not in folders:
        yield (
            f"{root} has {folders['validation']} but no test/: it is the held-out test set, and the images to select "
            "by are split off train/."
        )
    if folders["train"]:
        ignored = sorted(set(_subfolders(root)) - {folder.rstrip("/") for folder in folders.values()})
        if ignored:
            yield f"Folders beside train/ are left out: {_shorten(ignored)}."
    yield from _imbalance_warning(classes, members["train"])
    unsupported = Counter(_suffix(file.name) for file in listing if _suffix(file.name) in images.UNSUPPORTED_SUFFIXES)
    for suffix, count in sorted(unsupported.items()):
        yield f"{count} {suffix} file(s) are left out: only JPEG, PNG, BMP and WebP are read."


def _imbalance_warning(classes: tuple[str, ...], labelled: list[tuple[int, str]]) -> Iterator[str]:
    ranked = Counter(label for label, _ in labelled).most_common()
    (largest, largest_count), (smallest, smallest_count) = ranked[0], ranked[-1]
    if largest_count > IMBALANCE * smallest_count:
        yield (
            f"The classes are out of balance: {classes[largest]!r} has {largest_count:,} training images, "
            f"{classes[smallest]!r} has {smallest_count:,}."
        )


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _shorten(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
