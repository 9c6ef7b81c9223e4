"""Print registered models: the result of a promotion, the history of decisions, the models and their versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markdown import Markdown
from rich.text import Text

from tinybench.core.errors import TrackingError
from tinybench.display.fitted_table import Column, number_columns, print_table
from tinybench.display.plain_lines import print_text
from tinybench.registry.decision import PROMOTE, REFUSE, Decision, champion_moves
from tinybench.tracking.model_versions import CHALLENGER, CHAMPION, RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console as Terminal

    from tinybench.registry.promotion import PromotionResult

_HISTORY_COLUMNS = (
    Column("time (UTC)", head=True),
    Column("decision", wraps=True, head=True),
    *number_columns("from", "to"),
    "author",
    "commit",
    Column("reason", wraps=True),
)
_ACTIONS = {PROMOTE: "promoted", REFUSE: "refused"}


def print_promotion(result: PromotionResult, terminal: Terminal) -> None:
    """Print the candidate, the champion, the result of every gate and the decision."""
    decision, champion = result.decision, result.champion
    print_text(terminal, f"Candidate: run {decision.run_id}, {decision.selection}.")
    if result.already_champion:
        print_text(terminal, f"It is already the champion of {decision.name}: version {decision.previous}.")
        return
    if champion is None:
        print_text(terminal, f"Champion of {decision.name}: none.")
        print_text(terminal, "Only gates that need no champion are evaluated, such as accuracy.min_accuracy.")
    else:
        print_text(terminal, f"Champion of {decision.name}: version {champion.number}, run {champion.run_id}.")
    rows = [
        (gate.gate, Text("passed", "green") if gate.passed else Text("failed", "red"), gate.observed, gate.limit)
        for gate in decision.gate_results
    ]
    columns = (
        Column("gate", head=True),
        Column("result", head=True),
        Column("value", wraps=True),
        Column("limit", wraps=True),
    )
    print_table(terminal, columns, rows)
    if decision.disabled_gates:
        print_text(terminal, f"Disabled gates, not evaluated: {', '.join(decision.disabled_gates)}.")
    decisions = "1 decision" if decision.test_set_uses == 1 else f"{decision.test_set_uses} decisions"
    print_text(terminal, f"These test images have been used for {decisions}: with every use they prove less.")
    print_text(terminal, _conclusion(result))


def _conclusion(result: PromotionResult) -> str:
    decision = result.decision
    failed_gates = ", ".join(gate_result.gate for gate_result in decision.failed_gates)
    if result.dry_run:
        outcome = "promoted" if result.promoted else f"refused by {failed_gates}"
        return f"It would be {outcome}. Nothing was registered or moved."
    if result.promoted:
        return f"Version {decision.version} is champion: models:/{decision.name}@{CHAMPION}"
    return f"Refused by {failed_gates}. Version {decision.version} is challenger: models:/{decision.name}@{CHALLENGER}"


def print_history(
    model: RegisteredModel, decisions: Sequence[Decision], terminal: Terminal, version: int | None = None
) -> None:
    """Print every decision about a model, the oldest first, or only those about one of its versions."""
    if not decisions:
        print_text(terminal, "There are no decisions yet.")
        return
    carried_out = {move.decided_at for move in champion_moves(decisions, model.aliases().get(CHAMPION))}
    rows = []
    for decision in decisions:
        if version in (None, decision.version):
            action = _ACTIONS.get(decision.action, "rolled back")
            if decision.action != REFUSE and decision.decided_at not in carried_out:
                action += ", but interrupted before it was carried out"
            previous = "" if decision.previous is None else str(decision.previous)
            start = (decision.decided_at[:19].replace("T", " "), action, previous, str(decision.version))
            rows.append((*start, decision.author, decision.commit[:8], _reason(decision)))
    print_table(terminal, _HISTORY_COLUMNS, rows)
    existing = {version.number for version in model.versions()}
    newest = max(existing | {decision.version for decision in decisions if decision.version is not None})
    deleted = ", ".join(str(number) for number in range(1, newest + 1) if number not in existing)
    if deleted:
        print_text(
            terminal,
            f"Deleted versions: {deleted}. The results of their gates are in the folder registry/ of their runs.",
        )


def _reason(decision: Decision) -> str:
    """Return the gates that failed, or else how the run was selected, and what limits the decision."""
    failed_gates = [f"{gate.gate}: {gate.observed} (limit: {gate.limit})" for gate in decision.failed_gates]
    notes = [] if decision.complete else ["its version has been deleted"]
    if decision.disabled_gates:
        notes.append(f"disabled gates: {', '.join(decision.disabled_gates)}")
    return "; ".join([", ".join(failed_gates) or decision.selection, *notes])


def print_registered_models(models: Sequence[RegisteredModel], terminal: Terminal) -> None:
    """Print one row per registered model."""
    if not models:
        print_text(terminal, "No model is registered yet: tinybench promote registers one.")
        return
    rows = []
    for model in models:
        numbers = model.aliases()
        champion, challenger = (str(numbers.get(alias, "")) for alias in (CHAMPION, CHALLENGER))
        rows.append((model.name, str(len(model.versions())), champion, challenger))
    print_table(terminal, ("name", *number_columns("versions", "champion", "challenger")), rows)


def print_model_version(
    model: RegisteredModel, number: int | None, decisions: Sequence[Decision], terminal: Terminal
) -> None:
    """Print the model card of a version, of the champion when None, and the decisions about it.

    Raises:
        TrackingError: There is no such version, or no champion.
    """
    version = model.get_by_alias(CHAMPION) if number is None else model.version(number)
    if version is None:
        raise TrackingError(f"{model.name} has no champion: give a version with --version.")
    numbers = model.aliases()
    aliases = [f", {alias}" for alias in (CHAMPION, CHALLENGER) if numbers.get(alias) == version.number]
    print_text(terminal, f"Version {version.number} of {version.name}{''.join(aliases)}: {version.uri}")
    terminal.print(Markdown(version.description))
    print_history(model, decisions, terminal, version.number)
