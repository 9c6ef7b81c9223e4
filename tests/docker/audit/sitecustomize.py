"""Write down what the Python process that imports this writes, removes and runs, in the file AUDIT_LOG."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

_PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn")
_FILES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.chmod")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & _WRITES and not isinstance(path, int):
            _write(event, [str(Path(os.fsdecode(path)).resolve())])
    elif event in _FILES:
        folder = _read_folder(arguments[-1])
        paths = (os.fsdecode(argument) for argument in arguments if isinstance(argument, (str, bytes, os.PathLike)))
        _write(event, [str((folder / path).resolve()) for path in paths])
    elif event in _PROGRAMS:
        _write(event, [str(argument) for argument in arguments[:2]])


def _read_folder(descriptor: Any) -> Path:
    """Return the folder to which the paths of an event are relative."""
    is_open = isinstance(descriptor, int) and descriptor >= 0
    return Path(f"/proc/self/fd/{descriptor}").readlink() if is_open else Path.cwd()


def _write(event: str, arguments: list[str]) -> None:
    os.write(_file, json.dumps([event, *arguments]).encode() + b"\n")


if "AUDIT_LOG" in os.environ:
    _file = os.open(os.environ["AUDIT_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.addaudithook(_audit)
