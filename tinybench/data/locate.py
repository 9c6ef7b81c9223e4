"""Find the files of an official data set in the data root, packed or unpacked, or download them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinybench.core import paths
from tinybench.core.download import fetch
from tinybench.core.errors import MissingDataError
from tinybench.data import decoded_cache, scan

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinybench.config.sections import DataConfig
    from tinybench.data.load_request import LoadRequest

# Counts the rules by which files are chosen from copies that may hold others; a part of the keys of their caches
_RULES = 2


@dataclass(frozen=True)
class OfficialArchive:
    """The archive in which a data set is published.

    Attributes:
        file: Its file name.
        url: Its address.
        known_hash: "algorithm:hex digits".
        folder: The folder in which the archive wraps its content, or empty.
    """

    file: str
    url: str
    known_hash: str
    folder: str = ""


@dataclass(frozen=True)
class LocatedFiles:
    """The files of a data set on this machine.

    Attributes:
        path: The archive, or the folder into which it was unpacked.
        key: What decides the content of the files, as part of a cache key.
        fingerprint: SHA-256 of the archive; None for a folder.
        difference: How the archive differs from the official one, as the end of a sentence; empty if it does not.
    """

    path: Path
    key: dict[str, Any]
    fingerprint: str | None = None
    difference: str = ""


def data_root(config: DataConfig) -> Path:
    """Return the folder in which data sets are looked for, and to which they are downloaded."""
    return Path(config.root).expanduser() if config.root else paths.cache_folder() / "downloads"


def find(official: OfficialArchive, request: LoadRequest, recognise: Callable[[Path], bool]) -> LocatedFiles:
    """Find the files of an official data set; download the archive where they are absent.

    Args:
        official: The archive to look for.
        request: Says in which folder, and whether it may be downloaded.
        recognise: Returns whether a folder holds the unpacked data set.

    Raises:
        DataError: The files are absent and cannot be downloaded; the message says which file to put where.
    """
    root = data_root(request.config)
    target = root / official.file
    if target.is_file():
        return _locate_archive(target, official)
    for folder in (root / official.folder, root):
        if folder.is_dir() and recognise(folder):
            files = scan.hash_listing(scan.list_files(folder))
            return LocatedFiles(folder, {"path": str(folder.resolve()), "files": files, "rules": _RULES})
    way_out = (
        f"Fetch {official.url} by hand and put it at {target}, or take the embedded data set, which needs no download: "
        "`--dataset digits`."
    )
    if not request.download:
        raise MissingDataError(f"There is no {request.name} in {root}. {way_out}")
    fetch(official.url, target, official.known_hash, way_out=way_out, progress=request.progress)
    return _locate_archive(target, official)


def _locate_archive(path: Path, official: OfficialArchive) -> LocatedFiles:
    algorithm, _, expected = official.known_hash.partition(":")
    sha256 = decoded_cache.cached_file_hash(path, "sha256")
    if decoded_cache.cached_file_hash(path, algorithm) == expected:
        return LocatedFiles(path, {"archive": sha256}, sha256)
    difference = f"is not the official {official.file} but a different archive of the same layout (sha256 {sha256})"
    return LocatedFiles(path, {"archive": sha256, "rules": _RULES}, sha256, difference)
