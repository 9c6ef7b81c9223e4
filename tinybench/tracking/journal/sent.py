"""How far a journal has been sent."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Sent:
    """The progress of sending a journal.

    Attributes:
        upto: Number of entries that are settled: sent, known to the store already, or refused.
        ids: Ids that the store gave, by the key of the run or model.
        refused: The store's reasons for refusing an entry for ever, by the number of the entry.
    """

    upto: int = 0
    ids: dict[str, str] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
