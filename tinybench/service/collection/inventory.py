"""Sum up the files of a destination by the run, logged model or trace that they belong to."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tinybench.service.collection.destination import Destination, PartialUpload, StoredFile
from tinybench.service.collection.layout import Owner, find_owner, is_artifact

MARKER = ".tinybench-store"
"""The file at the top of a destination that says to which database it belongs."""
_UPLOADING = ".artifact.uploading."  # MLflow's name of a file until all of it has arrived


@dataclass
class Folder:
    """The files of one owner.

    Attributes:
        owner: The run, logged model or trace.
        bytes: Their sizes.
        files: Their number.
        newest: When the newest of them was written, in seconds since 1970; 0 if there is none.
        is_foreign: There are files where MLflow puts none, such as those of its older file store.
    """

    owner: Owner
    bytes: int = 0
    files: int = 0
    newest: float = 0.0
    is_foreign: bool = False

    def add(self, file: StoredFile) -> None:
        """Count a file."""
        self.is_foreign = self.is_foreign or not is_artifact(file.path, self.owner.folder)
        if not file.path.endswith("/"):
            self.bytes += file.size
            self.files += 1
            self.newest = max(self.newest, file.modified)


@dataclass
class Scan:
    """The folders and files of a destination.

    Attributes:
        folders: The files of runs, logged models and traces, by their folder.
        uploads: What was sent in part.
        other_bytes: The sizes of files that have no owner; they are left alone.
    """

    folders: dict[str, Folder] = field(default_factory=dict)
    uploads: list[PartialUpload] = field(default_factory=list)
    other_bytes: int = 0


def scan(destination: Destination, locations: Iterable[str]) -> Scan:
    """Read the list of all files of a destination.

    Args:
        destination: The destination.
        locations: The folders of experiments in it.

    Raises:
        TrackingError: The destination cannot be read.
    """
    result = Scan(uploads=[*destination.uploads()])
    known: Sequence[str] = [*locations]
    for file in destination.files():
        owner = find_owner(file.path, known)
        if owner is None:
            result.other_bytes += 0 if file.path == MARKER else file.size
        else:
            result.folders.setdefault(owner.folder, Folder(owner)).add(file)
        if posixpath.basename(file.path).startswith(_UPLOADING):
            result.uploads.append(PartialUpload(file.path, file.size, file.modified))
    return result
