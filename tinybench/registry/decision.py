"""Record what was decided about a registered model, by whom, when and why, and read it back as a history.

A decision is stored as a tag of the version that it is about. One that moves the champion is also stored, in short, as
a tag of the registered model, which remains when the version is deleted.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tinybench.registry.gates import GateResult
from tinybench.registry.policy import GATES
from tinybench.tracking import provenance, tags

PROMOTE, REFUSE, ROLLBACK = "promote", "refuse", "rollback"

# Stores hold decisions of earlier versions of tinybench, which named these fields otherwise
_STORED_KEYS = {
    "previous": "before",
    "selection": "chosen",
    "decided_at": "at",
    "author": "who",
    "test_set_uses": "looks",
    "gate_results": "verdicts",
    "carried_out": "done",
    "complete": "whole",
}
_FIELDS = {key: name for name, key in _STORED_KEYS.items()}
# What is stored with the registered model
_SHORT_FIELDS = ("action", "name", "version", "run_id", "previous", "selection", "author", "commit", "test_set_uses")


@dataclass(frozen=True)
class Decision:
    """A decision about a version of a registered model.

    Attributes:
        action: `promote`, `refuse` or `rollback`.
        name: The registered model.
        version: The version that it is about; None in a dry run.
        run_id: The run that trained the version.
        previous: The champion before the decision; None if there was none.
        selection: How the candidate was chosen, for people.
        decided_at: The time, UTC.
        author: User, by the login at the tracking server if there is one, and machine.
        commit: The git commit of the code that decided.
        test_set_uses: How often the test images have been used to decide something, including this time.
        gate_results: The results of the gates.
        carried_out: The champion was moved, and that was recorded as well.
        complete: False if the version was deleted since and with it the results of the gates.
    """

    action: str
    name: str
    version: int | None
    run_id: str
    previous: int | None
    selection: str = ""
    decided_at: str = field(default_factory=lambda: utc_now())
    author: str = field(default_factory=lambda: f"{provenance.user_name()}@{platform.node()}")
    commit: str = ""
    test_set_uses: int = 0
    gate_results: tuple[GateResult, ...] = ()
    carried_out: bool = False
    complete: bool = True

    @property
    def failed_gates(self) -> list[GateResult]:
        """The results of the gates that the candidate did not pass."""
        return [result for result in self.gate_results if not result.passed]

    @property
    def disabled_gates(self) -> list[str]:
        """The gates that were switched off; empty for a rollback, which applies no gates."""
        if not self.complete or self.action == ROLLBACK:
            return []
        applied = {result.gate for result in self.gate_results}
        return [gate for gate in GATES if gate not in applied]

    def to_dict(self) -> dict[str, Any]:
        """Return the decision with the keys under which it is stored, ready for JSON."""
        values = {_STORED_KEYS.get(name, name): value for name, value in vars(self).items()}
        return values | {_STORED_KEYS["gate_results"]: [result.to_dict() for result in self.gate_results]}

    def version_tags(self) -> dict[str, str]:
        """Return the tag for the version that the decision is about."""
        return {f"{tags.DECISION}{self.decided_at}": json.dumps(self.to_dict())}

    def model_tags(self) -> dict[str, str]:
        """Return the tag for the registered model, to be set after the champion was moved."""
        values = {_STORED_KEYS.get(name, name): getattr(self, name) for name in _SHORT_FIELDS}
        return {f"{tags.MOVED}{self.decided_at}": json.dumps(values)}

    @classmethod
    def from_json(cls, text: str) -> Decision:
        """Read the value of a tag: a whole decision, or the short form of one."""
        values = {_FIELDS.get(key, key): value for key, value in json.loads(text).items()}
        results = tuple(map(GateResult.from_dict, values.pop("gate_results", ())))
        return cls(**values, gate_results=results)


def history(version_tags: Iterable[Mapping[str, str]], model_tags: Mapping[str, str]) -> list[Decision]:
    """Return all decisions about a registered model that its tags tell of, the oldest first.

    Args:
        version_tags: The tags of each version.
        model_tags: The tags of the registered model, which tell of moves to versions that have been deleted.
    """
    moves = {key.removeprefix(tags.MOVED): value for key, value in model_tags.items() if key.startswith(tags.MOVED)}
    decisions = {}
    for one_version in version_tags:
        for key, value in one_version.items():
            if key.startswith(tags.DECISION):
                decided_at = key.removeprefix(tags.DECISION)
                decisions[decided_at] = replace(Decision.from_json(value), carried_out=decided_at in moves)
    for decided_at, value in moves.items():
        if decided_at not in decisions:
            short = Decision.from_json(value)
            decisions[decided_at] = replace(short, decided_at=decided_at, carried_out=True, complete=False)
    return sorted(decisions.values(), key=lambda decision: decision.decided_at)


def champion_moves(decisions: Iterable[Decision], champion: int | None) -> list[Decision]:
    """Return the decisions that moved the champion, the oldest first.

    A decision is written before the champion is moved, and a crash may have come between. The champion was moved if
    that was recorded. Otherwise it was moved if the next move started from the version of the decision; and the last
    decision was carried out if its version is the champion now. Other programs may move the alias as well.

    Args:
        decisions: All decisions, the oldest first.
        champion: The champion now; None if there is none.
    """
    moves: list[Decision] = []
    expected = champion
    for decision in reversed([decision for decision in decisions if decision.action != REFUSE]):
        if decision.carried_out or decision.version == expected:
            moves.append(decision)
            expected = decision.previous
    return moves[::-1]


def champion_versions(moves: Iterable[Decision]) -> list[int]:
    """Return the champions one after another, without those that were rolled back; the last one is the champion."""
    champions: list[int] = []
    first_promotion: dict[int, int] = {}  # index of the move by version
    for index, move in enumerate(moves):
        assert move.version is not None
        if move.action != ROLLBACK:
            first_promotion.setdefault(move.version, index)
        elif move.version in champions:
            champions.pop()
            while champions and champions[-1] != move.version:
                champions.pop()
        else:  # back to a version that had been rolled back itself: remove those that were promoted after it
            first = first_promotion.get(move.version, -1)
            champions = [version for version in champions if first_promotion.get(version, -1) < first]
        if not champions or champions[-1] != move.version:
            champions.append(move.version)
    return champions


def withdrawn_runs(moves: Sequence[Decision]) -> set[str]:
    """Return the ids of the runs that were champion and have been rolled back since."""
    champions = champion_versions(moves)
    return {move.run_id for move in moves} - {move.run_id for move in moves if move.version in champions}


def utc_now() -> str:
    """Return the current time, UTC, as `2026-01-31T12:00:00.000000Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
