"""The artifacts of a run or logged model: list, download, upload and compare them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import requests
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from tinybench.core.hashing import hash_file
from tinybench.core.redaction import redact
from tinybench.tracking import store

Rewrite = Callable[[str, Path], None]
"""Changes a downloaded file of the source, given its path among the artifacts, into what the target is to hold."""

Outcome = TypeVar("Outcome")

_CUT_OFF = set("#?%")
_PARALLEL_REQUESTS = 4  # MLflow's server has four processes unless it is told otherwise


class ArtifactFolder:
    """The artifacts of one run or logged model.

    Args:
        location: Their address, as the store gives it.
        uri: The store.
        ignored: Names of files and folders that are not copied.

    Attributes:
        location: The same.
        uri: The same.
    """

    def __init__(self, location: str, uri: str, ignored: Collection[str] = ()) -> None:
        self.location = location
        self.uri = uri
        self._ignored = ignored
        self._opened: Any = None

    @property
    def _repository(self) -> Any:
        """MLflow's access to the files; the client's own lists those of logged models among those of their run."""
        if self._opened is None:
            self._opened = get_artifact_repository(self.location, tracking_uri=self.uri)
        return self._opened

    @property
    def is_local(self) -> bool:
        """True if the files are on this machine's disk."""
        return isinstance(self._repository, LocalArtifactRepository)

    def list_files(self, folder: str | None = None) -> dict[str, int]:
        """Return the size in bytes of every file by its path; -1 where the store does not say it."""
        sizes: dict[str, int] = {}
        for item in self._repository.list_artifacts(folder):
            if PurePosixPath(item.path).name in self._ignored:
                continue
            if item.is_dir:
                sizes |= self.list_files(item.path)
            else:
                sizes[item.path] = -1 if item.file_size is None else int(item.file_size)
        return sizes

    @contextmanager
    def download(self, path: str, rewrite: Rewrite | None = None) -> Iterator[Path]:
        """Yield a copy of a file, which is deleted when the block ends."""
        with TemporaryDirectory() as temporary:
            file = self._fetch(path, Path(temporary))
            if rewrite is not None:
                rewrite(path, file)
            yield file

    def _fetch(self, path: str, folder: Path) -> Path:
        """Copy a file into a folder; from a disk without MLflow, which refuses names with `#` or `%`."""
        if self.is_local:
            file = folder / PurePosixPath(path).name
            shutil.copyfile(Path(self._repository.artifact_dir) / path, file)
            return file
        return Path(self._repository.download_artifacts(path, str(folder)))

    def hash_file(self, path: str, rewrite: Rewrite | None = None) -> str:
        """Return the SHA-256 of a file as it is downloaded."""
        with self.download(path, rewrite) as file:
            return hash_file(file, "sha256")

    def hash_files(self, rewrite: Rewrite | None = None) -> dict[str, str]:
        """Return the SHA-256 of every file by its path, or why the file cannot be read."""

        def hash_or_reason(path: str) -> str:
            try:
                return self.hash_file(path, rewrite)
            except store.STORE_ERRORS as error:
                if not _concerns_file(error, self):
                    raise
                return f"unreadable at {self.location}: {_describe_failure(error)}"

        paths = [*self.list_files()]
        return dict(zip(paths, _map(hash_or_reason, paths, is_local=self.is_local), strict=True))

    def can_hold(self, path: str) -> bool:
        """Return whether a file of this name can be stored: MLflow's HTTP client cuts it at `#` without an error."""
        return not (isinstance(self._repository, HttpArtifactRepository) and _CUT_OFF & set(path))

    def upload(self, file: Path, path: str) -> None:
        """Store a file, in place of the one that is there."""
        folder = str(PurePosixPath(path).parent)
        self._repository.log_artifact(str(file), None if folder == "." else folder)


def copy_files(source: ArtifactFolder, target: ArtifactFolder, rewrite: Rewrite | None = None) -> tuple[int, list[str]]:
    """Copy every file that the target lacks or has with another content.

    Returns:
        The number of files that were copied, and a line for each that cannot be read or is refused.
    """
    sizes = target.list_files()

    def copy_file(path: str) -> bool | str:
        if not target.can_hold(path):
            return f"{path}: MLflow's server stores no file with #, ? or % in its name"
        try:
            with source.download(path, rewrite) as file:
                if _is_same(file, path, target, sizes.get(path)):
                    return False
                target.upload(file, path)
                return True
        except store.STORE_ERRORS as error:
            if not _concerns_file(error, source, target):
                raise
            return f"{path}: {_describe_failure(error)}"

    outcomes = _map(copy_file, [*source.list_files()], is_local=source.is_local and target.is_local)
    return outcomes.count(True), [outcome for outcome in outcomes if isinstance(outcome, str)]


def _map(function: Callable[[str], Outcome], paths: list[str], *, is_local: bool) -> list[Outcome]:
    """Call a function for every path: by several threads at a time where a store answers over the network."""
    if is_local:
        return [function(path) for path in paths]
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as executor:
        return list(executor.map(function, paths))


def _concerns_file(error: BaseException, *folders: ArtifactFolder) -> bool:
    """Return whether an error is about one file, and not about a store that does not answer or a disk that is full."""
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return isinstance(error, FileNotFoundError | PermissionError)
    try:
        for folder in folders:
            store.ping(folder.uri)
    except requests.RequestException:
        return False
    return True


def _describe_failure(error: BaseException) -> str:
    """Return why a file cannot be read or written; MLflow's first line only says that there is a reason."""
    return store.describe_error(error) if isinstance(error, OSError) else redact(str(error).strip().splitlines()[-1])


def _is_same(file: Path, path: str, target: ArtifactFolder, size: int | None) -> bool:
    """Return whether the target has a file; the content is compared only where the sizes agree."""
    if size is None or size not in (-1, file.stat().st_size):
        return False
    return target.hash_file(path) == hash_file(file, "sha256")
