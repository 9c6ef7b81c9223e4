"""Suggest what somebody may have meant by a name that does not exist."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LEAST_SIMILARITY = 0.6  # as of `difflib.get_close_matches`


def suggest(given: str, choices: Iterable[str]) -> str:
    """Return ` Did you mean 'NAME'?` if a choice resembles what was given, whatever its case; else an empty text.

    Of choices that resemble it equally, one with the same letters in another order is suggested, or else the first.
    """
    matcher = difflib.SequenceMatcher(b=given.lower())

    def similarity(choice: str) -> tuple[float, bool]:
        matcher.set_seq1(choice.lower())
        return matcher.ratio(), sorted(choice.lower()) == sorted(given.lower())

    nearest = max(choices, key=similarity, default="")
    return f" Did you mean {nearest!r}?" if nearest and similarity(nearest)[0] >= _LEAST_SIMILARITY else ""
