"""Shorten names so that they fit where they are drawn and different names stay different."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tinybench.plots import style

_MAX_WORD = 12  # characters: of a longer word, only the part that differs is shown


def shorten_names(names: Sequence[str], width: float, size: float = style.SMALL, max_lines: int = 1) -> list[str]:
    """Return texts that matplotlib draws literally within a width; different names have different texts.

    A name that is too long is cut off with an ellipsis. Names that would then read the same are shortened by what
    they have in common instead, such as ``resnet50 on t…lr 0.01`` and ``resnet50 on t…lr 0.02``.

    Args:
        names: Any names; equal ones get equal texts.
        width: Available width in inches.
        size: Font size in points.
        max_lines: Maximum number of lines.
    """
    box = _Box(width, size, max_lines)
    escaped = {name: style.escape_missing_glyphs(name) for name in names}
    texts = _shorten(dict.fromkeys(escaped.values()), 0, box)
    texts = _number_equal(texts, box)
    return [box.break_lines(texts[escaped[name]]) for name in names]


@dataclass(frozen=True)
class _Box:
    """The room for a text."""

    width: float
    size: float
    max_lines: int

    def fits(self, text: str) -> bool:
        if self.max_lines == 1:
            return style.text_width(text, self.size) <= self.width
        return len(style.break_words(text, self.width, self.size)) <= self.max_lines

    def break_lines(self, text: str) -> str:
        """Return text as matplotlib draws it literally, with line breaks."""
        lines = [text] if self.max_lines == 1 else style.break_words(text, self.width, self.size)
        return "\n".join(lines).replace("$", r"\$")

    def cut(self, name: str, start: int) -> str:
        """Return a name that fits: whole, cut off at its end, or without the middle that ends at `start`."""
        if self.fits(name):
            return name
        rest = name[start:]
        if start == 0 or not rest:
            return self.longest(len(name), lambda length: f"{name[:length].rstrip()}…")
        third = _Box(self.width / (3 if self.max_lines == 1 else 1), self.size, 1)
        head = third.longest(start - 1, lambda length: name[:length])
        if not self.fits(f"{head}…{rest}"):
            return self.longest(len(rest), lambda length: f"{head}…{rest[:length].rstrip()}…")
        return self.longest(start - 1, lambda length: f"{name[:length].rstrip()}…{rest}")

    def longest(self, maximum: int, text_of: Callable[[int], str]) -> str:
        """Return the text of the greatest length, from 0 to a maximum, whose text fits."""
        low, high = 0, maximum
        while low < high:
            middle = (low + high + 1) // 2
            if self.fits(text_of(middle)):
                low = middle
            else:
                high = middle - 1
        return text_of(low)


def _shorten(names: Iterable[str], start: int, box: _Box) -> dict[str, str]:
    """Return the texts of names that are equal up to `start`; where too little room is left, some may be equal."""
    texts = {name: box.cut(name, start) for name in names}
    for group in _equal(texts):
        common = _common_length(group)
        begin = _word_start(group[0], common)
        begin = begin if begin > start else common
        if begin > start:
            texts |= _shorten(group, begin, box)
    return texts


def _common_length(names: Sequence[str]) -> int:
    """Return the number of characters with which all names begin."""
    first, last = min(names), max(names)
    return next((index for index, pair in enumerate(zip(first, last, strict=False)) if len({*pair}) > 1), len(first))


def _word_start(name: str, position: int) -> int:
    """Return where the word at a position begins, or the position itself inside a very long word."""
    begin = position
    while begin > 0 and name[begin - 1].isalnum():
        begin -= 1
    return begin if position - begin <= _MAX_WORD else position


def _number_equal(texts: Mapping[str, str], box: _Box) -> dict[str, str]:
    """Add numbers to texts that are equal all the same, since there is no room for what differs."""
    numbered, taken = dict(texts), set(texts.values())
    for group in _equal(texts):
        number = 2
        for name in group[1:]:
            while (text := _with_number(name, number, box)) in taken:
                number += 1
            numbered[name] = text
            taken.add(text)
    return numbered


def _with_number(name: str, number: int, box: _Box) -> str:
    text = box.longest(len(name), lambda length: f"{name[:length].rstrip()}… ({number})")
    return text if box.fits(text) else f"({number})"


def _equal(texts: Mapping[str, str]) -> list[list[str]]:
    """Return groups of at least two names whose texts are equal."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, text in texts.items():
        groups[text].append(name)
    return [group for group in groups.values() if len(group) > 1]
