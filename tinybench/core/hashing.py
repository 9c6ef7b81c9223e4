"""Hash the content of files."""

from __future__ import annotations

import hashlib
from pathlib import Path


def hash_file(path: Path, algorithm: str) -> str:
    """Return the hash of a file's content in hex digits.

    Args:
        path: The file.
        algorithm: A name of `hashlib`, such as `sha256`.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
