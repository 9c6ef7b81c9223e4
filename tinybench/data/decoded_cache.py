"""Data sets decoded once: memory-mapped uint8 files that a later start opens in an instant.

An entry is a folder of .npy files with a `meta.json`. It is built in a sibling folder and renamed, so that it
is there whole or not at all; its key is a hash of everything that decides what is in it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinybench.core import cache, paths
from tinybench.core.errors import DataError
from tinybench.data import fingerprint as digests
from tinybench.data.dataset import Pool, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FORMAT = 1

_SPLITS = ("train", "validation", "test")
_PARTS = ("images", "labels", "digests")
_META = "meta.json"


@dataclass(frozen=True)
class Contents:
    """What a source says about the pools that it has written.

    Attributes:
        class_names: One name a label.
        superclasses: For each label the name of its superclass, or empty.
        fingerprint: Hash of the archive; None to take that of the content.
        warnings: Lines to show at every start.
    """

    class_names: tuple[str, ...]
    superclasses: tuple[str, ...] = ()
    fingerprint: str | None = None
    warnings: tuple[str, ...] = ()


def source(key: Mapping[str, Any], origin: str, build: Callable[[Path], Contents]) -> Source:
    """A decoded data set from the cache; built first where it is not there or damaged.

    Args:
        key: All that decides what `build` writes.
        origin: Where the files lie, for people.
        build: Writes pools into a folder (see `decoding`) and says what they are.

    Raises:
        DataError: the cache cannot be written, or whatever `build` raises.
    """
    folder = cache.folder("data", _hash(key))
    cache.hold(folder)
    found = _open(folder, origin)
    if found is not None:
        return found
    _make(folder.parent)
    with cache.lock(folder):
        found = _open(folder, origin)
        if found is None:
            _build(folder, build)
            found = _open(folder, origin)
    if found is None:
        raise DataError(f"The cache in {folder} cannot be read back: check the disk, or set TINYBENCH_CACHE elsewhere.")
    return found


def remember(key: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
    """A small JSON value that is computed once for a key, such as the hash of a large file."""
    path = paths.cache() / "facts" / f"{_hash(key)}.json"
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        value = compute()
    _make(path.parent)
    partial = path.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(value), "utf-8")
    partial.replace(path)
    return value


def file_hash(path: Path, algorithm: str) -> str:
    """A file's hash in hex digits, computed anew only when its size or time has changed."""
    status = path.stat()
    key = {"path": str(path.resolve()), "size": status.st_size, "mtime": status.st_mtime_ns, "hash": algorithm}
    return str(remember(key, lambda: digests.of_file(path, algorithm)))


def _hash(key: Mapping[str, Any]) -> str:
    canonical = json.dumps({"format": FORMAT, **key}, sort_keys=True)
    return hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise DataError(
            f"Cannot write to {folder} ({error.strerror}): set TINYBENCH_CACHE to a folder of yours."
        ) from None


def _build(folder: Path, build: Callable[[Path], Contents]) -> None:
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed process left; the lock says nobody is at it
    partial.mkdir()
    try:
        contents = build(partial)
        _write_meta(partial, contents)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_meta(folder: Path, contents: Contents) -> None:
    pools = {split: _pool(folder, split) for split in _SPLITS if (folder / f"{split}.images.npy").exists()}
    fingerprint = contents.fingerprint or digests.of_content(map(pools.get, _SPLITS), contents.class_names)
    meta = {
        "format": FORMAT,
        "splits": list(pools),
        "files": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
        "class_names": contents.class_names,
        "superclasses": contents.superclasses,
        "fingerprint": fingerprint,
        "warnings": contents.warnings,
    }
    (folder / _META).write_text(json.dumps(meta), "utf-8")


def _open(folder: Path, origin: str) -> Source | None:
    try:
        meta = json.loads((folder / _META).read_text("utf-8"))
        whole = all((folder / name).stat().st_size == size for name, size in meta["files"].items())
        if not whole or meta["format"] != FORMAT:
            return None
        pools = {split: _pool(folder, split) for split in meta["splits"]}
        return Source(
            train=pools["train"],
            test=pools.get("test"),
            validation=pools.get("validation"),
            class_names=tuple(meta["class_names"]),
            superclasses=tuple(meta["superclasses"]),
            fingerprint=str(meta["fingerprint"]),
            origin=origin,
            warnings=tuple(meta["warnings"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None


def _pool(folder: Path, split: str) -> Pool:
    paths = {part: folder / f"{split}.{part}.npy" for part in _PARTS}
    # A plain array over the map: the memmap class makes every indexing several times slower.
    images = np.asarray(np.load(paths["images"], mmap_mode="r", allow_pickle=False))
    labels, hashes = (np.load(paths[part], allow_pickle=False) for part in ("labels", "digests"))
    if not len(images) == len(labels) == len(hashes):
        raise ValueError(f"The parts of {split} do not fit.")
    return Pool(images, labels, hashes)
