"""Tell the class of each image of Tiny ImageNet from where it lies, and what is not used because it lies elsewhere.

Official and reorganised copies are read: `train/<wnid>/images/` or `train/<wnid>/`, and `val/images/` with
`val/val_annotations.txt`, or `val/<wnid>/`. A wnid is a WordNet id, which stands for a class in the names of files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinybench.core.count_text import describe_count
from tinybench.core.errors import DataError
from tinybench.core.name_text import clean_name
from tinybench.data import file_headers

if TYPE_CHECKING:
    from tinybench.data.archive import Tree

ANNOTATIONS = "val/val_annotations.txt"
WNIDS = "wnids.txt"

_BESIDE = "images beside train/ and val/"
_NO_CLASS_FOLDER = "images in train/, in no class folder"
_UNKNOWN_CLASS = f"images in folders of train/ that are no class of {WNIDS}"
_BESIDE_IMAGES = "images in a class folder of train/, beside its images/"
_DEEPER = "images deeper than train/<class>/images/"
_NO_CLASS = "images in val/ without a class"
_COPIES = "images of val/ that are in its class folders as well"
_NO_IMAGES = "files other than images"


@dataclass(frozen=True)
class LabelledNames:
    """The names of the images of both splits, by label, and of what is not used.

    Attributes:
        wnids: The wnids of the classes, in the order of their labels.
        train, val: (label, name) of each image.
        unused: The names of the files that are not used, by reason.
        absent: The file names of annotated validation images that are not there.
    """

    wnids: tuple[str, ...]
    train: list[tuple[int, str]] = field(default_factory=list)
    val: list[tuple[int, str]] = field(default_factory=list)
    unused: dict[str, list[str]] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    def describe_unused(self) -> str:
        """Return how many files are not used for each reason, with an example; empty if all are."""
        return "; ".join(
            f"{describe_count(len(names), reason)}, such as {clean_name(names[0])}"
            for reason, names in self.unused.items()
        )

    def warnings(self) -> tuple[str, ...]:
        """Return what people should know about files that are not used or absent."""
        lines = [f"Not used: {self.describe_unused()}."] if self.unused else []
        if self.absent:
            example = clean_name(self.absent[0])
            lines.append(f"{ANNOTATIONS} names images that are not there: {len(self.absent):,}, such as {example}.")
        return tuple(lines)


def label_names(tree: Tree) -> LabelledNames:
    """Return the label of each image, from the lists of the data set and from the folders that hold the images.

    Raises:
        DataError: A list is not text, or gives an image two classes.
    """
    files = [name.split("/") for name in tree.names if not name.lower().endswith(".txt")]
    wnids = _read_wnids(tree, files)
    annotations = _read_annotations(tree)
    labelled = LabelledNames(wnids, absent=_absent_images(annotations, files))
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    have_images_folder = {
        segments[1] for segments in files if len(segments) == 4 and segments[0] == "train" and _in_images(segments)
    }
    moved = {
        segments[-1] for segments in files if segments[0] == "val" and len(segments) > 2 and segments[1] in label_of
    }
    for segments in files:
        if segments[0] == "train":
            place = _place_in_train(segments, label_of, have_images_folder)
        elif segments[0] == "val":
            place = _place_in_val(segments, label_of, annotations, moved)
        elif segments[0] == "test" or not _is_image(segments):
            continue  # the official test images have no labels
        else:
            place = _BESIDE
        if isinstance(place, int):
            (labelled.train if segments[0] == "train" else labelled.val).append((place, "/".join(segments)))
        else:
            labelled.unused.setdefault(place, []).append("/".join(segments))
    return labelled


def sort_key(labelled: tuple[int, str]) -> tuple[int, list[int], str]:
    """Return the label, the numbers in the file name and the name of an image, by which images are sorted.

    Sorted by these, the images of all layouts have the same order.
    """
    label, name = labelled
    return label, [int(digits) for digits in re.findall(r"\d+", name.rsplit("/", 1)[-1])], name


def read_text(tree: Tree, name: str) -> str:
    """Return the content of a text file, without the mark that some editors put before it.

    Raises:
        DataError: It is not text.
    """
    try:
        return tree.read(name).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{name} of Tiny ImageNet is not text in UTF-8: take it from the official archive.") from None


def _read_wnids(tree: Tree, files: list[list[str]]) -> tuple[str, ...]:
    """Return the wnids in the order of the labels: those of the list, or else the sorted folders of training images."""
    listed = read_text(tree, WNIDS).split() if WNIDS in tree.names else []
    folders = {
        segments[1] for segments in files if segments[0] == "train" and len(segments) > 2 and _is_image(segments)
    }
    return tuple(dict.fromkeys(listed)) or tuple(sorted(folders))


def _read_annotations(tree: Tree) -> dict[str, str]:
    """Return the wnid of each validation image by file name."""
    annotations: dict[str, str] = {}
    if ANNOTATIONS not in tree.names:
        return annotations
    for line in read_text(tree, ANNOTATIONS).splitlines():
        file, wnid, *_ = [*(line.split("\t") if "\t" in line else line.split()), "", ""]
        if wnid and annotations.setdefault(file, wnid) != wnid:
            raise DataError(
                f"{ANNOTATIONS} gives {file!r} two classes, {annotations[file]} and {wnid}: take it from the official "
                "archive."
            )
    return annotations


def _absent_images(annotations: dict[str, str], files: list[list[str]]) -> tuple[str, ...]:
    there = {segments[-1] for segments in files if segments[0] == "val"}
    return tuple(file for file in annotations if file not in there)


def _place_in_train(segments: list[str], label_of: dict[str, int], have_images_folder: set[str]) -> int | str:
    """Return the label of a file in `train/`, or why it is not used."""
    if not _is_image(segments):
        return _NO_IMAGES
    if len(segments) < 3:
        return _NO_CLASS_FOLDER
    if segments[1] not in label_of:
        return _UNKNOWN_CLASS
    if len(segments) == 3:
        return _BESIDE_IMAGES if segments[1] in have_images_folder else label_of[segments[1]]
    return label_of[segments[1]] if len(segments) == 4 and _in_images(segments) else _DEEPER


def _place_in_val(
    segments: list[str], label_of: dict[str, int], annotations: dict[str, str], moved: set[str]
) -> int | str:
    """Return the label of a file in `val/`, or why it is not used; `moved` are those that class folders have."""
    if not _is_image(segments):
        return _NO_IMAGES
    if len(segments) > 2 and segments[1] in label_of:
        return label_of[segments[1]]
    if segments[-1] in moved:
        return _COPIES
    return label_of.get(annotations.get(segments[-1], ""), _NO_CLASS)


def _is_image(segments: list[str]) -> bool:
    return file_headers.has_image_suffix(segments[-1])


def _in_images(segments: list[str]) -> bool:
    return segments[2] == "images"
