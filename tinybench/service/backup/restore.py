"""Restore a backup to a new store, and compare what was restored with what was backed up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from sqlalchemy.exc import SQLAlchemyError

from tinybench.core.errors import ConfigError, DataError, TrackingError
from tinybench.core.redaction import redact
from tinybench.service.backup import artifact_stores, proof, store_content
from tinybench.service.backup.artifact_root import ArtifactRoot
from tinybench.service.backup.artifact_stores import UNFINISHED, ArtifactStore
from tinybench.service.backup.backup_folder import Backup
from tinybench.service.backup.encryption import Identity
from tinybench.service.backup.manifest import BackedUpFile, Manifest
from tinybench.service.backup.object_store import ObjectReader
from tinybench.service.backup.restore_target import RestoreTarget, target_at
from tinybench.tracking import store

if TYPE_CHECKING:
    from tinybench.service.backup.champion_check import CheckedChampion


@dataclass
class Restored:
    """A restored store.

    Attributes:
        backup: The backup.
        counts: Numbers of runs, metric points and so on that were compared.
        notices: What the backup lacks, for people.
        champions: The champions that were loaded.
        unrecorded: Why the proof could not be written into the backup; empty if it was.
    """

    backup: Backup
    counts: dict[str, int]
    notices: tuple[str, ...]
    champions: list[CheckedChampion] = field(default_factory=list)
    unrecorded: str = ""

    @property
    def is_proved(self) -> bool:
        """Whether each champion predicts as it did; the rest has been compared in any case."""
        return all(champion.passed for champion in self.champions)


def restore(
    backup: Backup, uri: str, destination: str, identity: Identity | None, on_message: Callable[[str], None]
) -> Restored:
    """Restore a backup to a new store and prove it.

    What was restored is removed if it does not equal the backup. A champion that cannot be loaded, or predicts
    otherwise, leaves the store as it is, since it is what was backed up, and the backup unproved.

    Args:
        backup: The backup.
        uri: A database that does not exist yet, or is empty.
        destination: A folder or `s3://` address without files.
        identity: Decrypts the backup; None if it is not encrypted.
        on_message: Receives a line before each step.

    Raises:
        ConfigError: The target is not new, or is of another kind than the backup.
        DataError: The backup is damaged.
        TrackingError: The target cannot be written to, or what was restored differs from the backup.
    """
    manifest = backup.read_manifest(identity)
    artifacts = artifact_stores.open_store(destination)
    target = target_at(uri)
    _check_target(manifest, target, artifacts, uri, destination)
    root = ArtifactRoot.of(destination)
    reader = ObjectReader(backup.folder.parent / "objects", identity)
    try:
        artifacts.write(UNFINISHED, lambda file: None)
        on_message(f"Restoring {len(manifest.artifacts):,} artifacts to {redact(destination)} …")
        for path, file in manifest.artifacts.items():
            artifacts.write(path, partial(_fill, reader, file, path), file.modified_ns)
        on_message(f"Restoring the database to {redact(uri)} …")
        target.load({name: partial(_fill, reader, file, name) for name, file in manifest.databases.items()})
        _move_addresses(target, ArtifactRoot(manifest.artifact_prefixes), root)
        on_message("Comparing with the backup …")
        _require_equal(
            [*proof.compare_databases(target, manifest, root), *proof.compare_artifacts(artifacts, manifest)]
        )
    except BaseException:
        _remove(target, artifacts, manifest)
        raise
    counts = store_content.count(manifest.content) | {"files": len(manifest.artifacts)}
    restored = Restored(backup, counts, manifest.notices)
    restored.champions = _check_champions(target, artifacts, root, manifest, on_message)
    target.publish()
    artifacts.remove(UNFINISHED)
    if restored.is_proved:
        _record_proof(restored)
    return restored


def _check_target(
    manifest: Manifest, target: RestoreTarget, artifacts: ArtifactStore, uri: str, destination: str
) -> None:
    kind = uri.partition(":")[0].partition("+")[0]
    if kind != manifest.database_kind:
        raise ConfigError(
            f"Invalid value for `--backend-store-uri`: the backup is of a {manifest.database_kind} database, got "
            f"{redact(uri)}. Restore it to one of its kind; tinybench copy brings runs to another."
        )
    target.require_empty()
    if artifacts.look_up(UNFINISHED) is not None:
        raise ConfigError(
            f"Invalid value for `--artifacts-destination`: {redact(destination)} is what a restore left that was "
            "killed. Delete it, then try again."
        )
    if next(iter(artifacts.list_files()), None) is not None:
        raise ConfigError(
            f"Invalid value for `--artifacts-destination`: expected a new or empty one, got {redact(destination)} with "
            "files. A restore overwrites nothing."
        )


def _fill(reader: ObjectReader, file: BackedUpFile, label: str, target: BinaryIO) -> None:
    reader.copy_to(target, file.object, file.sha256, label)


def _move_addresses(target: RestoreTarget, before: ArtifactRoot, after: ArtifactRoot) -> None:
    try:
        with target.connect("runs") as connection:
            before.move(connection, after)
    except SQLAlchemyError as error:
        raise TrackingError(
            f"Cannot change the addresses of artifacts to {after.prefixes[0]}: {store.describe_error(error)}"
        ) from error


def _require_equal(differences: list[str]) -> None:
    if differences:
        raise DataError(
            f"The restored store differs from the backup in {len(differences)} points: "
            f"{'; '.join(differences[:5])}. It has been removed."
        )


def _check_champions(
    target: RestoreTarget,
    artifacts: ArtifactStore,
    root: ArtifactRoot,
    manifest: Manifest,
    on_message: Callable[[str], None],
) -> list[CheckedChampion]:
    if not any(alias.endswith("@champion") for alias in manifest.content.get("alias", {})):
        return []
    on_message("Loading the champions …")
    from tinybench.service.backup.champion_check import ChampionChecker  # imports Keras

    return list(ChampionChecker(target.uri, artifacts, root, manifest).check_all())


def _remove(target: RestoreTarget, artifacts: ArtifactStore, manifest: Manifest) -> None:
    with suppress(Exception):  # the error that led here is the one to tell
        target.clear()
    with suppress(Exception):
        for path in manifest.artifacts:
            artifacts.remove(path)
        artifacts.remove(UNFINISHED)
        artifacts.remove_new_folders()


def _record_proof(restored: Restored) -> None:
    values: dict[str, Any] = {
        "proved_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "compared": restored.counts,
        "champions": [champion.to_dict() for champion in restored.champions],
    }
    try:
        restored.backup.write_proof(values)
    except OSError as error:
        restored.unrecorded = str(error.strerror or error)
