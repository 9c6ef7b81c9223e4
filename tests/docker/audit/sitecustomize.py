"""Write down what the Python process that imports this writes, removes and runs, in the file TINYBENCH_TEST_AUDIT."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

_PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn")
_FILES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & _WRITES and not isinstance(path, int):
            _write("open", [path])
    elif event in _FILES:
        _write(event, [each for each in arguments if isinstance(each, (str, bytes, os.PathLike))])
    elif event in _PROGRAMS:
        _write(event, list(arguments[:2]))


def _write(event: str, words: list[Any]) -> None:
    paths = [os.fsdecode(word) if isinstance(word, (bytes, os.PathLike)) else repr_or_text(word) for word in words]
    os.write(_file, json.dumps([event, *paths]).encode() + b"\n")


def repr_or_text(word: Any) -> str:
    return word if isinstance(word, str) else repr(word)


if "TINYBENCH_TEST_AUDIT" in os.environ:
    _file = os.open(os.environ["TINYBENCH_TEST_AUDIT"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    sys.addaudithook(_audit)
