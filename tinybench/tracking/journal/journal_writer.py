"""Write a journal for one store, and send it in the background."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from tinybench.core import waiting
from tinybench.core.redaction import redact
from tinybench.tracking import store, tags
from tinybench.tracking.journal.entry_file import Entry
from tinybench.tracking.journal.journal import Journal, is_key
from tinybench.tracking.journal.sender import Sender
from tinybench.tracking.journal.stored_runs import WaitError
from tinybench.tracking.process_identity import describe_process

_CREATE_SECONDS = 5.0  # for which a new run waits for the id that the store gives it

_open_writers: list[JournalWriter] = []  # of this process, until everybody who must know has been told
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_open_writers.clear)  # a child must not close, or remove, its parent's journals


class JournalWriter:
    """The journal of this process for one store, with the thread that sends it.

    Args:
        uri: Address of the store.
        client: A client of the store; None if it does not answer now.
        offline: Whether to leave the entries in the journal until `tinybench sync` sends them.

    Raises:
        TrackingError: The state folder cannot be written.
    """

    def __init__(self, uri: str, client: MlflowClient | None, *, offline: bool = False) -> None:
        self.uri = uri
        self.offline = offline
        self.journal = Journal.create(store.identity(uri), offline=offline)
        self.unsent = 0
        self._offline_count = 0
        self._running: set[str] = set()
        self._known_ids: dict[str, str] = {}  # of runs that were created before, by key
        self._sender = None if offline else Sender(self.journal, uri, client, self._beat)
        self._is_closed = False
        self._write_lock = threading.Lock()
        _open_writers.append(self)

    def write(self, entry: Entry) -> None:
        """Write an entry to the journal; it is sent in the background."""
        entry = _printable(entry)
        if entry["do"] == "end":
            self._running.discard(entry["run"])
        with self._write_lock:  # entries are queued in the order of their numbers
            self.journal.append(entry, self._count if self._sender is None else self._sender.put)

    def _count(self, _: Entry) -> None:
        self._offline_count += 1

    def id_of(self, key: str) -> str:
        """Return the id that the store gave to a run or model; the key while it has given none."""
        return self.journal.sent.ids.get(key) or self._known_ids.get(key, key)

    def wait_for_id(self, key: str) -> str:
        """Wait some seconds for the id of a new run, and return it; the key if the store does not answer."""
        if is_key(key) and self._sender is not None and not self._sender.is_away():
            with waiting.tell_if_slow(f"waiting for {redact(self.journal.uri)} to create the run"):
                self._sender.flush(_CREATE_SECONDS)
        return self.id_of(key)

    def flush(self) -> bool:
        """Send everything that the store takes, and return whether that was all."""
        return self._sender is not None and self._sender.flush()

    def send_left_behind(self) -> None:
        """Send what processes that have ended left on this machine for the store, as far as it takes it."""
        if self._sender is not None:
            self._sender.send_left_behind()

    def count_unsent(self) -> int:
        """Return the number of entries that are not sent."""
        return self._offline_count if self._sender is None else self._sender.count_unsent()

    def login_refusal(self) -> str:
        """Return what a server says that refuses this login, or does not let it write; empty if none does."""
        return self._sender.error if self._sender is not None and self._sender.is_refused else ""

    def take_notice(self) -> str | None:
        """Return a line about the store for the person at the terminal, once; None if there is none."""
        return None if self._sender is None else self._sender.take_notice()

    def store_file(self, source: Path) -> tuple[str, int]:
        """Copy a file into the journal, and return its SHA-256 and its size."""
        return self.journal.store_file(source)

    def close(self) -> None:
        """Send what is left, and end the thread; a journal that is sent is removed."""
        if self._is_closed:
            return
        self._is_closed = True
        is_sent = False
        with suppress(KeyboardInterrupt):  # who waits no longer leaves the rest in the journal
            is_sent = self._sender is not None and self._sender.close()
        self.unsent = self.count_unsent()
        store.empty_write_ahead_log(self.uri)
        if is_sent and not self.journal.sent.refused and self in _open_writers:
            _open_writers.remove(self)
        if is_sent and not self.journal.sent.refused:
            self.journal.remove()
        else:
            self.journal.close()

    def discard(self) -> None:
        """Send what is left, end the thread and delete the journal, whatever the store refused of it."""
        self.close()
        self.journal.remove()
        if self in _open_writers:
            _open_writers.remove(self)

    def _beat(self, client: MlflowClient, resolve: Callable[[str], str]) -> None:
        """Tell the store that the runs of this process are alive."""
        for key in [*self._running]:
            with suppress(MlflowException, WaitError):  # a run that waits to be sent needs no sign of life yet
                client.set_tag(resolve(key), tags.HEARTBEAT, str(int(time.time())))


def _printable(value: Any) -> Any:
    """Return a value in which bytes that are no UTF-8, as of a path, are written out: no store takes them."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list) else value


def now() -> int:
    """Return the current time in milliseconds since 1970, MLflow's unit."""
    return time.time_ns() // 1_000_000


def process_tags() -> dict[str, str]:
    """Return the tags by which others can tell whether this process lives."""
    return {tags.PROCESS: describe_process(), tags.HEARTBEAT: str(int(time.time()))}


def close_all() -> list[str]:
    """Close the journals of this process, and return the lines that the person at the terminal should read."""
    lines = []
    for writer in [*_open_writers]:
        writer.close()
        while (notice := writer.take_notice()) is not None:
            lines.append(notice)
        address = store.display(writer.uri)
        if writer.unsent:
            reason = "" if writer.offline else ", which does not take them"
            lines.append(f"{writer.unsent} entries are not sent to {address}{reason}. Send them with: tinybench sync")
        if writer.unsent and writer.journal.count_unwritten_files():
            lines.append(
                f"{writer.journal.count_unwritten_files()} artifacts are lost: the disk under "
                f"{writer.journal.folder} is full."
            )
        if writer.journal.sent.refused:
            lines.append(
                f"{address} refused {len(writer.journal.sent.refused)} entries. See why with: tinybench status"
            )
    _open_writers.clear()
    return list(dict.fromkeys(lines))
