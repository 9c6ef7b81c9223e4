"""Find the image file that a table means: by its path, its name, or its name without the suffix."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from tinybench.core.errors import DataError
from tinybench.core.name_text import clean_name


class ImageIndex:
    """The names of images under a folder, by every way in which a table may write them.

    Args:
        names: The names of the images, relative to the folder.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_text: dict[str, list[str]] = defaultdict(list)
        for name in names:
            path = PurePosixPath(clean_name(name))
            without_suffix = str(path.with_suffix(""))
            for text in {str(path), path.name, without_suffix, path.stem}:
                self._by_text[text].append(name)

    def has(self, text: str) -> bool:
        """Return whether a text means an image, or several."""
        return bool(self._candidates(text))

    def find(self, text: str, folder: str = "") -> str | None:
        """Return the name of the image that a text means; None if there is none.

        Args:
            text: A path, in which folders that are not there do not matter, or a name, with or without its suffix.
            folder: A folder, which decides between images of the same name.

        Raises:
            DataError: It can be several images.
        """
        found = self._candidates(text)
        if len(found) > 1 and folder:
            found = [name for name in found if name.startswith(folder)] or found
        if len(found) > 1:
            raise DataError(
                f"{text!r} can be {found[0]} or {found[1]}: give the images their folders in the table, or other names."
            )
        return found[0] if found else None

    def _candidates(self, text: str) -> list[str]:
        path = clean_name(text.strip()).replace("\\", "/").removeprefix("./").strip("/")
        whole = self._by_text.get(path, [])
        if len(whole) > 1 and (exact := [name for name in whole if clean_name(name) == path]):
            return exact
        return whole or self._by_text.get(path.rpartition("/")[2], []) if path else []
