"""The names of data sets: registered ones, and folders of images by their path. Standard library only."""

from __future__ import annotations

import os

FOLDER_PREFIX = "folder:"
"""What stands before the path in the name of a data set that is a folder of images."""


def is_folder(dataset: str) -> bool:
    """Return whether a data set is a folder of images."""
    return dataset.startswith(FOLDER_PREFIX)


def make_absolute(dataset: str) -> str:
    """Return a folder of images by its whole path, so that it is the same from everywhere; other names as they are."""
    if not is_folder(dataset):
        return dataset
    path = os.path.expanduser(dataset.removeprefix(FOLDER_PREFIX))  # noqa: PTH111
    return FOLDER_PREFIX + os.path.abspath(path)  # noqa: PTH100 (keeps links)
