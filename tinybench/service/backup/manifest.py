"""The manifest of a backup: every file with its SHA-256, and the digest of every run; and the index beside it.

The manifest is encrypted with the backup. The index never is: it says what the list of backups shows, what pruning must
keep, and which files need not be read again, without names of runs or files.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import Any

from tinybench.core.errors import DataError
from tinybench.service.backup.store_content import StoreContent

FORMAT = 1
"""Number of the format of manifests and indexes, raised when an older tinybench could not restore a newer backup."""


@dataclass(frozen=True)
class BackedUpFile:
    """A file of a backup.

    Attributes:
        sha256: The SHA-256 of its content.
        size: Its bytes.
        object: The name of the object with its content.
        modified_ns: When it was changed last, in nanoseconds since 1970; None if that does not matter.
    """

    sha256: str
    size: int
    object: str
    modified_ns: int | None = None


@dataclass(frozen=True)
class Manifest:
    """The contents of a backup.

    Attributes:
        time: When it began, in UTC.
        versions: Versions of tinybench, MLflow and Python, and of the database's schema.
        database_kind: `sqlite` or `postgresql`.
        databases: The files of the databases, `runs` and, of a SQLite store with users, `users`.
        content: Digests of what the databases hold.
        artifact_prefixes: How the databases spell the place of the artifacts.
        artifacts: The artifacts by their paths.
        notices: What the backup lacks, for people.
        format: The number of the format.
    """

    time: str
    versions: dict[str, str]
    database_kind: str
    databases: dict[str, BackedUpFile]
    content: StoreContent
    artifact_prefixes: tuple[str, ...]
    artifacts: dict[str, BackedUpFile]
    notices: tuple[str, ...] = ()
    format: int = FORMAT

    def to_json(self) -> str:
        """Return the manifest as JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Return the manifest that `to_json` wrote.

        Raises:
            DataError: A newer tinybench wrote it, or a file would be written outside of its folder.
        """
        values = json.loads(text)
        check_format(values)
        for name in ("databases", "artifacts"):
            values[name] = {path: BackedUpFile(**file) for path, file in values[name].items()}
        for path in values["artifacts"]:
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\0" in path:
                raise DataError(f"The manifest names a file outside of the artifacts: {path!r}.")
        values["artifact_prefixes"] = tuple(values["artifact_prefixes"])
        values["notices"] = tuple(values["notices"])
        return cls(**values)


@dataclass(frozen=True)
class Index:
    """The summary of a backup, which is read without its manifest.

    Attributes:
        time: When it began, in UTC.
        counts: Numbers of runs, metric points and so on.
        size: The bytes of all its files.
        recipients: Who can read it; empty if it is not encrypted.
        objects: Stored sizes of its objects by name.
        unchanged: SHA-256 and size of artifacts by a fingerprint of path, size and time of change.
        format: The number of the format.
    """

    time: str
    counts: dict[str, int]
    size: int
    recipients: tuple[str, ...]
    objects: dict[str, int]
    unchanged: dict[str, tuple[str, int]] = field(default_factory=dict)
    format: int = FORMAT

    def to_json(self) -> str:
        """Return the index as JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Index:
        """Return the index that `to_json` wrote.

        Raises:
            DataError: A newer tinybench wrote it.
        """
        values = json.loads(text)
        check_format(values)
        values["recipients"] = tuple(values["recipients"])
        return cls(**values)


def check_format(values: dict[str, Any]) -> None:
    """Raise if a newer tinybench wrote a manifest or an index.

    Raises:
        DataError: It did.
    """
    if values.get("format") != FORMAT:
        raise DataError(
            f"The backup has format {values.get('format')}, this tinybench reads format {FORMAT}: install a newer one."
        )
