"""Find the splits, classes and images in a folder with one folder per class."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from tinybench.core.count_text import describe_count
from tinybench.core.errors import DataError
from tinybench.core.name_text import clean_name
from tinybench.data import file_headers, images, scan, split_names
from tinybench.data.file_headers import FolderFiles
from tinybench.data.labelled_files import LabelledFiles, shorten_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

EXPECTED = (
    "expected one folder per class with JPEG, PNG, BMP, WebP or PPM images, optionally inside train/, val/ and test/, "
    "or a table of images and labels (`data.labels_file`)"
)

_MAX_DEPTH = 8  # of folders that hold nothing but one folder
# As in test1, trainA or val_2
_NUMBERED_SPLIT = re.compile(r"(?P<split>train|test|val|valid)[-_ ]?[0-9a-f]", re.IGNORECASE)
# As of data sets for segmentation and detection
_IMAGE_WORDS = re.compile(r"(images?|imgs?|pictures?|photos?|jpegimages)")
_ANNOTATION_WORDS = re.compile(
    r"(masks?|labels?|annotations?|segmentations?|segmentationclass|groundtruth|gt|bboxes|boxes)"
)
_SPLIT_PAIR = re.compile(r"(?P<split>[^=]*)=(?P<folder>.*)")


class NoClassFoldersError(DataError):
    """The images are not in folders of their classes: only a table can say what they show."""


def read_layout(files: FolderFiles, split_folders: str | Sequence[str] | None = None) -> LabelledFiles:
    """Find the splits, classes and images in a folder.

    Args:
        files: The files under the folder.
        split_folders: `split=folder` pairs; `none` if the folders at the top are classes; None to recognise splits by
            the names of their folders.

    Raises:
        NoClassFoldersError: There are no folders of classes.
        DataError: A class without images, or classes that differ between splits; or it cannot be told which folders
            are splits.
    """
    tree = _ImageTree(files)
    top = tree.enter_wrappers("", is_root=True)
    if split_folders is None:
        folders = _recognize_splits(tree, top)
    elif isinstance(split_folders, str):
        folders = {"train": top}
    else:
        folders = _given_splits(tree, split_folders)
    unlabelled = [folder for split, folder in folders.items() if split != "train" and not tree.subfolders(folder)]
    folders = {split: tree.enter_wrappers(path) for split, path in folders.items() if path not in unlabelled}
    classes = _class_names(tree, folders)
    members = {split: tree.list_members(folder, classes) for split, folder in folders.items()}
    _check_members(tree, folders, classes, members)
    warnings = (*_describe_layout(tree, top, folders, unlabelled), *_describe_inner_folders(folders, classes, members))
    unused = _count_unused(files, members, unlabelled)
    root = files.root
    return LabelledFiles(classes, members, lambda name: (root / name).read_bytes(), warnings, unused)


class _ImageTree:
    """The folders under a root, each by its path with a slash at the end; the root is the empty text."""

    def __init__(self, files: FolderFiles) -> None:
        self.root = files.root
        self.images = files.images
        folders = [name.rpartition("/")[0] for name in files.images]
        self._own_images = Counter(f"{folder}/" if folder else "" for folder in folders)

    def path(self, folder: str) -> Path:
        return self.root / folder

    def own_images(self, folder: str) -> int:
        """Return the number of images directly in a folder."""
        return self._own_images[folder]

    def subfolders(self, folder: str) -> list[str]:
        """Return the names of the folders in a folder, sorted."""
        entries = self.path(folder).iterdir()
        names = (entry.name for entry in entries if entry.is_dir() and not scan.is_left_by_system(entry.name))
        return sorted(names, key=scan.natural_key)

    def enter_wrappers(self, folder: str, *, is_root: bool = False) -> str:
        """Return the folder that holds the classes: an archive often wraps all in a folder that holds nothing else."""
        inner = self.subfolders(folder)
        if is_root and any(map(split_names.recognize_split, inner)):
            return folder
        entered = folder
        for _ in range(_MAX_DEPTH):  # a link may lead back to where it lies
            if len(inner) != 1 or self.own_images(entered):
                break
            entered = f"{entered}{inner[0]}/"
            inner = self.subfolders(entered)
            if is_root and any(map(split_names.recognize_split, inner)):
                return entered
        return entered if len(inner) > 1 else folder  # otherwise it is a class

    def list_members(self, folder: str, classes: Sequence[str]) -> list[tuple[int, str]]:
        """Return the label and the name of each image below the class folders of a folder, sorted."""
        labels = {name: label for label, name in enumerate(classes)}
        label_of = {name: labels[clean_name(name)] for name in self.subfolders(folder)}
        members = []
        for image in self.images:
            class_name, slash, _ = image.removeprefix(folder).partition("/")
            if image.startswith(folder) and slash and class_name in label_of:
                members.append((label_of[class_name], image))
        return sorted(members)


def _recognize_splits(tree: _ImageTree, top: str) -> dict[str, str]:
    """Return the folder of each split; `train` is the top where the classes are directly in it."""
    _refuse_annotations(tree, top, "none")
    split_of = {name: split_names.recognize_split(name) for name in tree.subfolders(top)}
    named = {split: [name for name in split_of if split_of[name] == split] for split in split_names.SPLITS}
    named = {split: names for split, names in named.items() if names}
    if "train" in named and any(tree.subfolders(f"{top}{name}/") for name in named["train"]):
        for split, names in named.items():
            if len(names) > 1:
                raise DataError(
                    f"{tree.path(top)} has both {names[0]}/ and {names[1]}/: keep one of them, or say which holds the "
                    f"{split} images, as in `--data.split_folders "
                    f"{','.join(f'{name}={folders[0]}' for name, folders in named.items())}`."
                )
        folders = {split: f"{top}{names[0]}/" for split, names in named.items()}
        pairs = [f"{split}={folder.rstrip('/')}" for split, folder in folders.items()]
        _refuse_annotations(tree, folders["train"], ",".join(pairs))
        return folders
    _refuse_splits_without_classes(tree, top, named)
    _refuse_unknown_splits(tree, top)
    return {"train": top}


def _refuse_splits_without_classes(tree: _ImageTree, top: str, named: dict[str, list[str]]) -> None:
    """Raise DataError where folders are named after splits, but cannot be used as such."""
    names = [name for names in named.values() for name in names]
    with_classes = [name for name in names if tree.subfolders(f"{top}{name}/")]
    if with_classes:
        raise DataError(
            f"{tree.path(top)} has {with_classes[0]}/ with classes in it but no train/ with classes: {EXPECTED}."
        )
    numbered = {name: match for name in tree.subfolders(top) if (match := _NUMBERED_SPLIT.fullmatch(name))}
    splits = {*named, *(split_names.recognize_split(match["split"]) for match in numbered.values())}
    if "train" in splits and len(splits) > 1:  # without training images, folders such as test1 and test2 are classes
        names = list(dict.fromkeys([*names, *numbered]))
        raise NoClassFoldersError(
            f"{', '.join(f'{name}/' for name in names)} in {tree.path(top)} hold images, not a folder per class: "
            "name a table of images and labels by `--data.labels_file`; if these are classes, say so by "
            "`--data.split_folders none`."
        )


def _refuse_unknown_splits(tree: _ImageTree, top: str) -> None:
    """Raise DataError where folders hold no images but folders of the same names: they may be splits or classes."""
    names = tree.subfolders(top)
    if len(names) < 2 or any(tree.own_images(f"{top}{name}/") for name in names):
        return
    inner = {name: set(tree.subfolders(f"{top}{name}/")) for name in names}
    counts = Counter(name for folders in inner.values() for name in folders)
    shared = sorted((name for name, count in counts.items() if count > 1), key=scan.natural_key)
    if shared and len(counts) > 1:
        raise DataError(
            f"{shorten_list([f'{name}/' for name in names])} in {tree.path(top)} hold no images of their own, but "
            f"folders of the same names ({shorten_list(shared)}): say which are splits, as in `--data.split_folders "
            f"{_example(names)}`, or that they are classes, by `--data.split_folders none`."
        )


def _example(names: Sequence[str]) -> str:
    """Return an example of `data.split_folders` with two of some folders, by what is in their names."""
    train = next((name for name in names if "train" in name.casefold()), None)
    tests = [name for name in names if name != train and ("test" in name.casefold() or "val" in name.casefold())]
    test = tests[0] if tests else next(name for name in reversed(names) if name != train)
    return f"train={train or next(name for name in names if name != test)},test={test}"


def _given_splits(tree: _ImageTree, pairs: Sequence[str]) -> dict[str, str]:
    """Return the folder of each split as a setting names it.

    Raises:
        DataError: There is no such split or folder, a split is named twice, or none is for training.
    """
    folders: dict[str, str] = {}
    for pair in pairs:
        match = _SPLIT_PAIR.fullmatch(pair)
        split, folder = (match["split"].strip(), match["folder"].strip().strip("/")) if match else ("", pair)
        recognized = split_names.recognize_split(split)
        if recognized is None or recognized in folders:
            raise DataError(
                f"Invalid value for `data.split_folders`: expected train=…, validation=… and test=…, each once, got "
                f"{pair!r}."
            )
        if not tree.path(folder).is_dir():
            raise DataError(f"Invalid value for `data.split_folders`: there is no folder {folder!r} in {tree.root}.")
        folders[recognized] = f"{folder}/" if folder not in ("", ".") else ""
    if "train" not in folders:
        raise DataError("Invalid value for `data.split_folders`: it names no train=….")
    return folders


def _class_names(tree: _ImageTree, folders: dict[str, str]) -> tuple[str, ...]:
    """Return the names of the class folders in order; raise DataError unless all splits have the same."""
    names_of = {folder: _clean_names(tree, folder) for folder in folders.values()}
    train = folders["train"]
    classes = names_of[train]
    if not classes:
        raise NoClassFoldersError(f"{tree.path(train)} holds no class folder: {EXPECTED}.")
    for folder, names in names_of.items():
        if difference := sorted(set(names) ^ set(classes)):
            raise DataError(
                f"The classes in {tree.path(folder)} and {tree.path(train)} differ: {shorten_list(difference)}. Every "
                "split needs the same class folders."
            )
    return tuple(classes)


def _refuse_annotations(tree: _ImageTree, folder: str, way_out: str) -> None:
    """Raise NoClassFoldersError where folders are named after images and their masks or boxes.

    Args:
        tree: The folders.
        folder: The one whose folders would be the classes.
        way_out: The value of `data.split_folders` by which they are.
    """
    spellings = {name: re.sub(r"[\W_]+", "", name.casefold()) for name in tree.subfolders(folder)}
    of_images = [name for name, spelling in spellings.items() if _IMAGE_WORDS.fullmatch(spelling)]
    of_annotations = [name for name, spelling in spellings.items() if _ANNOTATION_WORDS.fullmatch(spelling)]
    if of_images and of_annotations:
        raise NoClassFoldersError(
            f"{of_images[0]}/ and {of_annotations[0]}/ in {tree.path(folder)} look like images and their "
            "annotations, not like classes: give each class a folder, or name a table of images and labels by "
            f"`--data.labels_file`; if these are classes, say so by `--data.split_folders {way_out}`."
        )


def _clean_names(tree: _ImageTree, folder: str) -> list[str]:
    """Return the names of the class folders in a folder, in order; raise DataError where two look alike."""
    # Sorted when they are clean, so that a copy on another system gives the same labels
    cleaned = sorted(map(clean_name, tree.subfolders(folder)), key=scan.natural_key)
    twice = [name for name, count in Counter(cleaned).items() if count > 1]
    if twice:
        raise DataError(
            f"{tree.path(folder)} has two folders named {twice[0]!r}, which differ in how accents are encoded: merge "
            "them."
        )
    return cleaned


def _check_members(
    tree: _ImageTree, folders: dict[str, str], classes: tuple[str, ...], members: dict[str, list[tuple[int, str]]]
) -> None:
    """Raise DataError unless every class has an image in every split."""
    if not any(members.values()) and len(classes) < 2:
        raise NoClassFoldersError(f"No images in the folder of a class in {tree.root}: {EXPECTED}.")
    for split, labelled in members.items():
        present = {label for label, _ in labelled}
        empty = [name for label, name in enumerate(classes) if label not in present]
        if empty:
            raise DataError(f"No images in {tree.path(folders[split])} for {shorten_list(empty)}: {EXPECTED}.")


def _describe_layout(tree: _ImageTree, top: str, folders: dict[str, str], unlabelled: Sequence[str]) -> Iterator[str]:
    """Yield what is unusual about a layout and how it was understood."""
    if top:
        yield f"The classes are those in {tree.path(top)}, the only folder there."
    unusual = {
        split: folder
        for split, folder in folders.items()
        if folder != top and not split_names.is_standard(folder.removeprefix(top).rstrip("/"))
    }
    if unusual:
        yield f"{', '.join(f'{folder} holds the {split} images' for split, folder in unusual.items())}."
    if "validation" in folders and "test" not in folders:
        yield (
            f"{tree.root} has {folders['validation']} but no test/: it is the held-out test set, and the images to "
            "select by are split off train/."
        )
    for folder in unlabelled:
        yield f"{folder} has no class folders, and is left out: {describe_count(tree.own_images(folder), 'images')}."
    if folders["train"] != top:
        splits = {folder.removeprefix(top).partition("/")[0] for folder in (*folders.values(), *unlabelled)}
        if ignored := [name for name in tree.subfolders(top) if name not in splits]:
            yield f"Folders beside train/ are left out: {shorten_list(ignored)}."


def _describe_inner_folders(
    folders: dict[str, str], classes: Sequence[str], members: dict[str, list[tuple[int, str]]]
) -> Iterator[str]:
    """Yield that images are in folders inside those of their classes, which may be classes that were meant."""
    inner = [
        (classes[label], name)
        for split, labelled in members.items()
        for label, name in labelled
        if name.removeprefix(folders[split]).count("/") > 1
    ]
    if inner:
        class_name, name = inner[0]
        yield (
            f"{describe_count(len(inner), 'images')} in folders inside those of the classes, such as "
            f"{name.rpartition('/')[0]}/ of {class_name}: the outer folder is the class."
        )


def _count_unused(
    files: FolderFiles, members: dict[str, list[tuple[int, str]]], unlabelled: Sequence[str]
) -> dict[str, int]:
    """Return how many files are not used, by reason."""
    unused = {}
    labelled_images = {name for labelled in members.values() for _, name in labelled}
    left_out = [name for name in files.images if name not in labelled_images]
    without_label = sum(name.startswith(tuple(unlabelled)) for name in left_out) if unlabelled else 0
    if without_label:
        unused["images without labels"] = without_label
    if len(left_out) > without_label:
        unused["images outside the class folders"] = len(left_out) - without_label
    if files.others:
        unused[f"files that are not {images.FORMAT_NAMES} images ({file_headers.describe_others(files.others)})"] = len(
            files.others
        )
    return unused
