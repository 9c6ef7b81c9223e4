"""The labelled images that were found in a folder, whatever says which class each of them has."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinybench.core.count_text import describe_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

IMBALANCE = 3  # a class this many times larger than another gives a warning

_NAMED = 5  # names in a message


@dataclass(frozen=True)
class LabelledFiles:
    """Labelled images, still encoded.

    Attributes:
        classes: The class names, in order.
        members: The label and the name of every image of a split, by split: `train`, `validation`, `test`.
        read: Returns the bytes of an image by its name, in any thread; raises KeyError or OSError.
        warnings: Lines to show once.
        unused: How many files, or rows of a table, are not used, by reason.
    """

    classes: tuple[str, ...]
    members: dict[str, list[tuple[int, str]]]
    read: Callable[[str], bytes]
    warnings: tuple[str, ...] = ()
    unused: dict[str, int] = field(default_factory=dict)

    def identity(self) -> str:
        """Return 64 hex digits over the classes, and the labels and names of all images."""
        text = json.dumps([self.classes, self.members])
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    def list_warnings(self) -> Iterator[str]:
        """Yield the lines to show once: what was found, what is not used, and what is unusual about the classes."""
        yield from self.warnings
        if self.unused:
            yield f"Not used: {'; '.join(describe_count(count, reason) for reason, count in self.unused.items())}."
        counts = Counter(label for label, _ in self.members["train"])
        (largest, most), (smallest, fewest) = counts.most_common()[0], counts.most_common()[-1]
        if most > IMBALANCE * fewest:
            yield (
                f"The classes are out of balance: {self.classes[largest]!r} has {most:,} training images, "
                f"{self.classes[smallest]!r} has {fewest:,}."
            )


def shorten_list(names: Sequence[str]) -> str:
    """Return the first names, separated by commas, and how many more there are."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")
