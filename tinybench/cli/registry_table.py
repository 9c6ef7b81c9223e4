"""Registered models on the terminal: the table of a decision, the history, the versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from tinybench.core.errors import TrackingError
from tinybench.registry.decision import PROMOTE, REFUSE, Decision, carried_out_moves
from tinybench.tracking.model_versions import CHALLENGER, CHAMPION, RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console as Terminal

    from tinybench.registry.promotion import PromotionResult

_DONE = {PROMOTE: "promoted", REFUSE: "refused"}


def print_promotion(done: PromotionResult, terminal: Terminal) -> None:
    """What a promotion came to."""
    made, champion = done.decision, done.champion
    _line(terminal, f"Candidate: run {made.run_id}, {made.selection}.")
    if done.already_champion:
        _line(terminal, f"It is the champion of {made.name} already: version {made.previous}.")
        return
    words = "none" if champion is None else f"version {champion.number}, run {champion.run_id}"
    _line(terminal, f"Champion of {made.name}: {words}.")
    if champion is None:
        _line(terminal, "Nothing is compared: limits that need no champion are judged, such as accuracy.min_accuracy.")
    terminal.print(_gates(made))
    if made.disabled_gates:
        _line(terminal, f"Switched off, so not judged: {', '.join(made.disabled_gates)}.")
    times = "once" if made.test_set_uses == 1 else f"{made.test_set_uses} times"
    _line(terminal, f"These test images have been used to decide {times} by now: each time they say less.")
    _line(terminal, _conclusion(done))


def _conclusion(done: PromotionResult) -> str:
    made = done.decision
    why = ", ".join(each.gate for each in made.failed_gates)
    if done.dry_run:
        words = "promoted" if done.promoted else f"refused by {why}"
        return f"It would be {words}. Nothing was registered or moved."
    if done.promoted:
        return f"Version {made.version} is champion: models:/{made.name}@{CHAMPION}"
    return f"Refused by {why}. Version {made.version} is challenger: models:/{made.name}@{CHALLENGER}"


def _gates(made: Decision) -> Table:
    table = Table("gate", "", "found", "limit")
    for each in made.gate_results:
        mark = "[green]holds[/green]" if each.passed else "[red]fails[/red]"
        table.add_row(each.gate, mark, escape(each.observed), escape(each.limit))
    return table


def print_history(registry: RegisteredModel, decisions: Sequence[Decision], terminal: Terminal, version: int | None = None) -> None:
    """Every decision, the oldest first; with `version` those about it."""
    if not decisions:
        _line(terminal, "Nothing was decided yet.")
        return
    moved = {each.decided_at for each in carried_out_moves(decisions, registry.aliases().get(CHAMPION))}
    table = Table("when (UTC)", "who", "what", "from", "to", "why", "commit")
    for each in (one for one in decisions if version in (None, one.version)):
        what = _DONE.get(each.action, "rolled back")
        if each.action != REFUSE and each.decided_at not in moved:
            what += ", but ended before it was done"
        why = ", ".join(f"{gate.gate}: {gate.observed} (limit: {gate.limit})" for gate in each.failed_gates) or each.selection
        why += "" if each.complete else "; its version was deleted since"
        why += f"; not judged: {', '.join(each.disabled_gates)}" if each.disabled_gates else ""
        before = "" if each.previous is None else str(each.previous)
        table.add_row(
            each.decided_at[:19].replace("T", " "), each.author, what, before, str(each.version), escape(why), each.commit[:8]
        )
    terminal.print(table)
    there = {each.number for each in registry.versions()}
    newest = max(there | {each.version for each in decisions if each.version is not None})
    gone = ", ".join(str(number) for number in range(1, newest + 1) if number not in there)
    if gone:
        _line(terminal, f"Deleted versions: {gone}. What the gates said of them is in registry/ of their runs.")


def print_registered_models(known: Sequence[RegisteredModel], terminal: Terminal) -> None:
    """Registered models, a line each."""
    if not known:
        _line(terminal, "No model is registered yet: tinybench promote registers one.")
        return
    table = Table("name", "versions", "champion", "challenger")
    for each in known:
        at = each.aliases()
        table.add_row(
            each.name, str(len(each.versions())), *(str(at.get(alias, "")) for alias in (CHAMPION, CHALLENGER))
        )
    terminal.print(table)


def print_model_version(registry: RegisteredModel, number: int | None, decisions: Sequence[Decision], terminal: Terminal) -> None:
    """A version's card and its decisions.

    Raises:
        TrackingError: there is no such version, or no champion.
    """
    found = registry.get_by_alias(CHAMPION) if number is None else registry.version(number)
    if found is None:
        raise TrackingError(f"{registry.name} has no champion: name a version by --version.")
    at = registry.aliases()
    aliases = [alias for alias in (CHAMPION, CHALLENGER) if at.get(alias) == found.number]
    _line(terminal, f"Version {found.number} of {found.name}{''.join(f', {alias}' for alias in aliases)}: {found.uri}")
    terminal.print(Markdown(found.description))
    print_history(registry, decisions, terminal, found.number)


def _line(terminal: Terminal, text: str) -> None:
    terminal.print(text, highlight=False, soft_wrap=True, markup=False)
