"""Write files atomically: a reader sees the complete file or none."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` when the block ends without an error.

    Readers see the old file or the new one, never a half-written one. The temporary name carries the process id,
    so that two processes may write the same file: the last one wins.

    Args:
        path: The file to write; its folder must exist.

    Raises:
        OSError: The file cannot be written; the temporary file is removed.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file (UTF-8) atomically.

    Raises:
        OSError: The file cannot be written; an earlier file of this name is unchanged.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, "utf-8")
