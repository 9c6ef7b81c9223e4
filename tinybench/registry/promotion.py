"""From a run to the champion, and back: the page to read first of this folder.

A candidate is found, judged beside the champion, registered with its card, and either takes the alias `champion` or,
refused, the alias `challenger`. The decision is written before the alias moves, which is a single write: whatever
ends the process, the champion is the old one or the new one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.registry import candidates, evidence, gates, model_card
from tinybench.registry.decision import (
    PROMOTE,
    REFUSE,
    ROLLBACK,
    Decision,
    champion_versions,
    carried_out_moves,
    history,
    utc_now,
    withdrawn_runs,
)
from tinybench.registry.locks import lock, lock_model
from tinybench.tracking import logged_model, model_versions, provenance, test_set_uses
from tinybench.tracking.model_versions import CHALLENGER, CHAMPION, RegisteredModel, ModelVersion
from tinybench.tracking.run import Run
from tinybench.tracking.run_record import TEST_TAG

if TYPE_CHECKING:
    from tinybench.registry.candidates import Candidate, CandidateQuery
    from tinybench.registry.policy import Policy
    from tinybench.tracking.tracker import Tracker

_COUNT_TIMEOUT_SECONDS = 60  # seconds that counting a look may wait for others that do


@dataclass(frozen=True)
class PromotionResult:
    """What a promotion came to.

    Attributes:
        decision: What was decided.
        candidate: The run.
        champion: Version that was champion until then.
        dry: Nothing was written.
        already: The candidate is the champion; nothing was judged.
    """

    decision: Decision
    candidate: Candidate
    champion: ModelVersion | None
    dry_run: bool = False
    already_champion: bool = False

    @property
    def promoted(self) -> bool:
        """Whether the candidate is, or would be, champion."""
        return self.decision.action == PROMOTE


def promote(
    tracker: Tracker,
    query: CandidateQuery,
    policy: Policy,
    *,
    name: str | None = None,
    dry_run: bool = False,
    callbacks: Callable[[str], None] = lambda words: None,
) -> PromotionResult:
    """Judge a candidate, and make it champion if every gate holds.

    Args:
        tracker: The store of runs and models.
        query: Which run.
        policy: The gates.
        name: Registered model; `tinybench-<dataset>` when None.
        dry_run: Only judge.
        callbacks: Is told what is being done, which may take minutes.

    Raises:
        ConfigError: a choice that cannot be made.
        TrackingError: no such run or model, or another promotion was faster.
    """
    runs = candidates.find_runs(tracker, query)
    registry = RegisteredModel(tracker.client, _check_name(name) or default_name(candidates.common_dataset(runs)))
    past_decisions = decisions(registry)
    champion, moves = _read_champion(registry, past_decisions, dry_run=dry_run)
    test_hash = None if policy.data is None else _champion_test_hash(tracker, champion)
    candidate = candidates.choose(runs, query, test_hash, withdrawn_runs(moves))
    decision = _propose(registry.name, candidate, champion, past_decisions)
    if champion is not None and champion.run_id == candidate.run_id:
        return PromotionResult(replace(decision, version=champion.number), candidate, champion, dry_run, already_champion=True)
    decision = _apply_gates(tracker, policy, decision, champion, callbacks)
    if not dry_run:
        decision = _register(tracker, registry, decision)
    return PromotionResult(decision, candidate, champion, dry_run)


def _read_champion(registry: RegisteredModel, past_decisions: list[Decision], *, dry_run: bool) -> tuple[ModelVersion | None, list[Decision]]:
    """The champion, and how it came to be.

    Raises:
        TrackingError: it is lost, or none of ours; another process is about to move it.
    """
    with nullcontext() if dry_run else lock_model(registry):  # told before minutes of judging, if it cannot be
        champion = registry.get_by_alias(CHAMPION)
    if champion is not None and not champion.made_by_tinybench:
        raise TrackingError(f"{champion.uri}, the champion, was not made by tinybench: give another --name.")
    moves = carried_out_moves(past_decisions, None if champion is None else champion.number)
    if champion is None and moves:
        raise TrackingError(
            f"{registry.name} has lost its champion, version {moves[-1].version}: bring a former one back by tinybench "
            f"rollback {registry.name}, so that there is one to compare with, or begin another model by --name."
        )
    return champion, moves


def _propose(name: str, candidate: Candidate, champion: ModelVersion | None, decided: list[Decision]) -> Decision:
    """A promotion that was not judged yet; it says so where the candidate was refused beside this champion before."""
    before = None if champion is None else champion.number
    chosen = candidate.selection
    refused = [each.at for each in decided if (each.action, each.run_id) == (REFUSE, candidate.run_id)
               and each.previous == before]  # fmt: skip
    if refused:
        chosen += f"; refused beside this champion on {refused[-1][:10]} already"
    return Decision(PROMOTE, name, None, candidate.run_id, before, chosen, commit=provenance.git_commit())


def _apply_gates(
    tracker: Tracker, policy: Policy, made: Decision, champion: ModelVersion | None, tell: Callable[[str], None]
) -> Decision:
    """With the verdict of every gate, which is a look at the test images."""
    beside = None if champion is None else champion.run_id
    with evidence.collect(tracker, policy, made.run_id, beside, tell) as (subject, other):
        verdicts, test = tuple(gates.apply(policy, subject, other)), subject.test_hash
    action = PROMOTE if all(each.passed for each in verdicts) else REFUSE
    return replace(made, action=action, gate_results=verdicts, test_set_uses=_count_test_set_use(tracker, made.run_id, test))


def _register(tracker: Tracker, registry: RegisteredModel, made: Decision) -> Decision:
    """Register the candidate, and carry out what was decided."""
    with lock_model(registry):
        _check_unmoved(registry, made.previous)
        model = evidence.get_model_uri(tracker, made.run_id)
        version = registry.register(made.run_id, model, model_card.write(tracker, made.run_id))
        made = replace(made, version=version.number, at=utc_now())
        _carry_out(tracker, registry, made)
    return made


def rollback(tracker: Tracker, name: str, to_version: int | None = None) -> Decision:
    """Let the champion be what it was before, or a given version; where it is lost, the last one that is there.

    Raises:
        TrackingError: there never was a champion or nothing before it, no such version, or its model is gone.
    """
    registry = RegisteredModel(tracker.client, name)
    with lock_model(registry):
        champion = registry.aliases().get(CHAMPION)
        moves = carried_out_moves(decisions(registry), champion)
        if champion is None and not moves:
            raise TrackingError(f"{name} has no champion and never had one: promote a run first.")
        target = registry.version(_previous_champion(registry, moves, champion) if to_version is None else to_version)
        if target.number == champion:
            raise TrackingError(f"Version {target.number} of {name} is the champion already.")
        if target.number not in {each.version for each in moves}:
            raise TrackingError(
                f"Version {target.number} of {name} never was champion: judge it by tinybench promote {target.run_id}."
            )
        with logged_model.download(target.uri):  # it must still be there
            pass
        decision = Decision(
            ROLLBACK,
            name,
            target.number,
            target.run_id,
            champion,
            "given by its number" if to_version is not None else "the champion before",
            commit=provenance.git_commit(),
        )
        _carry_out(tracker, registry, decision)
    return decision


def decisions(registry: RegisteredModel) -> list[Decision]:
    """All that was decided about a name, the oldest first."""
    return history((each.tags for each in registry.versions()), registry.tags())


def default_name(dataset: str) -> str:
    """The registered model of a data set; MLflow takes no slash or colon in a name."""
    return f"tinybench-{re.sub(r'[^A-Za-z0-9_.-]+', '-', dataset.removeprefix('folder:')).strip('-') or 'model'}"


def resolve_name(tracker: Tracker, name: str | None) -> str:
    """The name that is given, or the only one there is.

    Raises:
        ConfigError: there are several, or none.
    """
    known = model_versions.list_names(tracker.client)
    if name is not None:
        if name not in known:
            raise ConfigError(f"No registered model {name!r}, but {', '.join(known) or 'none'}: check it, or --uri.")
        return name
    if len(known) != 1:
        raise ConfigError(f"Name a registered model: there are {', '.join(known) or 'none'}.")
    return known[0]


def _count_test_set_use(tracker: Tracker, run_id: str, test: str) -> int:
    """Count a look at test images; gives how many there were with it."""
    with lock(tracker.client.tracking_uri, "/looks", _COUNT_TIMEOUT_SECONDS, "counts looks at test images"):
        test_set_uses.add(tracker, tracker.get_run(run_id).info.experiment_id, test)
        return test_set_uses.count(tracker, test)


def _champion_test_hash(tracker: Tracker, champion: ModelVersion | None) -> str | None:
    """Fingerprint of the images that a champion was tested on; None where its run is gone."""
    if champion is None:
        return None
    with suppress(TrackingError):
        found: str | None = tracker.find_top_run(champion.run_id).data.tags.get(TEST_TAG)
        return found
    return None


def _check_unmoved(registry: RegisteredModel, champion: int | None) -> None:
    """Read the champion again: what was judged beside another one counts for nothing."""
    found = registry.aliases().get(CHAMPION)
    if found != champion:
        words = "none" if found is None else f"version {found}"
        raise TrackingError(f"The champion of {registry.name} became {words} meanwhile: judge again beside it.")


def _carry_out(tracker: Tracker, registry: RegisteredModel, decision: Decision) -> None:
    """Write a decision down, then do it."""
    assert decision.version is not None
    run = Run(tracker.client, decision.run_id)
    run.log_text(json.dumps(decision.to_dict(), indent=1), f"{model_card.FOLDER}/{decision.at.replace(':', '')}.json")
    registry.set_version_tags(decision.version, decision.tags())
    if decision.action == REFUSE:
        registry.set_alias(CHALLENGER, decision.version)
        return
    if registry.aliases().get(CHALLENGER) == decision.version:
        registry.delete_alias(CHALLENGER)
    _check_unmoved(registry, decision.previous)  # as late as can be: another machine does not see our lock
    registry.set_alias(CHAMPION, decision.version)
    if registry.aliases().get(CHAMPION) != decision.version:
        raise TrackingError(f"Another machine moved the champion of {registry.name} as well: see its history.")
    registry.set_tags(decision.model_tags())


def _previous_champion(registry: RegisteredModel, moves: list[Decision], champion: int | None) -> int:
    """The champion before this one, of those that are still there; it may be lost, or one that others have made."""
    there = {each.number for each in registry.versions()}
    known = [number for number in champion_versions(moves) if number in there]
    if known and known[-1] == champion:
        known.pop()
    if not known:
        until = "" if champion is None else f" before version {champion}"
        raise TrackingError(f"Nothing that is still there was champion of {registry.name}{until}: name one by --to.")
    return known[-1]


def _check_name(name: str | None) -> str | None:
    """A name that MLflow takes.

    Raises:
        ConfigError: it is none.
    """
    if name is not None and not re.fullmatch(r"[\w .-]{1,200}", name):
        raise ConfigError(f"Invalid value for `--name`: expected letters, digits, spaces, . _ and -, got {name!r}.")
    return name
