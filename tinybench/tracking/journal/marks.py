"""The tag of a run that says which journals wrote it, and how much of each the store has."""

from __future__ import annotations

from dataclasses import dataclass, field

_MAX_MISSING = 200  # of a tag with at most 5,000 characters


@dataclass
class Marks:
    """The journals that wrote a run, in the order in which they did, and how much of each the store has.

    A run that is resumed is written by one journal after another. What an earlier one says of the state of the run is
    outdated once a later one has written to it.

    Attributes:
        before: The marks of earlier journals, as `id:number`.
        upto: Number of the last entry of this journal that the store has; -1 for none.
        after: The marks of later journals.
        missing: Numbers of the entries up to that one whose files were lost, and which another copy may still have.
    """

    before: list[str] = field(default_factory=list)
    upto: int = -1
    after: list[str] = field(default_factory=list)
    missing: set[int] = field(default_factory=set)

    @classmethod
    def parse(cls, text: str, journal_id: str) -> Marks:
        """Return the marks in a tag, as seen from one of the journals."""
        marks = text.split()
        for place, mark in enumerate(marks):
            name, _, text_of_numbers = mark.partition(":")
            numbers = text_of_numbers.split("-")
            if name == journal_id and all(number.isascii() and number.isdigit() for number in numbers):
                upto, *missing = map(int, numbers)
                return cls(marks[:place], upto, marks[place + 1 :], set(missing))
        return cls(marks)

    def text(self, journal_id: str, number: int) -> str:
        """Return the tag once the store has the entries of this journal up to a number."""
        numbers = [max(self.upto, number), *sorted(self.missing)[:_MAX_MISSING]]
        return " ".join([*self.before, f"{journal_id}:{'-'.join(map(str, numbers))}", *self.after])
