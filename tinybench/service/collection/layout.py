"""Tell from the path of an artifact which run, logged model or trace it belongs to."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

RUN, MODEL, TRACE = "run", "logged model", "trace"
ID_PATTERN = re.compile(r"(?<![0-9a-zA-Z])(?:m-|tr-)?[0-9a-f]{32}(?![0-9a-zA-Z])")
"""An id of a run, logged model or trace within a text."""

ARTIFACTS = "artifacts"
_OWNER_PATTERN = re.compile(
    r"(?:(?P<run>[0-9a-f]{32})|models/(?P<model>m-[0-9a-f]{32})|traces/(?P<trace>(?:tr-)?[0-9a-f]{32}))/"
)
_EXPERIMENT_PATTERN = re.compile(r"(?:workspaces/[^/]+/)?\d+(?=/)")
_PROXY_PATTERN = re.compile(r"/?api/2\.0/mlflow-artifacts/artifacts/")


@dataclass(frozen=True)
class Owner:
    """A run, logged model or trace, and the folder of its artifacts.

    Attributes:
        kind: `run`, `logged model` or `trace`.
        id: Its id.
        folder: The folder, relative to the destination of artifacts, without the `artifacts` at the end.
    """

    kind: str
    id: str
    folder: str


def find_owner(path: str, locations: Iterable[str]) -> Owner | None:
    """Return the owner of a file; None if its folder is not one that MLflow makes.

    The outermost folder counts: a file deep inside a run's artifacts belongs to the run, whatever its path.

    Args:
        path: The file, relative to the destination; of an empty folder, its path with a slash at the end.
        locations: The folders of experiments, relative to the destination. Folders that are named by a number are
            those of experiments, too.
    """
    numbered = _EXPERIMENT_PATTERN.match(path)
    for location in sorted({*locations, *([numbered[0]] if numbered else [])}, key=len):
        prefix = f"{location}/" if location else ""
        if path.startswith(prefix):
            match = _OWNER_PATTERN.match(path, len(prefix))
            if match is not None:
                kind = RUN if match["run"] else MODEL if match["model"] else TRACE
                return Owner(kind, match["run"] or match["model"] or match["trace"], path[: match.end() - 1])
    return None


def is_artifact(path: str, folder: str) -> bool:
    """Return whether a file is where MLflow puts artifacts of the owner of a folder."""
    rest = path[len(folder) + 1 :]
    return not rest or rest.startswith(f"{ARTIFACTS}/")


def proxied_path(uri: str) -> str | None:
    """Return the path in the destination of an address that the server resolves; None for another address."""
    parts = urlsplit(uri)
    path = unquote(parts.path)
    if parts.scheme in ("http", "https"):
        match = _PROXY_PATTERN.match(path)
        return None if match is None else plain_path(path[match.end() :])
    return plain_path(path) if parts.scheme == "mlflow-artifacts" else None


def plain_path(path: str) -> str | None:
    """Return a relative path without slashes at its ends; None if it has parts that lead elsewhere."""
    parts = [part for part in path.split("/") if part]
    return None if ".." in parts or "." in parts else posixpath.join("", *parts)
