"""Promote a run to champion, and roll back: the page to read first of this package.

A candidate is chosen, compared with the champion by the gates, and registered with its model card. It gets the alias
`champion` if it passes every gate, else the alias `challenger`. The decision is written before the alias is moved. The
move is a single write to the store: if the process is killed, the champion is either the old or the new one.
"""

from __future__ import annotations

import json
import re
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.html_table import html_table
from tinybench.core.redaction import redact
from tinybench.core.suggestion import suggest
from tinybench.data.load_request import short_name
from tinybench.registry import candidates, evidence, gates, model_card
from tinybench.registry.decision import (
    PROMOTE,
    REFUSE,
    ROLLBACK,
    Decision,
    champion_moves,
    champion_versions,
    history,
    utc_now,
    withdrawn_runs,
)
from tinybench.registry.locks import lock, lock_model
from tinybench.tracking import logged_model, model_versions, provenance, queries, references, tags, test_set_uses
from tinybench.tracking.model_versions import CHALLENGER, CHAMPION, ModelVersion, RegisteredModel
from tinybench.training.run_callbacks import RunCallbacks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow.entities import Run as MlflowRun

    from tinybench.registry.candidates import Candidate, CandidateQuery
    from tinybench.registry.policy import Policy
    from tinybench.tracking.tracker import Tracker

_COUNT_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class PromotionResult:
    """The result of a promotion.

    Attributes:
        decision: What was decided.
        candidate: The run.
        champion: The version that was champion before; None if there was none.
        dry_run: Nothing was registered or moved.
        already_champion: The candidate was champion before, so no gate was applied.
    """

    decision: Decision
    candidate: Candidate
    champion: ModelVersion | None
    dry_run: bool = False
    already_champion: bool = False

    @property
    def promoted(self) -> bool:
        """True if the candidate is champion; in a dry run, if it would be."""
        return self.decision.action == PROMOTE

    def _repr_html_(self) -> str:
        """Return a table of the gates, with the decision as its caption."""
        decision = self.decision
        outcome = "promoted" if self.promoted else "refused"
        if self.already_champion:
            outcome = "already champion"
        elif self.dry_run:
            outcome = f"would be {outcome}"
        caption = f"{decision.name}: run {decision.run_id} {outcome}"
        rows = [
            (result.gate, "passed" if result.passed else "failed", result.observed, result.limit)
            for result in decision.gate_results
        ]
        return html_table(["gate", "result", "value", "limit"], rows, caption)


def promote(
    tracker: Tracker,
    query: CandidateQuery,
    policy: Policy,
    *,
    name: str | None = None,
    dry_run: bool = False,
    callbacks: RunCallbacks | None = None,
) -> PromotionResult:
    """Compare a candidate with the champion, and make it champion if it passes every gate.

    Args:
        tracker: The store of runs and models.
        query: The conditions that the candidate must meet.
        policy: The gates.
        name: The registered model; `tinybench-<dataset>` when None.
        dry_run: Only apply the gates; this counts as a use of the test images, too.
        callbacks: Receives a message before each step that takes long.

    Raises:
        ConfigError: The query is ambiguous or the name is not allowed.
        TrackingError: There is no such run or model, or the champion was moved by another process meanwhile.
    """
    _check_name(name)
    if query.run_id is not None:
        query = replace(query, run_id=references.find_run_id(tracker, query.run_id))
    runs = candidates.find_runs(tracker, query)
    model = RegisteredModel(tracker.client, name or default_name(candidates.common_dataset(runs)))
    past_decisions = decisions(model)
    champion, moves = _read_champion(model, past_decisions, dry_run=dry_run)
    if name is None and champion is not None:
        _check_same_folder(tracker, champion, runs)
    test_hash = None if policy.data is None or champion is None else _find_test_hash(tracker, champion)
    candidate = candidates.choose(runs, query, test_hash, withdrawn_runs(moves))
    decision = _propose(model.name, candidate, champion, past_decisions)
    if champion is not None and champion.run_id == candidate.run_id:
        decision = replace(decision, version=champion.number)
        return PromotionResult(decision, candidate, champion, dry_run, already_champion=True)
    decision = _apply_gates(tracker, policy, decision, champion, callbacks or RunCallbacks())
    if not dry_run:
        decision = _register(tracker, model, decision)
    return PromotionResult(decision, candidate, champion, dry_run)


