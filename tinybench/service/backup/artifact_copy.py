"""Copy artifacts into a backup while they are being written."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from tinybench.service.backup.artifact_stores import ArtifactFile, ArtifactStore
from tinybench.service.backup.manifest import BackedUpFile
from tinybench.service.backup.object_store import ObjectWriter, StoredObject

_RECENT_NS = 5_000_000_000
_ROUNDS = 4
_PAUSE_SECONDS = 0.5


@dataclass
class ArtifactCopy:
    """The artifacts in a backup.

    Attributes:
        files: By their paths.
        objects: Stored sizes of their objects by name.
        unchanged: SHA-256 and size by fingerprint, for the next backup.
        hashed: Number of files that were read, because no earlier backup had them.
        changing: Paths of files that were being written to the end.
    """

    files: dict[str, BackedUpFile] = field(default_factory=dict)
    objects: dict[str, int] = field(default_factory=dict)
    unchanged: dict[str, tuple[str, int]] = field(default_factory=dict)
    hashed: int = 0
    changing: list[str] = field(default_factory=list)


class ArtifactCopier:
    """Copies artifacts to the objects of a backup folder.

    Args:
        artifacts: Where they are.
        address: The address of the artifacts, which is part of the fingerprints.
        writer: Stores them.
        unchanged: SHA-256 and size by fingerprint, of earlier backups.
    """

    def __init__(
        self, artifacts: ArtifactStore, address: str, writer: ObjectWriter, unchanged: Mapping[str, tuple[str, int]]
    ) -> None:
        self._artifacts = artifacts
        self._address = address
        self._writer = writer
        self._unchanged = unchanged
        self._copy = ArtifactCopy()

    def copy(self) -> ArtifactCopy:
        """Copy all artifacts; those that change meanwhile are copied again, so that few are caught half-written."""
        start_ns = time.time_ns()
        recent: list[ArtifactFile] = []
        for file in self._artifacts.list_files():
            copied = self._add(file)
            if copied is not None and copied.modified_ns > start_ns - _RECENT_NS:
                recent.append(copied)
        for _ in range(_ROUNDS):
            if not recent:
                break
            time.sleep(_PAUSE_SECONDS)
            recent = [changed for file in recent if (changed := self._copy_if_changed(file)) is not None]
        self._copy.changing = sorted(file.path for file in recent)
        return self._copy

    def _copy_if_changed(self, file: ArtifactFile) -> ArtifactFile | None:
        current = self._artifacts.look_up(file.path)
        return None if current is None or current.version == file.version else self._add(current)

    def _add(self, file: ArtifactFile) -> ArtifactFile | None:
        """Copy a file unless an earlier backup has it, and return it; None if it is gone."""
        fingerprint = self._fingerprint(file)
        earlier = self._unchanged.get(fingerprint)
        stored = self._writer.find(*earlier) if earlier is not None else None
        if stored is None:
            try:
                with self._artifacts.open(file.path) as content:
                    stored = self._writer.add(content)
            except FileNotFoundError:
                return None
            self._copy.hashed += 1
        self._record(file, fingerprint, stored)
        return file

    def _record(self, file: ArtifactFile, fingerprint: str, stored: StoredObject) -> None:
        self._copy.files[file.path] = BackedUpFile(stored.sha256, stored.size, stored.name, file.modified_ns)
        self._copy.objects[stored.name] = stored.stored_size
        # A file that was changed just now may change again within the resolution of its time
        if stored.size == file.size and file.modified_ns < time.time_ns() - _RECENT_NS:
            self._copy.unchanged[fingerprint] = (stored.sha256, stored.size)

    def _fingerprint(self, file: ArtifactFile) -> str:
        text = json.dumps([self._address, file.path, file.size, file.version])
        return hashlib.sha256(text.encode()).hexdigest()
