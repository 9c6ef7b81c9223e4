"""Search a folder for copies of an official data set: unpacked in other places, or packed under other names."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tinybench.data import scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_DEPTH = 4  # of the folders that are searched, as far as their names allow it
_ENTRIES = 10_000  # that are looked at in a folder: one with more is no folder that holds data sets
_ALL_ENTRIES = 200_000  # that are looked at in all

PACKED = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz", "_archive")  # the last is Keras's


@dataclass(frozen=True)
class Layout:
    """The names by which copies of a data set are known.

    Attributes:
        names: A regular expression for the names of folders and archives, in lower case without "-", "_", "." and
            spaces.
        others: One for names of similar data sets, which are not this one.
        marks: Patterns of files and, with a slash at their end, of folders that a copy has: one of these groups.
        packed: Endings of the names of archives.
    """

    names: str
    marks: tuple[tuple[str, ...], ...]
    others: str = r"(?!)"
    packed: tuple[str, ...] = PACKED

    def is_named(self, name: str) -> bool:
        """Return whether a folder or an archive bears the name of this data set."""
        return re.match(self.names, _plain(name)) is not None and not self.is_another(name)

    def is_another(self, name: str) -> bool:
        """Return whether a folder or an archive bears the name of a similar data set."""
        return re.match(self.others, _plain(name)) is not None

    def is_archive(self, name: str) -> bool:
        """Return whether a file is an archive that bears the name of this data set."""
        return name.lower().endswith(self.packed) and self.is_named(name)

    def is_in_folder(self, folder: Path) -> bool:
        """Return whether a folder has the files of this data set."""

        @cache
        def list_entries(prefix: str) -> list[str]:
            try:
                with os.scandir(folder / prefix) as entries:
                    return [f"{entry.name}/" if entry.is_dir() else entry.name for entry in islice(entries, _ENTRIES)]
            except OSError:
                return []

        return self._has_marks("", list_entries)

    def find_in_archive(self, names: Iterable[str]) -> list[str]:
        """Return the folders of an archive that have the files of this data set; "" is the archive itself.

        Args:
            names: The names of its members.
        """
        entries: dict[str, set[str]] = defaultdict(set)
        for name in names:
            parts = name.split("/")[: _DEPTH + 2]
            for depth, part in enumerate(parts):
                is_folder = depth < len(parts) - 1 or name.count("/") > depth
                entries["".join(f"{folder}/" for folder in parts[:depth])].add(f"{part}/" if is_folder else part)
        found: list[str] = []
        for folder in sorted(entries, key=lambda prefix: (prefix.count("/"), prefix)):
            skipped = any(map(folder.startswith, found)) or any(map(self.is_another, folder.split("/")))
            if not skipped and self._has_marks(folder, lambda prefix: entries.get(prefix, ())):
                found.append(folder)
        return [folder.rstrip("/") for folder in found]

    def _has_marks(self, prefix: str, list_entries: Callable[[str], Iterable[str]]) -> bool:
        return any(all(_has_mark(prefix, mark, list_entries) for mark in group) for group in self.marks)


@dataclass(frozen=True)
class Copies:
    """The copies of a data set that were found.

    Attributes:
        folders: Folders that have its files.
        archives: Archives that bear its name.
        others: Folders that bear its name but do not have its files.
    """

    folders: list[Path] = field(default_factory=list)
    archives: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)


def search(root: Path, layout: Layout) -> Copies:
    """Return the copies of a data set below a folder.

    Looked at are the folder, the folders in it, and below them only those that bear the name of the data set, with
    what is in them.
    """
    searcher = _Searcher(layout)
    searcher.search_folder(root, 0, layout.is_named(root.name))
    return searcher.copies


class _Searcher:
    """A search below one folder, which ends when it has looked at too many entries."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._remaining = _ALL_ENTRIES
        self.copies = Copies()

    def search_folder(self, folder: Path, depth: int, named: bool) -> bool:
        """Add the copies below a folder, and return whether there are any."""
        found = False
        for path, is_folder in self._list(folder):
            if is_folder:
                found = self._look_at(path, depth, named or self._layout.is_named(path.name)) or found
            elif self._layout.is_archive(path.name):
                self.copies.archives.append(path)
                found = True
        return found

    def _look_at(self, folder: Path, depth: int, named: bool) -> bool:
        """Add a folder if it is a copy, else the copies below it; return whether there are any."""
        if self._layout.is_another(folder.name):
            return False
        if named and self._layout.is_in_folder(folder):
            self.copies.folders.append(folder)
            return True
        found = (depth == 0 or (named and depth < _DEPTH)) and self.search_folder(folder, depth + 1, named)
        if not found and self._layout.is_named(folder.name):
            self.copies.others.append(folder)
        return found

    def _list(self, folder: Path) -> list[tuple[Path, bool]]:
        """Return the entries of a folder, sorted by name, and whether they are folders; none if it cannot be read."""
        try:
            with os.scandir(folder) as entries:
                limit = min(self._remaining, _ENTRIES)
                listed = sorted((entry.name, entry.is_dir()) for entry in islice(entries, limit))
        except OSError:
            return []
        self._remaining -= len(listed)
        return [(folder / name, is_folder) for name, is_folder in listed if not scan.is_left_by_system(name)]


def _has_mark(prefix: str, mark: str, list_entries: Callable[[str], Iterable[str]]) -> bool:
    """Return whether there is an entry, below folders if the pattern names any."""
    first, _, rest = mark.partition("/")
    if not rest:
        return any(fnmatchcase(entry, mark) for entry in list_entries(prefix))
    matching = [entry for entry in list_entries(prefix) if fnmatchcase(entry, f"{first}/")]
    return any(_has_mark(prefix + entry, rest, list_entries) for entry in matching)


def _plain(name: str) -> str:
    return re.sub(r"[-_. ]", "", name.casefold())
