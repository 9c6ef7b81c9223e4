"""Compare a restored store with the manifest of its backup: every digest of the database, every artifact's hash."""

from __future__ import annotations

from tinybench.service.backup import databases, store_content
from tinybench.service.backup.artifact_root import ArtifactRoot
from tinybench.service.backup.artifact_stores import ArtifactStore
from tinybench.service.backup.manifest import Manifest
from tinybench.service.backup.object_store import HashingWriter, copy
from tinybench.service.backup.restore_target import RestoreTarget


def compare_databases(target: RestoreTarget, manifest: Manifest, root: ArtifactRoot) -> list[str]:
    """Return in what the restored databases differ from the backup, for people; none if in nothing.

    Args:
        target: The restored databases.
        manifest: The manifest of the backup.
        root: Where the restored artifacts are.
    """
    with target.connect("runs") as connection:
        content = store_content.read(connection, root)
    if "users" in manifest.databases:
        with target.connect("users") as connection:
            content.setdefault("table", {}).update(databases.read_users(connection, root))
    return store_content.compare(manifest.content, content)


def compare_artifacts(artifacts: ArtifactStore, manifest: Manifest) -> list[str]:
    """Return in what the restored artifacts differ from the backup, for people; all of them are read again."""
    differences = []
    missing = set(manifest.artifacts)
    for file in artifacts.list_files():
        missing.discard(file.path)
        expected = manifest.artifacts.get(file.path)
        if expected is None:
            differences.append(f"artifact {file.path} was not backed up")
            continue
        writer = HashingWriter(None)
        with artifacts.open(file.path) as content:
            copy(content, writer)
        if writer.sha256 != expected.sha256:
            differences.append(f"artifact {file.path} differs")
    return differences + [f"artifact {path} is missing" for path in sorted(missing)]
