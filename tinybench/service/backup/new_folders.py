"""Leave no folder behind when what it was made for is refused."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


class NewFolders:
    """The folders of a path that do not exist yet.

    Args:
        path: A folder.
    """

    def __init__(self, path: Path) -> None:
        self._missing = [folder for folder in (path, *path.parents) if not folder.exists()]

    def remove(self) -> None:
        """Remove those that were made since and are empty."""
        for folder in self._missing:
            with suppress(OSError):
                folder.rmdir()
