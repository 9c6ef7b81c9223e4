"""A cache of decoded data sets: memory-mapped uint8 files that a later process opens in an instant.

An entry is a folder of .npy files with a `meta.json`. It is built in a temporary folder beside it and then renamed,
so that it is either complete or absent; its key is a hash of everything that decides its content.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinybench.core import atomic, cache, paths, waiting
from tinybench.core.errors import DataError
from tinybench.core.hashing import hash_file
from tinybench.data import fingerprint
from tinybench.data.dataset import ImagePool, RawDataset

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FORMAT = 2

_SPLITS = ("train", "validation", "test")
_META = "meta.json"


@dataclass(frozen=True)
class DatasetMetadata:
    """The properties of a data set besides its pools of images.

    Attributes:
        class_names: One name per label.
        superclasses: The name of the superclass of each label, or empty.
        fingerprint: Hash of the archive; None to use the hash of the content.
        warnings: Lines to show whenever the data set is loaded.
        resize: How images were resized; empty if none were.
        unused: How many files are not used, by reason.
    """

    class_names: tuple[str, ...]
    superclasses: tuple[str, ...] = ()
    fingerprint: str | None = None
    warnings: tuple[str, ...] = ()
    resize: str = ""
    unused: dict[str, int] = field(default_factory=dict)


def load_or_build(key: Mapping[str, Any], origin: str, build: Callable[[Path], DatasetMetadata]) -> RawDataset:
    """Load a decoded data set from the cache; build the entry first where it is absent or damaged.

    Args:
        key: Everything that decides what `build` writes.
        origin: Where the files are, for people to read.
        build: Writes pools into a folder (see `decoding`) and returns their metadata.

    Raises:
        DataError: The cache cannot be written; besides, whatever `build` raises.
    """
    folder = cache.entry_folder("data", _hash_key(key))
    cache.lease_until_exit(folder)
    dataset = _read_entry(folder, origin)
    if dataset is not None:
        return dataset
    _make_writable(folder.parent)
    with waiting.tell_if_slow("Waiting for another process that decodes the same images"):
        lock = cache.entry_lock(folder).acquire()
    with lock:
        dataset = _read_entry(folder, origin)
        if dataset is None:
            _build_entry(folder, build)
            dataset = _read_entry(folder, origin)
    if dataset is None:
        raise DataError(f"The cache in {folder} cannot be read back: check the disk, or set TINYBENCH_CACHE elsewhere.")
    return dataset


def compute_once(key: Mapping[str, Any], compute: Callable[[], Any]) -> Any:
    """Return a small JSON value, such as the hash of a large file, from the cache, or compute and store it.

    Args:
        key: Everything that decides the value.
        compute: Returns the value; called when it is not stored.

    Raises:
        DataError: The cache cannot be written.
    """
    path = paths.cache_folder() / "facts" / f"{_hash_key(key)}.json"
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        value = compute()
    _make_writable(path.parent)
    atomic.write_text(path, json.dumps(value))
    return value


def cached_file_hash(path: Path, algorithm: str) -> str:
    """Return a file's hash in hex digits, computed again only when its size or time has changed."""
    status = path.stat()
    key = {"path": str(path.resolve()), "size": status.st_size, "mtime": status.st_mtime_ns, "hash": algorithm}
    return str(compute_once(key, lambda: hash_file(path, algorithm)))


def _hash_key(key: Mapping[str, Any]) -> str:
    canonical = json.dumps({"format": FORMAT, **key}, sort_keys=True)
    return hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _make_writable(folder: Path) -> None:
    """Make a folder, and raise DataError unless it can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise DataError(
            f"Cannot write to {folder} ({error.strerror}): set TINYBENCH_CACHE to a folder of yours."
        ) from None


def _build_entry(folder: Path, build: Callable[[Path], DatasetMetadata]) -> None:
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a killed process: the lock says that none is building now
    partial.mkdir()
    try:
        _write_metadata(partial, build(partial))
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_metadata(folder: Path, metadata: DatasetMetadata) -> None:
    pools = {split: _open_pool(folder, split) for split in _SPLITS if (folder / f"{split}.images.npy").exists()}
    meta = {
        "format": FORMAT,
        "splits": list(pools),
        "files": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
        "class_names": metadata.class_names,
        "superclasses": metadata.superclasses,
        "fingerprint": metadata.fingerprint or fingerprint.hash_content(map(pools.get, _SPLITS), metadata.class_names),
        "warnings": metadata.warnings,
        "resize": metadata.resize,
        "unused": metadata.unused,
    }
    (folder / _META).write_text(json.dumps(meta), "utf-8")


def _read_entry(folder: Path, origin: str) -> RawDataset | None:
    """Return the data set of an entry; None where the entry is absent, damaged or of another format."""
    try:
        meta = json.loads((folder / _META).read_text("utf-8"))
        complete = all((folder / name).stat().st_size == size for name, size in meta["files"].items())
        if not complete or meta["format"] != FORMAT:
            return None
        pools = {split: _open_pool(folder, split, meta["resize"]) for split in meta["splits"]}
        return RawDataset(
            train=pools["train"],
            test=pools.get("test"),
            validation=pools.get("validation"),
            class_names=tuple(meta["class_names"]),
            superclasses=tuple(meta["superclasses"]),
            fingerprint=str(meta["fingerprint"]),
            origin=origin,
            warnings=tuple(meta["warnings"]),
            unused=dict(meta.get("unused", {})),  # entries of earlier versions have none
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError):
        return None


def _open_pool(folder: Path, split: str, resize: str = "") -> ImagePool:
    # A plain array over the map: the memmap class makes every indexing several times slower
    images = np.asarray(np.load(folder / f"{split}.images.npy", mmap_mode="r", allow_pickle=False))
    labels, digests = (np.load(folder / f"{split}.{name}.npy", allow_pickle=False) for name in ("labels", "digests"))
    if not len(images) == len(labels) == len(digests):
        raise ValueError(f"The arrays of {split} differ in length.")
    return ImagePool(images, labels, digests, resize)
