"""Find artifacts whose folder was moved: a store names the folder by its whole path as it was when a run began."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tinybench.core.redaction import redact
from tinybench.tracking import store


def local_folder(location: str) -> Path | None:
    """Return the folder of artifacts on a disk; None for artifacts of a server or in an object store."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(location) if not parts.scheme else None


def is_moved(location: str) -> bool:
    """Return whether the artifacts of a run, and those of all runs beside it, are not where the store says.

    While others are there, the artifacts of this one were deleted, or there never were any.
    """
    folder = local_folder(location)
    return folder is not None and not folder.exists() and not folder.parents[1].exists()


def find_moved(folder: Path, starts: Sequence[Path]) -> Path | None:
    """Return where a folder lies now; None if it is not found.

    Args:
        folder: Where it was, such as `/old/mlruns/1/<run id>/artifacts`.
        starts: Folders in which it is looked for, by the longest end of its path that is there: at least two names.
    """
    parts = folder.absolute().parts
    for start in starts:
        for number in range(1, len(parts) - 1):
            candidate = start.joinpath(*parts[number:])
            if candidate.is_dir():
                return candidate
    return None


def folders_beside(uri: str) -> list[Path]:
    """Return the folders in which the artifacts of a SQLite store are looked for; none for another store."""
    file = store.sqlite_path(uri)
    if file is None:
        return []
    folder = file.resolve().parent
    return [*dict.fromkeys([folder, Path.cwd(), folder.parent])]


def explain_absence(what: str, location: str, uri: str) -> str:
    """Return why artifacts cannot be read whose folder is not there, and the way out.

    Args:
        what: Such as `The artifacts of run 1234`.
        location: Where the store says that they are, on a disk.
        uri: The store.
    """
    folder = local_folder(location)
    assert folder is not None, "it is on a disk"
    reason = f"{what} are not at {folder}, where {redact(uri)} says"
    if store.sqlite_path(uri) is None:
        return f"{reason}: run this on the machine that has this folder, or put it back."
    moved = find_moved(folder, folders_beside(uri))
    if moved is None:
        return f"{reason}: put them back, or name the folder that has them now: {relocate_command(uri)} FOLDER"
    return f"{reason}, but at {moved}: the folder was moved. Have the store say so with: {relocate_command(uri)}"


def explain_experiment(name: str, location: str, uri: str) -> str:
    """Return that the artifacts of an experiment were moved, with the way out; empty if they were not."""
    folder = local_folder(location)
    if folder is None or folder.exists():
        return ""
    moved = find_moved(folder, folders_beside(uri))
    if moved is None:
        return ""  # no run has written any yet
    return (
        f"The artifacts of the experiment {name!r} are not at {folder}, where {redact(uri)} says, but at {moved}: the "
        f"folder was moved. Have the store say so with: {relocate_command(uri)}"
    )


def relocate_command(uri: str) -> str:
    """Return the command that corrects the locations of a store."""
    is_default = uri == store.default_uri()
    return "tinybench relocate" if is_default else f"tinybench relocate --uri {shlex.quote(redact(uri))}"
