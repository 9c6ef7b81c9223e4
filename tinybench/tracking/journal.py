"""Write to MLflow runs without waiting for a tracking store that does not answer.

An entry that cannot be sent is appended to a spool file. The file is sent, in its order, as soon as the store answers:
by the process that wrote it, or later by another one. After a failed attempt the store is not contacted for some
seconds, so that training does not wait for it. MLflow identifies a point of a metric by its timestamp, so an entry that
is sent twice adds no second point.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
from mlflow.entities import Metric, Param, RunTag
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from tinybench.core import atomic
from tinybench.core.errors import format_error
from tinybench.core.redaction import redact
from tinybench.tracking import tags
from tinybench.tracking.run import MAX_PARAMS_PER_CALL, MAX_TAG_LENGTH

_PLACEHOLDER = "unsent-"  # prefix of the temporary id of a run that could not be created yet
_PAUSE_SECONDS = 15.0  # for which a store that did not answer is not contacted
_PERMANENT_ERRORS = (
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_DOES_NOT_EXIST",
    "BAD_REQUEST",
    "INVALID_STATE",
    "PERMISSION_DENIED",
)

Entry = dict[str, Any]


def limit_retries() -> None:
    """Let MLflow's calls fail within seconds instead of minutes; call it before MLflow's first request."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")


def connect(uri: str | None) -> MlflowClient:
    """Return a client of a store that need not answer now; of MLflow's default store when None."""
    return MlflowClient(uri)


