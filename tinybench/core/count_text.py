"""Write how many there are of something."""

from __future__ import annotations

import re

_PLURAL = re.compile(r"(?P<noun>(?:earlier )?\w+?)(?:(?<=ch)es|s)\b(?P<verb> that are\b)?")


def describe_count(count: int, things: str) -> str:
    """Return a number of things: "1 image without a label", "2,000 images without a label".

    Args:
        count: The number.
        things: Words that begin with a regular plural, such as "images without a label".
    """
    if count == 1:
        things = _PLURAL.sub(lambda found: f"{found['noun']}{' that is' if found['verb'] else ''}", things, count=1)
    return f"{count:,} {things}"
