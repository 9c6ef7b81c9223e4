"""Take a backup of a tracking store while runs are being written to it."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.redaction import redact
from tinybench.service.backup import artifact_stores, databases, store_content
from tinybench.service.backup.artifact_copy import ArtifactCopier, ArtifactCopy
from tinybench.service.backup.artifact_root import ArtifactRoot
from tinybench.service.backup.artifact_stores import ArtifactStore, FolderArtifacts
from tinybench.service.backup.backup_folder import Backup, BackupFolder, write_description
from tinybench.service.backup.databases import DatabaseDump
from tinybench.service.backup.encryption import Encryption
from tinybench.service.backup.manifest import BackedUpFile, Index, Manifest
from tinybench.service.backup.object_store import ObjectWriter


@dataclass(frozen=True)
class BackupResult:
    """A backup that was just taken.

    Attributes:
        backup: The backup.
        notices: What it lacks, for people.
        hashed: Number of artifacts that were read; the others were unchanged.
        added_bytes: What the folder of backups grew by.
    """

    backup: Backup
    notices: tuple[str, ...]
    hashed: int
    added_bytes: int


def take(
    uri: str,
    destination: str,
    folder: BackupFolder,
    encryption: Encryption | None,
    *,
    leave_out_elsewhere: bool,
    on_message: Callable[[str], None],
) -> BackupResult:
    """Back up a store, and prove nothing: only a restore does.

    Args:
        uri: The database.
        destination: The folder or `s3://` address of the artifacts.
        folder: Where the backup goes; locked by the caller.
        encryption: Encrypts it; None for a backup that is not encrypted.
        leave_out_elsewhere: Whether runs whose artifacts are elsewhere are backed up without them.
        on_message: Receives a line before each step.

    Raises:
        ConfigError: The store is of a kind that cannot be backed up, or its folder is missing.
        TrackingError: The store cannot be read, or has artifacts elsewhere.
        OSError: The disk is full.
    """
    artifacts = artifact_stores.open_store(destination)
    artifacts.require_exists()
    if isinstance(artifacts, FolderArtifacts) and folder.path.resolve().is_relative_to(artifacts.folder.resolve()):
        raise ConfigError(f"Invalid value for `DEST`: {folder.path} is inside the artifacts, {artifacts.folder}.")
    folder.remove_leftovers()
    root = ArtifactRoot.of(destination)
    known_sizes, unchanged = _read_earlier(folder)
    writer = ObjectWriter(folder.objects, encryption, known_sizes)
    with folder.new_backup() as (name, staging):
        # The database first: what a run of the dump had logged by then is still there when artifacts are copied. The
        # other way round, the dump would hold runs that ended in between, without their last files.
        on_message(f"Dumping {redact(uri)} …")
        dumped = databases.dump(uri, staging, root)
        _check_elsewhere(dumped, destination, leave_out_elsewhere=leave_out_elsewhere)
        stored = {key: _store_database(file, writer) for key, file in dumped.files.items()}
        on_message(f"Copying the artifacts of {redact(destination)} …")
        copied = ArtifactCopier(artifacts, root.prefixes[0], writer, unchanged).copy()
        notices = _list_notices(dumped, copied, artifacts)
        manifest = Manifest(
            time=name,
            versions=_versions() | {"schema": dumped.schema},
            database_kind=databases.kind_of(uri),
            databases={key: file for key, (file, _) in stored.items()},
            content=dumped.content,
            artifact_prefixes=root.prefixes,
            artifacts=copied.files,
            notices=notices,
        )
        index = Index(
            time=name,
            counts=store_content.count(dumped.content) | {"files": len(copied.files)},
            size=sum(file.size for file in [*manifest.databases.values(), *copied.files.values()]),
            recipients=encryption.recipients if encryption else (),
            objects=copied.objects | {file.object: size for file, size in stored.values()},
            unchanged=copied.unchanged,
        )
        write_description(staging, manifest, index, encryption)
    return BackupResult(Backup(folder.path / name), notices, copied.hashed, writer.added_bytes)


def _store_database(file: Path, writer: ObjectWriter) -> tuple[BackedUpFile, int]:
    with file.open("rb") as content:
        stored = writer.add(content)
    file.unlink()
    return BackedUpFile(stored.sha256, stored.size, stored.name), stored.stored_size


def _read_earlier(folder: BackupFolder) -> tuple[dict[str, int], dict[str, tuple[str, int]]]:
    """Return the stored sizes of the objects of all backups, and what the newest knows of unchanged artifacts."""
    sizes: dict[str, int] = {}
    unchanged: dict[str, tuple[str, int]] = {}
    for backup in folder.list_backups():
        sizes |= backup.index.objects
        unchanged = {key: (sha256, size) for key, (sha256, size) in backup.index.unchanged.items()}
    return sizes, unchanged


def _check_elsewhere(dumped: DatabaseDump, destination: str, *, leave_out_elsewhere: bool) -> None:
    if dumped.outside and not leave_out_elsewhere:
        raise TrackingError(
            f"{len(dumped.outside)} runs or models have files outside of {redact(destination)}, such as "
            f"{redact(dumped.outside[0])}: correct --artifacts-destination, or back up without these files by "
            "--leave-out-elsewhere."
        )


def _list_notices(dumped: DatabaseDump, copied: ArtifactCopy, artifacts: ArtifactStore) -> tuple[str, ...]:
    notices = []
    if dumped.outside:
        notices.append(f"{len(dumped.outside)} runs or models have files elsewhere, which were left out.")
    folders = {str(folder) for path in copied.files for folder in PurePosixPath(path).parents}
    lost = sorted(version for version, path in dumped.versions.items() if path.rstrip("/") not in folders)
    if lost:
        notices.append(f"{len(lost)} registered versions have lost their files, such as {lost[0]}.")
    if copied.changing:
        notices.append(f"{len(copied.changing)} files were being written, such as {copied.changing[0]}.")
    links = artifacts.links if isinstance(artifacts, FolderArtifacts) else []
    if links:
        notices.append(f"{len(links)} symbolic links were left out, such as {links[0]}.")
    return tuple(notices)


def _versions() -> dict[str, str]:
    return {
        "tinybench": metadata.version("tinybench"),
        "mlflow": metadata.version("mlflow"),
        "python": platform.python_version(),
    }