class Journal:
    """Writer to the runs of one store, used by one process.

    Args:
        client: A client of the store.
        file: The spool file for entries that cannot be sent.

    Attributes:
        client: The client of the store.
        spool: The spool file.
        rejected: The store's error messages for entries that it will never accept.
    """

    def __init__(self, client: MlflowClient, file: Path) -> None:
        self.client = client
        self.spool = file
        self.rejected: list[str] = []
        self._silent_until = 0.0
        self._run_ids: dict[str, str] = {}  # by placeholder
        self._unwritten: list[Entry] = []  # entries that could not be written to the spool file either

    def create_run(self, experiment: str, name: str, run_tags: Mapping[str, str]) -> str:
        """Create a run and return its id, or a placeholder for the id when the store does not answer."""
        placeholder = f"{_PLACEHOLDER}{uuid.uuid4().hex}"
        all_tags = {**run_tags, tags.JOURNAL_ENTRY: placeholder}
        entry = {"do": "create", "run": placeholder, "experiment": experiment, "name": name, "tags": all_tags}
        self._write(entry | {"at": self.now()})
        return self.resolve_id(placeholder)

    def log_params(self, run: str, values: Mapping[str, str]) -> None:
        """Log parameters."""
        params = [(key, redact(value)) for key, value in values.items()]
        for start in range(0, len(params), MAX_PARAMS_PER_CALL):
            self._write({"do": "params", "run": run, "values": dict(params[start : start + MAX_PARAMS_PER_CALL])})

    def log_metrics(self, run: str, values: Mapping[str, float], step: int, timestamp: int) -> None:
        """Log metrics of one moment, given in milliseconds since 1970."""
        self._write({"do": "metrics", "run": run, "values": {**values}, "step": step, "at": timestamp})

    def set_tags(self, run: str, values: Mapping[str, Any]) -> None:
        """Set tags; values become text of at most 5,000 characters."""
        texts = {key: str(value)[:MAX_TAG_LENGTH] for key, value in values.items()}
        self._write({"do": "tags", "run": run, "values": texts})

    def log_text(self, run: str, text: str, path: str) -> None:
        """Store text as an artifact."""
        self._write({"do": "text", "run": run, "text": text, "path": path})

    def log_artifact(self, run: str, file: Path, folder: str) -> None:
        """Store a file as an artifact; the file must stay where it is until it is sent."""
        self._write({"do": "file", "run": run, "file": str(file), "folder": folder})

    def end(self, run: str, status: str) -> None:
        """Mark a run as ended now."""
        self._write({"do": "end", "run": run, "status": status, "at": self.now()})

    @staticmethod
    def now() -> int:
        """Return the current time in milliseconds since 1970, MLflow's unit."""
        return int(time.time() * 1000)

    def resolve_id(self, run: str) -> str:
        """Return the id of a run: for a placeholder the real id, if the run has been created since."""
        return self._run_ids.get(run, run)

    @staticmethod
    def is_placeholder(run: str) -> bool:
        """Return whether this is the placeholder for the id of a run that could not be created yet."""
        return run.startswith(_PLACEHOLDER)

    def count_pending(self) -> int:
        """Return the number of entries that have not been sent."""
        return len(_read_entries(self.spool)) + len(self._unwritten)

    def flush(self) -> int:
        """Send the pending entries in their order until one fails, and return how many remain."""
        if not (self.spool.exists() or self._unwritten):
            return 0
        pending = [*_read_entries(self.spool), *self._unwritten]
        while pending and self._try_send(pending[0], retry=True):
            pending.pop(0)
        self._unwritten = []
        try:
            self._rewrite_spool(pending)
        except OSError:  # a full disk: the old file may hold entries that were sent, and sending them again is harmless
            self._unwritten = pending
        return len(pending)

    def _rewrite_spool(self, entries: list[Entry]) -> None:
        if entries:
            atomic.write_text(self.spool, "".join(self._as_line(entry) for entry in entries))
        else:
            self.spool.unlink(missing_ok=True)

    def _as_line(self, entry: Entry) -> str:
        return json.dumps(self._resolve(entry)) + "\n"

    def _write(self, entry: Entry) -> None:
        """Send an entry after all earlier ones, or append it to the spool file."""
        if time.monotonic() < self._silent_until or self.flush() or not self._try_send(entry):
            try:
                self.spool.parent.mkdir(parents=True, exist_ok=True)
                with self.spool.open("a", encoding="utf-8") as file:
                    file.write(self._as_line(entry))
            except OSError:  # a full disk must not end the training that is being logged
                self._unwritten.append(entry)

    def _try_send(self, entry: Entry, *, retry: bool = False) -> bool:
        """Return whether an entry is settled, that is, accepted or rejected for good by the store.

        Args:
            entry: The entry to send.
            retry: Whether the entry may have been sent before.
        """
        try:
            self._send(self._resolve(entry), retry=retry)
        except (MlflowException, SQLAlchemyError, requests.RequestException, OSError) as error:
            is_missing_file = entry["do"] == "file" and not Path(entry["file"]).exists()
            if is_missing_file or (isinstance(error, MlflowException) and error.error_code in _PERMANENT_ERRORS):
                self.rejected.append(redact(format_error(error)))
                return True
            self._silent_until = time.monotonic() + _PAUSE_SECONDS
            return False
        return True

    def _find_run(self, entry: Entry) -> MlflowRun | None:
        """Return the run that an entry created, if a process sent the entry and died before it noted the run's id."""
        query = f"tags.`{tags.JOURNAL_ENTRY}` = '{entry['run']}'"
        return next(iter(self.client.search_runs([entry["experiment"]], query)), None)

    def _resolve(self, entry: Entry) -> Entry:
        """Return an entry with real ids instead of placeholders, also in the tag that names the parent run."""
        run_tags = {key: self.resolve_id(value) for key, value in entry.get("tags", {}).items()}
        return entry | {"run": self.resolve_id(entry["run"])} | ({"tags": run_tags} if run_tags else {})

    def _send(self, entry: Entry, *, retry: bool) -> None:
        run, values, action = entry["run"], entry.get("values", {}), entry["do"]
        if action == "create":
            created = self._find_run(entry) if retry else None
            if created is None:
                created = self.client.create_run(entry["experiment"], entry["at"], entry["tags"], entry["name"])
            self._run_ids[run] = created.info.run_id
        elif action == "params":
            self.client.log_batch(run, params=[Param(key, value) for key, value in values.items()])
        elif action == "metrics":
            self.client.log_batch(run, metrics=[Metric(k, v, entry["at"], entry["step"]) for k, v in values.items()])
        elif action == "tags":
            self.client.log_batch(run, tags=[RunTag(key, value) for key, value in values.items()])
        elif action == "text":
            self.client.log_text(run, entry["text"], entry["path"])
        elif action == "file":
            self.client.log_artifact(run, entry["file"], entry["folder"] or None)
        else:
            self.client.set_terminated(run, entry["status"], entry["at"])


def _read_entries(file: Path) -> list[Entry]:
    """Return the entries of a spool file, without a line that a killed process did not finish."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    entries = []
    for line in lines:
        with suppress(ValueError):
            entries.append(json.loads(line))
    return entries
