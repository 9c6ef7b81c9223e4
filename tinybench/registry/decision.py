"""What was decided about a registered model, by whom, when and why: kept with its versions, read back as a history."""

from __future__ import annotations

import getpass
import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from tinybench.registry.gates import Verdict
from tinybench.registry.policy import GATES

_DONE = "tinybench.done."  # with that moment, once it is carried out
TAG = "tinybench.decision."  # with the moment after it
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
    """

    action: str
    name: str
    version: int | None
    run_id: str
    before: int | None
    chosen: str = ""
    at: str = field(default_factory=lambda: now())
    who: str = field(default_factory=lambda: f"{_user()}@{platform.node()}")
    commit: str = ""
    looks: int = 0
    verdicts: tuple[Verdict, ...] = ()
    done: bool = False

    @property
    def failed(self) -> list[Verdict]:
        """Gates that did not hold."""
        return [each for each in self.verdicts if not each.holds]

    @property
    def off(self) -> list[str]:
        """Gates that were switched off; none of a rollback, which judges nothing."""
        judged = {each.gate for each in self.verdicts}
        return [] if self.action == ROLLBACK else [gate for gate in GATES if gate not in judged]

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    def tags(self) -> dict[str, str]:
        """For its version."""
        return {f"{TAG}{self.at}": json.dumps(self.plain())}

    def done_tags(self) -> dict[str, str]:
        """For its version, once it is carried out."""
        return {f"{_DONE}{self.at}": "1"}

    @classmethod
    def of(cls, text: str) -> Decision:
        """What `tags` wrote, read back."""
        plain = json.loads(text)
        verdicts = tuple(Verdict(**each) for each in plain.pop("verdicts"))
        return cls(**plain, verdicts=verdicts)


def history(tags: Iterable[Mapping[str, str]]) -> list[Decision]:
    """Every decision in the tags of some versions, the oldest first."""
    found = [
        replace(Decision.of(value), done=f"{_DONE}{key.removeprefix(TAG)}" in each)
        for each in tags
        for key, value in each.items()
        if key.startswith(TAG)
    ]
    return sorted(found, key=lambda each: each.at)


def effective(decisions: Iterable[Decision], champion: int | None) -> list[Decision]:
    """Those that moved the champion: a decision is written before its move, which a crash may have kept from it.

    A move was made if that was written; or, where a crash came between, if the next one began where it ended, and the
    last one if the champion is there now. Others may move the alias as well.
    """
    moves = [each for each in decisions if each.action != REFUSE]
    found: list[Decision] = []
    wanted = champion
    for each in reversed(moves):
        if each.done or each.version == wanted:
            found.append(each)
            wanted = each.before
    return found[::-1]


def champions(moves: Iterable[Decision]) -> list[int]:
    """Versions as one followed the other, without those that were rolled back; the last is the champion."""
    found: list[int] = []
    for each in moves:
        assert each.version is not None
        if each.action == ROLLBACK and each.version in found:
            found.pop()
            while found and found[-1] != each.version:
                found.pop()
            if not found:
                found.append(each.version)
        else:
            found.append(each.version)
    return found


def withdrawn(moves: Iterable[Decision]) -> set[str]:
    """Runs whose version was champion until a rollback, and not again since."""
    found: set[str] = set()
    champion: dict[int, str] = {}
    for each in moves:
        if each.action == ROLLBACK and each.before in champion:
            found.add(champion[each.before])
        if each.version is not None:
            champion[each.version] = each.run_id
        found.discard(each.run_id)
    return found


def now() -> str:
    """This moment, UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return "unknown"