def _read_champion(
    model: RegisteredModel, past_decisions: list[Decision], *, dry_run: bool
) -> tuple[ModelVersion | None, list[Decision]]:
    """Return the champion and the decisions that moved it.

    Raises:
        TrackingError: The champion is lost, or tinybench did not make it, or another process is about to move it.
    """
    with nullcontext() if dry_run else lock_model(model):  # fails now rather than after minutes of measuring
        champion = model.get_by_alias(CHAMPION)
    if champion is not None and not champion.made_by_tinybench:
        raise TrackingError(f"{champion.uri}, the champion, was not made by tinybench: give another --name.")
    moves = champion_moves(past_decisions, None if champion is None else champion.number)
    if champion is None and moves:
        raise TrackingError(
            f"{model.name} has lost its champion, version {moves[-1].version}: bring a former one back by tinybench "
            f"rollback {model.name}, so that there is one to compare with, or begin another model by --name."
        )
    return champion, moves


def _check_same_folder(tracker: Tracker, champion: ModelVersion, runs: Sequence[MlflowRun]) -> None:
    """Raise if the champion was trained on another folder with the same name, of other images.

    Raises:
        ConfigError: It was.
    """
    with suppress(TrackingError):  # its run is gone: the gate of the data judges
        run = tracker.find_top_run(champion.run_id)
        theirs, ours = queries.param(run, "dataset"), candidates.common_dataset(runs)
        fingerprints = {each.data.tags.get(tags.DATA_FINGERPRINT) for each in runs}
        if theirs != ours and run.data.tags.get(tags.DATA_FINGERPRINT) not in fingerprints:
            raise ConfigError(
                f"{champion.uri}, the champion, was trained on {theirs}, and the run on {ours}, a folder of the same "
                "name with other images: give another --name."
            )


def _find_test_hash(tracker: Tracker, champion: ModelVersion) -> str | None:
    """Return the hash of the images that the champion was tested on; None if its run is gone."""
    with suppress(TrackingError):
        test_hash: str | None = tracker.find_top_run(champion.run_id).data.tags.get(tags.TEST_HASH)
        return test_hash
    return None


def _propose(
    name: str, candidate: Candidate, champion: ModelVersion | None, past_decisions: list[Decision]
) -> Decision:
    """Return the decision to promote the candidate, before any gate has been applied."""
    previous = None if champion is None else champion.number
    selection = candidate.selection
    refusals = [
        past.decided_at
        for past in past_decisions
        if (past.action, past.run_id, past.previous) == (REFUSE, candidate.run_id, previous)
    ]
    if refusals:
        selection += f"; already refused against this champion on {refusals[-1][:10]}"
    return Decision(PROMOTE, name, None, candidate.run_id, previous, selection, commit=provenance.git_commit())


def _apply_gates(
    tracker: Tracker, policy: Policy, decision: Decision, champion: ModelVersion | None, callbacks: RunCallbacks
) -> Decision:
    """Return the decision after all gates, and count this use of the test images."""
    champion_run = None if champion is None else champion.run_id
    with evidence.collect(tracker, policy, decision.run_id, champion_run, callbacks) as (candidate_model, compared):
        results = tuple(gates.apply(policy, candidate_model, compared))
    uses = _count_test_set_use(tracker, decision.run_id, candidate_model.test_hash)
    action = PROMOTE if all(result.passed for result in results) else REFUSE
    return replace(decision, action=action, gate_results=results, test_set_uses=uses)


def _count_test_set_use(tracker: Tracker, run_id: str, test_hash: str) -> int:
    """Count one more use of test images, and return how often they have been used."""
    activity = "counts uses of test images"
    with lock(tracker.client.tracking_uri, "/looks", _COUNT_TIMEOUT_SECONDS, activity):
        test_set_uses.add(tracker, tracker.get_run(run_id).info.experiment_id, test_hash)
        return test_set_uses.count(tracker, test_hash)


def _register(tracker: Tracker, model: RegisteredModel, decision: Decision) -> Decision:
    """Register the candidate, and carry out the decision about it."""
    with lock_model(model):
        _check_unmoved(model, decision.previous)
        model_uri = evidence.get_model_uri(tracker, decision.run_id)
        version = model.register(decision.run_id, model_uri, model_card.write(tracker, decision.run_id))
        decision = replace(decision, version=version.number, decided_at=utc_now())
        _carry_out(tracker, model, decision)
    return decision


