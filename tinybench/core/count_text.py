"""Write how many there are of something."""

from __future__ import annotations

import re

_PLURAL = re.compile(r"(?P<noun>(?:earlier )?\w+?)(?:(?<=ch)es|s)\b(?P<verb> that are\b)?")


def describe_count(count: int, items: str) -> str:
    """Return a number of items: "1 image without a label", "2,000 images without a label".

    Args:
        count: The number.
        items: Words that begin with a regular plural, such as "images without a label".
    """
    if count == 1:
        items = _PLURAL.sub(lambda match: f"{match['noun']}{' that is' if match['verb'] else ''}", items, count=1)
    return f"{count:,} {items}"
