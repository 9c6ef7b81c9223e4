"""Send what was logged on this machine, or carried here in a bundle, to its tracking store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import filelock

from tinybench.core.errors import ConfigError
from tinybench.tracking import store
from tinybench.tracking.journal import bundle
from tinybench.tracking.journal.journal import Journal, find_journals
from tinybench.tracking.journal.sender import SEND_ERRORS, send_journal
from tinybench.tracking.journal.sent_counts import SentCounts
from tinybench.tracking.journal.stored_runs import WaitError
from tinybench.tracking.links import run_links


@dataclass
class SyncResult:
    """The outcome of sending journals to one store.

    Attributes:
        uri: The store, without a password.
        counts: How many entries were sent, known already and refused.
        damaged: Number of entries that could not be read from the journals.
        unsent: Number of entries that could not be sent.
        links: Addresses of the runs, by their names.
        problems: Why entries could not be sent, or were refused.
    """

    uri: str
    counts: SentCounts = field(default_factory=SentCounts)
    damaged: int = 0
    unsent: int = 0
    links: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """True if the store has every entry."""
        return not (self.unsent or self.damaged or self.counts.refused)


def sync(bundles: Sequence[Path] = (), *, to: str | None = None, retry_refused: bool = False) -> list[SyncResult]:
    """Send journals to their stores, in the order in which they were begun.

    Args:
        bundles: Bundles to send; the journals of this machine if empty. Bundles stay as they are.
        to: Address of the store to send to; of each journal its own if None.
        retry_refused: Whether to send again what a store has refused.

    Raises:
        ConfigError: A bundle cannot be read, or names a store that must be confirmed.
        TrackingError: There can be no store at the address.
    """
    if to is not None:
        store.check_address(to)
    results: dict[str, SyncResult] = {}
    target = None if to is None else store.identity(to)
    paths: Sequence[Path | None] = bundles or [None]
    for path in paths:
        with _open(path, target) as journals:
            for journal in journals:
                uri = to or _address(journal.uri)
                result = results.setdefault(store.identity(uri), SyncResult(store.display(uri)))
                _send(journal, uri, result, keep=path is not None, retry_refused=retry_refused)
    return [*results.values()]


def pack(file: Path) -> int:
    """Write every journal of this machine into one file, and return the number of their entries.

    Raises:
        ConfigError: There is nothing to pack, or the file cannot be written.
    """
    journals = [*find_journals()]
    count = sum(len(journal.read()[0]) for journal in journals)
    if not count:
        raise ConfigError("There is nothing to pack: everything that was logged here has been sent.")
    bundle.pack(journals, file)
    return count


@contextmanager
def _open(path: Path | None, target: str | None) -> Iterator[list[Journal]]:
    if path is not None:
        with bundle.open_bundle(path, target) as journals:
            own = target or store.identity(store.default_uri())
            strange = next((journal.uri for journal in journals if target is None and journal.uri != own), None)
            if strange is not None:  # what MLflow is told to log in with must not go to an address that a file names
                raise ConfigError(
                    f"{path} was written for {store.display(strange)}: confirm it with --to {store.display(strange)}."
                )
            yield journals
    else:
        yield [Journal(journal.folder, target) for journal in find_journals()]


def _address(uri: str) -> str:
    """Return the address of a store with its password, if this is the store that MLflow is told to use."""
    default = store.default_uri()
    return default if store.identity(default) == uri else uri


def _send(journal: Journal, uri: str, result: SyncResult, *, keep: bool, retry_refused: bool) -> None:
    """Send one journal and add the outcome to a result."""
    entries, damaged = journal.read()
    result.damaged += damaged
    if journal.is_written() and not journal.offline:
        result.problems.append(f"The process that writes {journal.folder.name} is alive and sends it.")
        return
    try:
        client = store.connect(uri)
        result.counts += send_journal(journal, client, keep=keep or bool(damaged), retry_refused=retry_refused)
        result.links += run_links(client, uri, entries, journal.sent.ids)
    except filelock.Timeout:
        result.problems.append(f"Another process sends {journal.folder.name}.")
    except WaitError as error:
        result.problems.append(f"{error} Send the journal that holds it as well.")
    except Exception as error:  # whatever it is, the other journals are sent
        kind = "" if isinstance(error, SEND_ERRORS) else f"{type(error).__name__}: "
        result.problems.append(f"{kind}{store.describe_error(error)}")
    result.problems += [f"Refused: {reason}" for reason in journal.sent.refused.values()]
    result.unsent += sum(entry["n"] >= journal.sent.upto for entry in entries)
