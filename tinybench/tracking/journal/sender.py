"""Send a journal in the background while its process goes on writing it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import filelock
from mlflow.tracking import MlflowClient

from tinybench.core.errors import TrackingError
from tinybench.tracking import dead_runs, store, tags
from tinybench.tracking.journal.entry_file import Entry
from tinybench.tracking.journal.journal import Journal, find_journals
from tinybench.tracking.journal.replay import Progress, Replay
from tinybench.tracking.journal.sent_counts import SentCounts
from tinybench.tracking.journal.stored_runs import WaitError

_GATHER_SECONDS = 0.2  # in which entries gather that are then sent together
_SYNC_SECONDS = 1.0  # between two requests to the system to write the journal to the disk
_FIRST_PAUSE_SECONDS, _MAX_PAUSE_SECONDS = 1.0, 15.0  # for which a store that did not answer is not contacted
_NO_PROGRESS_SECONDS = 30.0  # after which `flush` waits no longer for a store that answers nothing
_HEARTBEAT_SECONDS = 30.0
_SILENT_SECONDS = 60.0  # after which others may have taken over a run: they wait for ten minutes without a heartbeat
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine sleeps, where there is one

SEND_ERRORS = (*store.STORE_ERRORS, TrackingError)
"""What sending may raise when the store does not take entries now."""


class Sender:
    """A thread that sends the entries of a journal, after those that earlier processes left.

    Args:
        journal: The journal, which this process writes.
        uri: Address of the store.
        client: A client of the store; None if it did not answer when the process began.
        heartbeat: Called with the client and a function that returns the id of a run, every 30 seconds.
    """

    def __init__(
        self,
        journal: Journal,
        uri: str,
        client: MlflowClient | None,
        heartbeat: Callable[[MlflowClient, Callable[[str], str]], None],
    ) -> None:
        self.journal = journal
        self.error = ""
        self.is_refused = False
        self._uri = uri
        self._client = client
        self._heartbeat = heartbeat
        self._replay: Replay | None = None
        self._queue: deque[Entry] = deque()
        self._changed = threading.Condition()
        self._notices: deque[str] = deque()
        self._own_runs: set[str | None] = set()  # that this process writes to
        self._has_counted_dead = False
        self._begun_attempts = self._ended_attempts = 0
        self._is_flushing = False
        self._try_now = False  # also during a pause after a failed attempt
        self._is_closing = False
        self._next_heartbeat = 0.0
        self._progress_at = time.monotonic()
        self._answered_at = time.clock_gettime(_CLOCK)
        self._thread = threading.Thread(target=self._run, name="tinybench-sender", daemon=True)
        self._thread.start()

    def put(self, entry: Entry) -> None:
        """Queue an entry of the journal; returns at once."""
        self._own_runs.add(entry.get("run"))
        self._queue.append(entry)  # the thread looks at the queue several times a second

    def is_away(self) -> bool:
        """Return whether the store did not answer the last time, or has not answered yet."""
        return bool(self.error) or self._client is None

    def count_unsent(self) -> int:
        """Return the number of entries that are not settled."""
        return len(self._queue)

    def flush(self, seconds: float | None = None) -> bool:
        """Wait until everything is sent, or until the store does not answer.

        Args:
            seconds: The longest time to wait; as long as the store takes entries if None.

        Returns:
            True if everything is sent.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        with self._changed:
            self._is_flushing = self._try_now = True
            self._progress_at = time.monotonic()
            begun_attempts = self._begun_attempts  # one of them may go on, and fail although the store answers now
            self._changed.notify_all()
            try:
                while self._queue and self._thread.is_alive():
                    now = time.monotonic()
                    if self.error and self._ended_attempts > begun_attempts:
                        break
                    if now > self._progress_at + _NO_PROGRESS_SECONDS or (deadline is not None and now > deadline):
                        break
                    self._changed.wait(0.05)
            finally:
                self._is_flushing = False
        return not self._queue

    def send_left_behind(self) -> None:
        """Send the journals that other processes left, as far as the store takes them."""
        if self._client is not None:
            with suppress(*SEND_ERRORS):
                send_left_behind(self._uri, self._client)

    def take_notice(self) -> str | None:
        """Return a line about the store for the person at the terminal, once; None if there is none."""
        return self._notices.popleft() if self._notices else None

    def close(self, seconds: float | None = None) -> bool:
        """Send what is left as `flush` does, and end the thread; return whether everything is sent."""
        is_sent = self.flush(seconds)
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(5 if is_sent else 0.2)  # one that waits for the store ends with the process
        return is_sent

    def _run(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        next_attempt = next_sync = 0.0
        while not self._is_closing:
            with self._changed:
                self._changed.wait(_GATHER_SECONDS if not self._is_flushing else 0.005)
            now = time.monotonic()
            if now >= next_sync:
                self.journal.flush()
                next_sync = now + _SYNC_SECONDS
            if not (self._queue or now >= self._next_heartbeat) or not (now >= next_attempt or self._try_now):
                continue
            self._try_now = False
            self._begun_attempts += 1
            try:
                self._send()
                self._beat_if_due()
                pause, next_attempt = _FIRST_PAUSE_SECONDS, 0.0
            except Exception as error:  # whatever it is, the entries stay in the journal
                self._note_failure(error)
                next_attempt = time.monotonic() + pause
                pause = min(2 * pause, _MAX_PAUSE_SECONDS)
            with self._changed:
                self._ended_attempts += 1
                self._changed.notify_all()
        self.journal.flush()

    def _send(self) -> None:
        replay = self._connect()
        if time.clock_gettime(_CLOCK) - self._answered_at > _SILENT_SECONDS:
            replay.runs.forget_marks()
        while self._queue:
            entries = list(self._queue)[:2000]
            try:
                with self.journal.send_lock.acquire(timeout=_NO_PROGRESS_SECONDS):
                    replay.send(entries)
                if not self._has_counted_dead:  # once this process has marked the run that it resumes as its own
                    self._has_counted_dead = True
                    self._note_dead_runs()
            finally:
                while self._queue and self._queue[0]["n"] < self.journal.sent.upto:
                    self._queue.popleft()
                    self._note_progress()
            if self.error:
                self._notices.append(f"{store.display(self._uri)} answers again: sending what was logged meanwhile.")
                self.error = ""
        self.is_refused = False  # the store took everything

    def _connect(self) -> Replay:
        if self._client is None:
            self._client = store.connect(self._uri)
        if self._replay is None:
            send_left_behind(self._uri, self._client, self._note_progress)
            self._replay = Replay(self.journal, self._client, on_progress=self._on_progress)
        return self._replay

    def _note_dead_runs(self) -> None:
        """Have the person at the terminal told of runs whose process is gone, besides those that this one resumes."""
        assert self._client is not None
        dead = []
        with suppress(*store.STORE_ERRORS):  # a notice is not worth waiting for
            dead = [item.run for item in dead_runs.list_dead(self._client)]
        count = sum(not {run.info.run_id, run.data.tags.get(tags.PARENT_RUN)} & self._own_runs for run in dead)
        if count:
            runs = "1 run is" if count == 1 else f"{count} runs are"
            address = "" if self._uri == store.default_uri() else f" --uri {store.display(self._uri)}"
            self._notices.append(f"{runs} marked RUNNING although the process is gone: see tinybench repair{address}.")

    def _note_progress(self) -> None:
        self._progress_at = time.monotonic()
        self._answered_at = time.clock_gettime(_CLOCK)

    def _on_progress(self) -> None:
        self._note_progress()
        self._beat_if_due()

    def _beat_if_due(self) -> None:
        """Show that this process lives, also while there is more to send than the store takes."""
        now = time.monotonic()
        if now >= self._next_heartbeat:
            self._beat()
            self._next_heartbeat = now + _HEARTBEAT_SECONDS

    def _beat(self) -> None:
        if self._client is not None and self._replay is not None:
            self._heartbeat(self._client, self._replay.runs.resolve)
            self._answered_at = time.clock_gettime(_CLOCK)

    def _note_failure(self, error: Exception) -> None:
        if not self.error:
            self._notices.append(
                f"{store.display(self._uri)}: {store.describe_error(error)} What is logged stays on this machine "
                "and is sent when it can be; training goes on."
            )
        self.error = store.describe_error(error)
        self.is_refused = store.is_refused(error)


def send_journal(
    journal: Journal,
    client: MlflowClient,
    *,
    keep: bool = False,
    retry_refused: bool = False,
    on_progress: Progress | None = None,
) -> SentCounts:
    """Send a journal that no other process sends, and remove it if everything in it is sent and its writer is gone.

    Args:
        journal: The journal.
        client: A client of the store.
        keep: Whether the journal stays in any case.
        retry_refused: Whether to send again what the store has refused.
        on_progress: Called when entries are settled.

    Raises:
        Timeout: Another process sends the journal.
        Exception: One of `SEND_ERRORS`; what was sent before it stays sent.
    """
    with journal.send_lock.acquire(timeout=0):
        journal.reload()
        refused = frozenset(journal.sent.refused) if retry_refused else frozenset()
        if refused:
            journal.restart_sending(journal.sent.ids)
        replay = Replay(journal, client, again=refused, on_progress=on_progress)
        entries, _ = journal.read()
        settled = [entry["n"] for entry in entries if entry["n"] < journal.sent.upto]
        refused_count = sum(number in journal.sent.refused for number in settled)
        earlier = SentCounts(known=len(settled) - refused_count, refused=refused_count)
        replay.send(entries)
        if replay.merge_duplicates():
            replay.send(entries)
        is_kept = keep or journal.sent.refused or journal.is_written()
        if not is_kept and journal.is_settled():  # the writer may have ended, and written more, while this was sent
            journal.remove()
        return earlier + replay.counts


def send_left_behind(uri: str, client: MlflowClient, on_progress: Progress | None = None) -> None:
    """Send the journals that earlier processes left for a store; those that must wait for others are passed over.

    Raises:
        Exception: One of `SEND_ERRORS`: the store does not take entries now.
    """
    for journal in find_journals(store.identity(uri)):
        if not journal.is_written():
            try:
                send_journal(journal, client, on_progress=on_progress)
            except (filelock.Timeout, WaitError):
                continue
            except Exception:  # of this journal, unless the store does not answer: it must not hold up the others
                store.ping(uri)
                client.search_experiments(max_results=1)