def rollback(tracker: Tracker, name: str, to_version: int | None = None) -> Decision:
    """Make an earlier champion the champion again.

    Args:
        tracker: The store.
        name: The registered model.
        to_version: The version; None for the champion before the present one, or, if the champion is lost, for the last
            one that still exists.

    Raises:
        TrackingError: There is no earlier champion or no such version, or its model is gone.
    """
    model = RegisteredModel(tracker.client, name)
    with lock_model(model):
        champion = model.aliases().get(CHAMPION)
        moves = champion_moves(decisions(model), champion)
        if champion is None and not moves:
            raise TrackingError(f"{name} has no champion and never had one: promote a run first.")
        target = model.version(_previous_champion(model, moves, champion) if to_version is None else to_version)
        if target.number == champion:
            raise TrackingError(f"Version {target.number} of {name} is the champion already.")
        if target.number not in {move.version for move in moves}:
            raise TrackingError(
                f"Version {target.number} of {name} never was champion: judge it by tinybench promote {target.run_id}."
            )
        with logged_model.download(target.uri):  # raises if the model is gone
            pass
        selection = "the champion before" if to_version is None else "given by its number"
        decision = Decision(
            ROLLBACK, name, target.number, target.run_id, champion, selection, commit=provenance.git_commit()
        )
        _carry_out(tracker, model, decision)
    return decision


def _previous_champion(model: RegisteredModel, moves: list[Decision], champion: int | None) -> int:
    """Return the version that was champion before the present one and still exists.

    The present champion may be lost, and it may be a version that another program made champion.
    """
    existing = {version.number for version in model.versions()}
    champions = [number for number in champion_versions(moves) if number in existing]
    if champions and champions[-1] == champion:
        champions.pop()
    if not champions:
        until = "" if champion is None else f" before version {champion}"
        raise TrackingError(f"No version that still exists was champion of {model.name}{until}: name one by --to.")
    return champions[-1]


def _carry_out(tracker: Tracker, model: RegisteredModel, decision: Decision) -> None:
    """Write a decision down, then move the aliases.

    Raises:
        TrackingError: Another machine moved the champion meanwhile.
    """
    assert decision.version is not None
    file = f"{model_card.FOLDER}/{decision.decided_at.replace(':', '')}.json"
    tracker.amend(tracker.get_run(decision.run_id)).log_text(json.dumps(decision.to_dict(), indent=1), file)
    tracker.require_flush()
    model.set_version_tags(decision.version, decision.version_tags())
    if decision.action == REFUSE:
        model.set_alias(CHALLENGER, decision.version)
        return
    if model.aliases().get(CHALLENGER) == decision.version:
        model.delete_alias(CHALLENGER)
    _check_unmoved(model, decision.previous)  # as late as possible: the lock does not keep other machines away
    model.set_alias(CHAMPION, decision.version)
    if model.aliases().get(CHAMPION) != decision.version:
        raise TrackingError(f"Another machine moved the champion of {model.name} as well: see its history.")
    model.set_tags(decision.model_tags())


def _check_unmoved(model: RegisteredModel, champion: int | None) -> None:
    """Raise if the champion is no longer the one that the candidate was compared with."""
    current = model.aliases().get(CHAMPION)
    if current != champion:
        text = "none" if current is None else f"version {current}"
        raise TrackingError(f"The champion of {model.name} became {text} meanwhile: judge again beside it.")


def decisions(model: RegisteredModel) -> list[Decision]:
    """Return all decisions about a registered model, the oldest first."""
    return history((version.tags for version in model.versions()), model.tags())


def default_name(dataset: str) -> str:
    """Return the name of a data set's registered model, without the slashes and colons that MLflow does not allow."""
    return f"tinybench-{re.sub(r'[^A-Za-z0-9_.-]+', '-', short_name(dataset)).strip('-') or 'model'}"


def resolve_name(tracker: Tracker, name: str | None) -> str:
    """Return the name of a registered model: the given one, or the only one in the store if None.

    Raises:
        ConfigError: There is no such model, or there are several or none to choose from.
    """
    names = model_versions.list_names(tracker.client)
    if not names:
        raise ConfigError(
            f"No model is registered in {redact(tracker.uri)} yet: tinybench promote registers one. Or check --uri."
        )
    if name is None and len(names) > 1:
        raise ConfigError(f"Name a registered model: there are {', '.join(names)}.")
    if name not in (None, *names):
        near = suggest(str(name), names) or suggest(default_name(str(name)), names)
        raise ConfigError(f"No registered model {name!r}, but {', '.join(names)}.{near} Check the name, or --uri.")
    return name or names[0]


def _check_name(name: str | None) -> None:
    """Raise ConfigError unless MLflow allows a name."""
    if name is not None and not re.fullmatch(r"[\w .-]{1,200}", name):
        raise ConfigError(f"Invalid value for `--name`: expected letters, digits, spaces, . _ and -, got {name!r}.")
