"""Count what became of entries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class SentCounts:
    """The outcome of sending entries.

    Attributes:
        sent: Entries that were sent.
        known: Entries that the store had already.
        refused: Entries that the store refused for ever.
    """

    sent: int = 0
    known: int = 0
    refused: int = 0

    @property
    def settled(self) -> int:
        """The number of entries that need not be sent any more."""
        return self.sent + self.known + self.refused

    def __add__(self, other: SentCounts) -> SentCounts:
        return SentCounts(self.sent + other.sent, self.known + other.known, self.refused + other.refused)

    def __str__(self) -> str:
        return f"{self.sent} sent, {self.known} known already, {self.refused} refused"
