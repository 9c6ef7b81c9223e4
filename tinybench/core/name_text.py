"""Bring names that come from file systems and tables to one spelling that can be stored and shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def clean_name(name: str) -> str:
    r"""Return a name with composed accents (NFC), and with escapes in place of what is no text.

    Some systems write an accent as a character of its own, so that two names look alike and differ. Bytes of a file
    name that are not UTF-8 become escapes such as `\xb9`, and so do control characters.
    """
    escaped = "".join(map(_escape_control, _encode(name).decode("utf-8", "backslashreplace")))
    return unicodedata.normalize("NFC", escaped)  # last: an accent may follow a control character


def find_name(name: str, names: Sequence[str]) -> int | None:
    """Return the index of a name among others, however its accents are encoded; None if it is not there."""
    cleaned = clean_name(name)
    return next((index for index, other in enumerate(names) if clean_name(other) == cleaned), None)


def _encode(name: str) -> bytes:
    """Return the bytes that a name stands for: Python has surrogates in place of those that are not UTF-8."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # other surrogates, which no file system gave
        return name.encode("utf-8", "surrogatepass")


def _escape_control(character: str) -> str:
    is_control = unicodedata.category(character) in ("Cc", "Zl", "Zp")
    return character.encode("unicode_escape").decode() if is_control else character
