"""Journals that no process of tinybench wrote, or that a machine without its store did."""

from __future__ import annotations

import hashlib
import uuid
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mlflow.entities import Run, ViewType
from mlflow.tracking import MlflowClient

from tinybench.tracking import tags
from tinybench.tracking.journal.entry_file import EntryFile
from tinybench.tracking.store_writer import StoreWriter

NAME = "00000001-0123456789ab"


def offline(uri: str) -> StoreWriter:
    """A writer whose entries stay in its journal."""
    return StoreWriter(uri, None, offline=True)


def runs_of(client: MlflowClient, key: str) -> list[Run]:
    """The runs of a store that have a key."""
    return list(client.search_runs(["0", "1"], f"tags.`{tags.KEY}` = '{key}'", ViewType.ACTIVE_ONLY))


def created(run: str) -> dict[str, Any]:
    """The entry that creates a run."""
    return {"do": "create", "run": run, "experiment": {"id": "0"}, "name": "n", "tags": {}, "at": 1}


def write_journal(
    folder: Path,
    entries: Iterable[dict[str, Any]],
    uri: str,
    files: Sequence[bytes] = (),
    sent: dict[str, Any] | None = None,
) -> Path:
    """A journal whose files say what they are told, whether or not tinybench would write that."""
    (folder / "files").mkdir(parents=True)
    about = {"version": 1, "id": uuid.uuid4().hex, "uri": uri, "offline": True}
    for name, items in (("about", [about]), ("entries", entries), ("sent", [sent] if sent is not None else [])):
        file = EntryFile(folder / name)
        for item in items:
            file.append(item)
        file.close()
    for content in files:
        (folder / "files" / hashlib.sha256(content).hexdigest()).write_bytes(content)
    return folder


def zipped(folder: Path, file: Path) -> Path:
    """A bundle with a journal, as a stranger may pack it."""
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, f"{NAME}/{path.relative_to(folder).as_posix()}")
    return file
