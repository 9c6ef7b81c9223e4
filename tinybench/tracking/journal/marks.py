"""The tag of a run that says which journals wrote it, and how much of each the store has."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Marks:
    """The journals that wrote a run, in the order in which they did, and how much of each the store has.

    A run that is resumed is written by one journal after another. What an earlier one says of the state of the run is
    outdated once a later one has written to it.

    Attributes:
        before: The marks of earlier journals, as `id:number`.
        upto: Number of the last entry of this journal that the store has; -1 for none.
        after: The marks of later journals.
    """

    before: list[str] = field(default_factory=list)
    upto: int = -1
    after: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str, journal_id: str) -> Marks:
        """Return the marks in a tag, as seen from one of the journals."""
        marks = text.split()
        for place, mark in enumerate(marks):
            name, _, number = mark.partition(":")
            if name == journal_id and number.isdigit():
                return cls(marks[:place], int(number), marks[place + 1 :])
        return cls(marks)

    def text(self, journal_id: str, number: int) -> str:
        """Return the tag once the store has the entries of this journal up to a number."""
        return " ".join([*self.before, f"{journal_id}:{max(self.upto, number)}", *self.after])
