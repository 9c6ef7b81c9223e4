"""List what may not be removed although it was deleted, and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from tinybench.core.errors import TrackingError
from tinybench.service.collection.contents import Contents, StoredVersion, by_value
from tinybench.service.collection.layout import ID_PATTERN
from tinybench.tracking.journal.journal import (
    ABOUT_NAME,
    Journal,
    find_journals,
    is_key,
    journals_folder,
)

Need = tuple[str, str]
"""The id of a run, logged model or experiment, and who needs it."""


def list_needed(contents: Contents) -> dict[str, str]:
    """Return who needs a run, logged model or experiment, by its id.

    Whatever else needs runs is added here, as one more generator: for example the rows of a leaderboard.

    Raises:
        TrackingError: A journal of this machine cannot be read.
    """
    needed: dict[str, str] = {}
    for needs in (_needed_by_versions(contents), _needed_by_journals(contents), _needed_by_counts(contents)):
        for id_, reason in needs:
            needed.setdefault(id_, reason)
    return needed


def _needed_by_versions(contents: Contents) -> Iterator[Need]:
    """Yield the model of each registered version, the run that trained it and the runs with its predictions.

    A gate reads the predictions for test images from the run of the last phase, which is a child run. A run that was
    continued by another one is part of how the version came about.
    """
    children = by_value(contents.parents)
    for version in sorted(contents.versions, key=lambda version: (not version.aliases, not version.was_champion)):
        reason = _describe(version)
        ids = {*ID_PATTERN.findall(" ".join((version.run, *version.sources)))}
        runs = {id_ for id_ in ids if id_ in contents.runs}
        runs |= {contents.models[id_].run for id_ in ids if id_ in contents.models}
        for id_ in ids | runs:
            yield id_, reason
        for id_ in _reachable(runs, children, contents):
            yield id_, f"{reason}, of which it is part"


def _reachable(runs: Iterable[str], children: dict[str, list[str]], contents: Contents) -> set[str]:
    """Return the runs below some runs, those that they continue, and the runs below these."""
    reached: set[str] = set()
    waiting = [*runs]
    while waiting:
        run = waiting.pop()
        if run not in reached:
            reached.add(run)
            waiting += children.get(run, [])
            waiting += [contents.sources[run]] if run in contents.sources else []
    return reached


def _describe(version: StoredVersion) -> str:
    text = f"version {version.number} of {version.name}"
    if version.aliases:
        return f"{text} ({', '.join(version.aliases)})"
    return f"{text} (a former champion: rollback may go back to it)" if version.was_champion else text


def _needed_by_journals(contents: Contents) -> Iterator[Need]:
    """Yield what the unsent journals of this machine write to, for whatever address of the server."""
    reason = "an unsent journal of this machine: send it with tinybench sync"
    named = {id_ for journal in _read_journals() for id_ in _named_in(journal)}
    for id_ in named:
        yield id_, reason
    for run, key in contents.keys.items():
        if key in named:
            yield run, reason


def _read_journals() -> Iterator[Journal]:
    """Yield the journals that are not wholly sent.

    Raises:
        TrackingError: There is one that this version of tinybench cannot read.
    """
    read = set()
    for journal in find_journals():
        read.add(journal.folder)
        if journal.is_written() or not journal.is_settled():
            yield journal
    for about in journals_folder().glob(f"*/{ABOUT_NAME}"):
        if about.parent not in read and about.parent.suffix != ".part":
            Journal(about.parent)  # says why it cannot be read; a new one can be


def _named_in(journal: Journal) -> Iterator[str]:
    """Yield every id and key that a journal names."""
    entries, damaged = journal.read()
    if damaged:
        raise TrackingError(
            f"{damaged} entries of the journal {journal.folder} cannot be read, so what they write to is unknown: send "
            "it with tinybench sync first."
        )
    yield from journal.sent.ids.values()
    for entry in entries:
        yield from (word for word in entry.values() if isinstance(word, str) and is_key(word))
        yield from ID_PATTERN.findall(json.dumps(entry))


def _needed_by_counts(contents: Contents) -> Iterator[Need]:
    for experiment in contents.experiments.values():
        if experiment.counts_test_uses:
            yield experiment.id, "the count of how often test images were used, which its tags hold"
