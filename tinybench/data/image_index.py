"""Find the image file that a table means: by its path or its name, with or without the suffix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from tinybench.core.errors import DataError
from tinybench.core.name_text import clean_name
from tinybench.data.split_names import recognize_split


class ImageIndex:
    """The names of images under a folder, by every way in which a table may write them.

    Args:
        names: The names of the images, relative to the folder.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(names)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for name in self.names:
            path = PurePosixPath(clean_name(name))
            for text in {path.name, path.stem}:
                self._by_name[text].append(name)

    def has(self, text: str) -> bool:
        """Return whether a text means an image, or several."""
        return bool(self.candidates(text))

    def find(self, text: str, split: str | None = None, folder: str = "") -> str | None:
        """Return the name of the image that a text means; None if there is none.

        Args:
            text: A path or a name, with or without the suffix. Leading folders may be missing on either side, but those
                that are there must agree.
            split: A split, which decides between images of the same name in folders that are named after splits.
            folder: The folder of the table, with a slash at its end, to which a path may be relative.

        Raises:
            DataError: It can be several images.
        """
        matches = self.candidates(f"{folder}{text}") if folder else []
        matches = matches or self.candidates(text)
        if len(matches) > 1 and split:
            matches = [name for name in matches if split in map(recognize_split, name.split("/")[:-1])] or matches
        if len(matches) > 1:
            raise DataError(
                f"{text!r} can be {matches[0]} or {matches[1]}: give the images their folders in the table, or "
                "other names."
            )
        return matches[0] if matches else None

    def candidates(self, text: str) -> list[str]:
        """Return the names of the images that a text may mean."""
        path = clean_name(text.strip()).replace("\\", "/").removeprefix("./").strip("/")
        *folders, last = path.split("/")
        matches = [name for name in self._by_name.get(last, []) if _agree(folders, clean_name(name).split("/")[:-1])]
        exact = [name for name in matches if clean_name(name) == path]
        return exact or matches


def _agree(one: list[str], other: list[str]) -> bool:
    """Return whether one of two lists of folders is the end of the other."""
    shared = min(len(one), len(other))
    return shared == 0 or one[-shared:] == other[-shared:]
