"""Write files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes the place of `path` when the block ends without an error.

    Readers see the old file or the new one, never a half-written one. The temporary name carries the process id,
    so that two processes may write the same file: the last one wins.

    Args:
        path: The file to write; its folder must exist.

    Raises:
        OSError: The file cannot be written; the temporary file is removed.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file, UTF-8.

    Raises:
        OSError: The file cannot be written; the file that was there before is untouched.
    """
    with replacing(path) as part:
        part.write_text(text, "utf-8")
