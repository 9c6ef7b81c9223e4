"""Read every object of a backup again, and compare it with what was recorded when it was taken."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from tinybench.core.errors import DataError
from tinybench.service.backup.backup_folder import Backup
from tinybench.service.backup.encryption import Identity
from tinybench.service.backup.object_store import ObjectReader


@dataclass
class Verified:
    """The result of verifying a backup.

    Attributes:
        objects: Number of objects, each of which may be several files.
        files: Number of files, databases included.
        size: The bytes of these files.
        damaged: A line for each object that is missing or damaged, with the files that it is.
    """

    objects: int = 0
    files: int = 0
    size: int = 0
    damaged: list[str] = field(default_factory=list)


def verify(backup: Backup, identity: Identity | None) -> Verified:
    """Compare the SHA-256 of every object of a backup with its manifest; nothing is written.

    Args:
        backup: The backup.
        identity: Decrypts it; None if it is not encrypted.

    Raises:
        DataError: Its manifest or index is damaged.
        ConfigError: It was encrypted to others, or there is no identity.
    """
    manifest = backup.read_manifest(identity)
    files = {f"the database {name}": file for name, file in manifest.databases.items()} | manifest.artifacts
    labels = defaultdict(list)
    for label, file in files.items():
        labels[file.object, file.sha256].append(label)
    _ = backup.index  # raises if it is damaged
    damaged = []
    reader = ObjectReader(backup.folder.parent / "objects", identity)
    for (name, sha256), paths in labels.items():
        try:
            reader.copy_to(None, name, sha256, ", ".join(paths))
        except DataError as error:
            damaged.append(str(error))
    return Verified(len(labels), len(files), sum(file.size for file in files.values()), damaged)
