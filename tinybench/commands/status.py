"""List what was logged on this machine and is not sent, by store and run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinybench.core.redaction import redact
from tinybench.tracking.journal.journal import Journal, find_journals, find_unreadable


@dataclass
class UnsentRun:
    """A run with entries that its store does not have.

    Attributes:
        uri: The store.
        run: The id of the run; its key if the store has not given it an id.
        name: Its name; empty if no journal of this machine created it.
        unsent: Number of entries that are not sent.
        refused: Number of entries that the store refused for ever.
        size: Bytes of the artifacts that are not sent.
        is_written: Whether a living process writes to it.
        reasons: The store's reasons for refusing entries.
    """

    uri: str
    run: str
    name: str = ""
    unsent: int = 0
    refused: int = 0
    size: int = 0
    is_written: bool = False
    reasons: tuple[str, ...] = ()


def list_unsent() -> list[UnsentRun]:
    """Return the runs of this machine that are not wholly sent, in the order in which they were begun."""
    runs: dict[tuple[str, str], UnsentRun] = {}
    for journal in find_journals():
        _add_journal(runs, journal)
    return [run for run in runs.values() if run.unsent or run.refused]


def list_unreadable() -> list[Path]:
    """Return the folders of this machine that hold entries which this version of tinybench cannot read."""
    return find_unreadable()


def _add_journal(runs: dict[tuple[str, str], UnsentRun], journal: Journal) -> None:
    is_written = journal.is_written()
    for entry in journal.read()[0]:
        key = str(entry["run"])
        row = runs.setdefault(
            (journal.uri, key), UnsentRun(redact(journal.uri), journal.sent.ids.get(key, key), is_written=is_written)
        )
        if entry["do"] in ("create", "adopt"):
            row.name = entry["name"]
        if entry["n"] in journal.sent.refused:
            row.refused += 1
            row.reasons = (*row.reasons, journal.sent.refused[entry["n"]])
        elif entry["n"] >= journal.sent.upto:
            row.unsent += 1
            row.size += sum(file["size"] for file in entry.get("files", [entry] if "size" in entry else []))
