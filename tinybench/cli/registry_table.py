"""Registered models on the terminal: the table of a decision, the history, the versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from tinybench.core.errors import TrackingError
from tinybench.registry.decision import PROMOTE, REFUSE, Decision, effective
from tinybench.tracking.model_versions import CHALLENGER, CHAMPION, Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console as Terminal

    from tinybench.registry.promotion import Outcome

_DONE = {PROMOTE: "promoted", REFUSE: "refused"}


def show(done: Outcome, terminal: Terminal) -> None:
    """What a promotion came to."""
    made, champion = done.decision, done.champion
    _line(terminal, f"Candidate: run {made.run_id}, {made.chosen}.")
    if done.already:
        _line(terminal, f"It is the champion of {made.name} already: version {made.before}.")
        return
    words = "none" if champion is None else f"version {champion.number}, run {champion.run_id}"
    _line(terminal, f"Champion of {made.name}: {words}.")
    if champion is None:
        _line(terminal, "Nothing is compared: limits that need no champion are judged, such as accuracy.min_accuracy.")
    terminal.print(_gates(made))
    if made.off:
        _line(terminal, f"Switched off, so not judged: {', '.join(made.off)}.")
    times = "once" if made.looks == 1 else f"{made.looks} times"
    _line(terminal, f"These test images have been used to decide {times} by now: each time they say less.")
    _line(terminal, _conclusion(done))


def _conclusion(done: Outcome) -> str:
    made = done.decision
    why = ", ".join(each.gate for each in made.failed)
    if done.dry:
        words = "promoted" if done.promoted else f"refused by {why}"
        return f"It would be {words}. Nothing was registered or moved."
    if done.promoted:
        return f"Version {made.version} is champion: models:/{made.name}@{CHAMPION}"
    return f"Refused by {why}. Version {made.version} is challenger: models:/{made.name}@{CHALLENGER}"


def _gates(made: Decision) -> Table:
    table = Table("gate", "", "found", "limit")
    for each in made.verdicts:
        mark = "[green]holds[/green]" if each.holds else "[red]fails[/red]"
        table.add_row(each.gate, mark, escape(each.found), escape(each.limit))
    return table


def history(registry: Registry, decisions: Sequence[Decision], terminal: Terminal, version: int | None = None) -> None:
    """Every decision, the oldest first; with `version` those about it."""
    if not decisions:
        _line(terminal, "Nothing was decided yet.")
        return
    moved = {each.at for each in effective(decisions, registry.aliases().get(CHAMPION))}
    table = Table("when (UTC)", "who", "what", "from", "to", "why", "commit")
    for each in (one for one in decisions if version in (None, one.version)):
        what = _DONE.get(each.action, "rolled back")
        if each.action != REFUSE and each.at not in moved:
            what += ", but ended before it was done"
        why = ", ".join(f"{gate.gate}: {gate.found} (limit: {gate.limit})" for gate in each.failed) or each.chosen
        why += "" if each.whole else "; its version was deleted since"
        why += f"; not judged: {', '.join(each.off)}" if each.off else ""
        before = "" if each.before is None else str(each.before)
        table.add_row(
            each.at[:19].replace("T", " "), each.who, what, before, str(each.version), escape(why), each.commit[:8]
        )
    terminal.print(table)
    there = {each.number for each in registry.versions()}
    newest = max(there | {each.version for each in decisions if each.version is not None})
    gone = ", ".join(str(number) for number in range(1, newest + 1) if number not in there)
    if gone:
        _line(terminal, f"Deleted versions: {gone}. What the gates said of them is in registry/ of their runs.")


def listed(known: Sequence[Registry], terminal: Terminal) -> None:
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


def version(registry: Registry, number: int | None, decisions: Sequence[Decision], terminal: Terminal) -> None:
    """A version's card and its decisions.

    Raises:
        TrackingError: there is no such version, or no champion.
    """
    found = registry.at(CHAMPION) if number is None else registry.version(number)
    if found is None:
        raise TrackingError(f"{registry.name} has no champion: name a version by --version.")
    at = registry.aliases()
    aliases = [alias for alias in (CHAMPION, CHALLENGER) if at.get(alias) == found.number]
    _line(terminal, f"Version {found.number} of {found.name}{''.join(f', {alias}' for alias in aliases)}: {found.uri}")
    terminal.print(Markdown(found.description))
    history(registry, decisions, terminal, found.number)


def _line(terminal: Terminal, text: str) -> None:
    terminal.print(text, highlight=False, soft_wrap=True, markup=False)
