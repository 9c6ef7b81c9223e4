"""Make texts from elsewhere harmless: names from a store may contain what a terminal would obey."""

from __future__ import annotations


def make_printable(text: str) -> str:
    """Return a text, such as a name from a store, in one line and without characters that a terminal would obey."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(text.split()))
