"""Read text files that a user wrote, in the encoding that they have."""

from __future__ import annotations

import codecs
from pathlib import Path

_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark is the beginning of this one
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def read(path: Path) -> str:
    r"""Return the text of a file, with `\n` at the ends of lines and without a byte order mark.

    The text is UTF-8 unless a byte order mark says otherwise: Windows Notepad writes one before UTF-8, and `>` in
    Windows PowerShell writes UTF-16.

    Raises:
        OSError: The file cannot be read.
        UnicodeError: It is in another encoding.
    """
    with path.open("rb") as file:
        start = file.read(4)
    encoding = next((name for mark, name in _ENCODINGS.items() if start.startswith(mark)), "utf-8")
    return path.read_text(encoding)


def describe_error(error: OSError | UnicodeError) -> str:
    """Return why a file could not be read, and the way out."""
    if isinstance(error, OSError):
        return f"{error.strerror or error}. Check the path."
    return "it is not UTF-8 text: save it as UTF-8."
