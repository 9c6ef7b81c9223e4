"""Find the files of an official data set in the data root, packed or unpacked, or download them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinybench.core import paths
from tinybench.core.download import fetch
from tinybench.core.errors import DataError, MissingDataError
from tinybench.data import copies, decoded_cache, scan
from tinybench.data.archive import is_archive, open_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        folder: The folder in which the archive wraps its content, or in which it is unpacked.
        layout: How other copies are known.
    """

    file: str
    url: str
    known_hash: str
    folder: str
    layout: copies.Layout


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
    """Return the folder in which data sets are looked for, and to which they are downloaded; or an archive."""
    return Path(config.root).expanduser() if config.root else paths.cache_folder() / "downloads"


def find(official: OfficialArchive, request: LoadRequest) -> LocatedFiles:
    """Find the files of an official data set; download the archive where they are absent.

    Args:
        official: The archive to look for.
        request: Says in which folder, and whether it may be downloaded.

    Raises:
        DataError: The files are absent and cannot be downloaded, and the message says which file to put where; or
            there are several copies, of which none is official.
    """
    root = data_root(request.config)
    if root.is_file():
        if not is_archive(root):
            raise DataError(f"`data.root` is the file {root}, which is no .zip or .tar: name a folder or an archive.")
        return _locate_archive(root, official)
    target = root / official.file
    if target.is_file():
        return _locate_archive(target, official)
    candidates = [folder for folder in (root / official.folder, root) if official.layout.is_in_folder(folder)]
    similar = [folder for folder in candidates if _bears_another_name(folder, official.layout)]
    for folder in candidates:
        if folder not in similar:
            return _locate_folder(folder)
    found = copies.search(root, official.layout)
    located = _choose(found, official, request.name, root)
    if located is not None:
        return located
    way_out = (
        f"{_describe_others(similar, found)}Fetch {official.url} by hand and put it at {target}, name a copy, unpacked "
        "or packed, with `--data.root`, or take the embedded data set, which needs no download: `--dataset digits`."
    )
    if not request.download:
        raise MissingDataError(f"There is no {request.name} in {root}. {way_out}")
    fetch(official.url, target, official.known_hash, way_out=way_out, progress=request.progress)
    return _locate_archive(target, official)


def _choose(found: copies.Copies, official: OfficialArchive, name: str, root: Path) -> LocatedFiles | None:
    """Return the official archive if it is there under another name, else the only folder or the only archive.

    Raises:
        DataError: There are several copies, or the only archive is damaged.
    """
    algorithm, _, expected = official.known_hash.partition(":")
    for archive in found.archives:
        if decoded_cache.cached_file_hash(archive, algorithm) == expected:
            return _locate_archive(archive, official)
    if found.folders:
        return _locate_folder(_only(found.folders, name, root))
    usable = [archive for archive in found.archives if _holds(archive, official, damage_ends=len(found.archives) == 1)]
    return _locate_archive(_only(usable, name, root), official) if usable else None


def _only(found: Sequence[Path], name: str, root: Path) -> Path:
    """Return the path of a copy; raise DataError if there are several, besides links to the same one."""
    different = list({path.resolve(): path for path in reversed(found)}.values())[::-1]
    if len(different) > 1:
        raise DataError(
            f"There are {len(different)} copies of {name} in {root}: {', '.join(map(str, different))}. Name one of "
            f"them, such as `--data.root {different[0]}`."
        )
    return different[0]


def _holds(archive: Path, official: OfficialArchive, *, damage_ends: bool) -> bool:
    """Return whether an archive has the files of a data set; a damaged one is an error if `damage_ends`."""

    def find_folders() -> list[str]:
        with open_tree(archive) as tree:
            return official.layout.find_in_archive(tree.names)

    key = {"archive": decoded_cache.cached_file_hash(archive, "sha256"), "folders of": official.file, "rules": _RULES}
    try:
        return bool(decoded_cache.compute_once(key, find_folders))
    except DataError:
        if damage_ends:
            raise
        return False


def _bears_another_name(folder: Path, layout: copies.Layout) -> bool:
    """Return whether a folder, or the one around it, bears the name of a data set whose files have the same names."""
    return any(map(layout.is_another, folder.resolve().parts[-2:]))


def _describe_others(similar: Sequence[Path], found: copies.Copies) -> str:
    """Return a sentence about what might be taken for a copy, for people who wonder why it is not used; or nothing."""
    if similar:
        return f"{similar[0]} is another data set by its name, with files of the same names. "
    others = [*found.others, *found.archives]
    return f"{others[0]} bears its name, but does not have the files of the official archive. " if others else ""


def _locate_folder(folder: Path) -> LocatedFiles:
    files = scan.hash_listing(scan.list_files(folder))
    return LocatedFiles(folder, {"path": str(folder.resolve()), "files": files, "rules": _RULES})


def _locate_archive(path: Path, official: OfficialArchive) -> LocatedFiles:
    algorithm, _, expected = official.known_hash.partition(":")
    sha256 = decoded_cache.cached_file_hash(path, "sha256")
    if decoded_cache.cached_file_hash(path, algorithm) == expected:
        return LocatedFiles(path, {"archive": sha256}, sha256)
    difference = f"is not the official {official.file} but a different archive of the same layout (sha256 {sha256})"
    return LocatedFiles(path, {"archive": sha256, "rules": _RULES}, sha256, difference)
