"""What was decided about a registered model, by whom, when and why: kept with its versions, read back as a history."""

from __future__ import annotations

import getpass
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tinybench.registry.gates import GateResult
from tinybench.registry.policy import GATES

TAG = "tinybench.decision."  # of a version, with the moment after it: all of a decision
_MOVED = "tinybench.moved."  # of the name, once it is carried out: what must be known when the version is deleted
_KEPT = ("action", "name", "version", "run_id", "before", "chosen", "who", "commit", "looks")
PROMOTE, REFUSE, ROLLBACK = "promote", "refuse", "rollback"


@dataclass(frozen=True)
class Decision:
    """A decision.

    Attributes:
        action: `promote`, `refuse` or `rollback`.
        name: Registered model.
        version: That it is about; None of a dry run.
        run_id: That trained it.
        before: Champion until then; None where there was none.
        chosen: How the candidate was found, in words.
        at: When, UTC.
        who: User and machine.
        commit: Of the code that decided.
        looks: How often the test images have been used to decide, this time included.
        verdicts: Of the gates.
        done: The move was made, and that was written as well.
        whole: False of a move whose version was deleted since, and with it why it was made.
    """

    action: str
    name: str
    version: int | None
    run_id: str
    previous: int | None
    selection: str = ""
    decided_at: str = field(default_factory=lambda: utc_now())
    author: str = field(default_factory=lambda: f"{_user_name()}@{platform.node()}")
    commit: str = ""
    test_set_uses: int = 0
    gate_results: tuple[GateResult, ...] = ()
    carried_out: bool = False
    complete: bool = True

    @property
    def failed_gates(self) -> list[GateResult]:
        """Gates that did not hold."""
        return [each for each in self.gate_results if not each.passed]

    @property
    def disabled_gates(self) -> list[str]:
        """Gates that were switched off; none of a rollback, which judges nothing."""
        judged = {each.gate for each in self.gate_results}
        return [gate for gate in GATES if gate not in judged] if self.complete and self.action != ROLLBACK else []

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    def version_tags(self) -> dict[str, str]:
        """For its version."""
        return {f"{TAG}{self.decided_at}": json.dumps(self.to_dict())}

    def model_tags(self) -> dict[str, str]:
        """For the name, once it is carried out."""
        return {f"{_MOVED}{self.decided_at}": json.dumps({name: getattr(self, name) for name in _KEPT})}

    @classmethod
    def from_json(cls, text: str) -> Decision:
        """What `tags` wrote, read back."""
        plain = json.loads(text)
        verdicts = tuple(GateResult(**each) for each in plain.pop("verdicts"))
        return cls(**plain, gate_results=verdicts)


def history(versions: Iterable[Mapping[str, str]], name: Mapping[str, str]) -> list[Decision]:
    """Every decision that is known by the tags of versions and of their name, the oldest first.

    Of a version that was deleted the moves are known, by what the name keeps.
    """
    moved = {key.removeprefix(_MOVED): value for key, value in name.items() if key.startswith(_MOVED)}
    found = {
        key.removeprefix(TAG): replace(Decision.from_json(value), carried_out=key.removeprefix(TAG) in moved)
        for each in versions
        for key, value in each.items()
        if key.startswith(TAG)
    }
    known = {at: json.loads(value) for at, value in moved.items() if at not in found}
    lost = [Decision(**kept, decided_at=at, carried_out=True, complete=False) for at, kept in known.items()]
    return sorted([*found.values(), *lost], key=lambda each: each.decided_at)


def carried_out_moves(decisions: Iterable[Decision], champion: int | None) -> list[Decision]:
    """Those that moved the champion: a decision is written before its move, which a crash may have kept from it.

    A move was made if that was written; or, where a crash came between, if the next one began where it ended, and the
    last one if the champion is there now. Others may move the alias as well.
    """
    moves = [each for each in decisions if each.action != REFUSE]
    found: list[Decision] = []
    wanted = champion
    for each in reversed(moves):
        if each.carried_out or each.version == wanted:
            found.append(each)
            wanted = each.previous
    return found[::-1]


def champion_versions(moves: Iterable[Decision]) -> list[int]:
    """Versions as one followed the other, without those that were rolled back; the last is the champion."""
    found: list[int] = []
    promoted: dict[int, int] = {}  # when it was, for the first time
    for at, each in enumerate(moves):
        assert each.version is not None
        if each.action != ROLLBACK:
            promoted.setdefault(each.version, at)
        elif each.version in found:
            found.pop()
            while found and found[-1] != each.version:
                found.pop()
        else:  # back to one that had been rolled back itself: away from those that came after it
            since = promoted.get(each.version, -1)
            found = [one for one in found if promoted.get(one, -1) < since]
        if not found or found[-1] != each.version:
            found.append(each.version)
    return found


def withdrawn_runs(moves: Sequence[Decision]) -> set[str]:
    """Runs that were champion, and were rolled back since."""
    left = champion_versions(moves)
    return {each.run_id for each in moves} - {each.run_id for each in moves if each.version in left}


def utc_now() -> str:
    """This moment, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"
