"""Words of others in figures."""

from __future__ import annotations


def plain(text: str, longest: int | None = None) -> str:
    """Text as it is, whatever is in it: matplotlib would read what stands between two dollar signs as mathematics.

    Args:
        text: A class or folder name, which may come from a stranger.
        longest: Characters after which it is cut.
    """
    if longest is not None and len(text) > longest:
        text = f"{text[: longest - 1]}…"
    return text.replace("$", r"\$")
