"""Where the files of an official data set are: in the data root, packed or unpacked, or else at their address."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinybench.core import paths
from tinybench.core.download import fetch
from tinybench.core.errors import AbsentError
from tinybench.data import decoded_cache, scan

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinybench.config.sections import DataConfig
    from tinybench.data.dataset_registry import Request


@dataclass(frozen=True)
class Official:
    """An official archive.

    Attributes:
        file: Its name.
        url: Its address.
        known_hash: "algorithm:hex digits".
        folder: The folder that it wraps around its content, or empty.
    """

    file: str
    url: str
    known_hash: str
    folder: str = ""


@dataclass(frozen=True)
class Found:
    """Files that are there.

    Attributes:
        path: The archive, or the folder it was unpacked to.
        key: What decides their content, for the cache.
        fingerprint: sha256 of the archive; None for a folder.
        warnings: Lines to show once.
    """

    path: Path
    key: dict[str, Any]
    fingerprint: str | None = None
    warnings: tuple[str, ...] = ()


def data_root(config: DataConfig) -> Path:
    """The folder that holds the data, and that downloads go to."""
    return Path(config.root).expanduser() if config.root else paths.cache() / "downloads"


def find(official: Official, request: Request, recognise: Callable[[Path], bool]) -> Found:
    """The files of an official data set, fetched where they are not there.

    Args:
        official: What to look for.
        request: Says where, and whether it may be fetched.
        recognise: Whether a folder holds the unpacked data set.

    Raises:
        DataError: not there and not to be had; the message says what to put where.
    """
    root = data_root(request.config)
    target = root / official.file
    if target.is_file():
        return _packed(target, official)
    for folder in (root / official.folder, root):
        if folder.is_dir() and recognise(folder):
            return Found(folder, {"path": str(folder.resolve()), "files": scan.fingerprint(scan.files(folder))})
    way_out = (
        f"Fetch {official.url} by hand and put it at {target}, or take the embedded data set, which needs no download: "
        "`--dataset digits`."
    )
    if not request.download:
        raise AbsentError(f"There is no {request.name} in {root}. {way_out}")
    fetch(official.url, target, official.known_hash, way_out=way_out, progress=request.progress)
    return _packed(target, official)


def _packed(path: Path, official: Official) -> Found:
    algorithm, _, expected = official.known_hash.partition(":")
    sha256 = decoded_cache.file_hash(path, "sha256")
    warnings: tuple[str, ...] = ()
    if decoded_cache.file_hash(path, algorithm) != expected:
        warnings = (
            f"{path} is not the official {official.file} but a different archive of the same layout (sha256 {sha256}): "
            "scores are not comparable with those on the official data.",
        )
    return Found(path, {"archive": sha256}, sha256, warnings)
