"""Runs that are written to whether or not the tracking store answers.

What cannot be sent is kept in a file, in its order, and sent when the store answers again: by the process that wrote
it, or by another one later. A store that does not answer is left alone for a while, so that training does not wait
for it. MLflow's metrics are keyed by their moment, so what is sent twice is one point.
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

from tinybench.core.errors import in_one_line
from tinybench.core.redaction import without_secrets

_ENTRY_TAG = "tinybench.entry"  # of a run: by it a run is found that was made by somebody who then died
_UNSENT = "unsent-"  # begins the stand-in for the id of a run that could not be made yet
_PAUSE = 15.0  # seconds that a store which does not answer is left alone
_REFUSED = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST", "INVALID_STATE", "PERMISSION_DENIED")
_LONGEST_TAG = 5000

Entry = dict[str, Any]


def be_brief() -> None:
    """Let MLflow give up soon, before it is loaded: by default one call goes on for minutes."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")


def client(uri: str | None) -> MlflowClient:
    """Of a store that need not answer now; MLflow's default when None."""
    return MlflowClient(uri)


class Journal:
    """Writes to runs of one store, by one process.

    Attributes:
        refused: What the store answered to entries that it will never take.
    """

    def __init__(self, client: MlflowClient, file: Path) -> None:
        """Args: a client of the store, and the file for what cannot be sent."""
        self.client = client
        self.spool = file
        self.refused: list[str] = []
        self._silent_until = 0.0
        self._made: dict[str, str] = {}
        self._held: list[Entry] = []  # what the disk did not take either

    def create(self, experiment: str, name: str, tags: Mapping[str, str]) -> str:
        """A new run; gives its id, or a stand-in for it when the store does not answer."""
        key = f"{_UNSENT}{uuid.uuid4().hex}"
        about = {"experiment": experiment, "name": name, "tags": {**tags, _ENTRY_TAG: key}, "at": self.now()}
        self._write({"do": "create", "run": key} | about)
        return self._made.get(key, key)

    def params(self, run: str, values: Mapping[str, str]) -> None:
        """Log parameters, at most 100."""
        self._write({"do": "params", "run": run, "values": {key: without_secrets(v) for key, v in values.items()}})

    def metrics(self, run: str, values: Mapping[str, float], step: int, timestamp: int) -> None:
        """Log values of one moment."""
        self._write({"do": "metrics", "run": run, "values": {**values}, "step": step, "at": timestamp})

    def tags(self, run: str, values: Mapping[str, Any]) -> None:
        """Set tags."""
        self._write(
            {"do": "tags", "run": run, "values": {key: str(value)[:_LONGEST_TAG] for key, value in values.items()}}
        )

    def text(self, run: str, text: str, path: str) -> None:
        """Store text as an artifact."""
        self._write({"do": "text", "run": run, "text": text, "path": path})

    def end(self, run: str, status: str) -> None:
        """Mark a run as ended now."""
        self._write({"do": "end", "run": run, "status": status, "at": self.now()})

    @staticmethod
    def now() -> int:
        """Milliseconds since 1970, as MLflow counts."""
        return int(time.time() * 1000)

    def file(self, run: str, file: Path, folder: str) -> None:
        """Store a file as an artifact; it must stay until it is sent."""
        self._write({"do": "file", "run": run, "file": str(file), "folder": folder})

    def known(self, run: str) -> str:
        """The id of a run that had a stand-in, once it was made."""
        return self._made.get(run, run)

    @staticmethod
    def stands_in(run: str) -> bool:
        """Whether this is no run's id, but holds the place of one that could not be made yet."""
        return run.startswith(_UNSENT)

    def unsent(self) -> int:
        """Entries that are kept."""
        return len(_entries(self.spool)) + len(self._held)

    def send(self) -> int:
        """Send what is in the file, as far as the store takes it; gives how many entries are left."""
        if not (self.spool.exists() or self._held):
            return 0
        left = [*_entries(self.spool), *self._held]
        while left and self._sent(left[0], again=True):
            left.pop(0)
        self._held = []
        try:
            self._keep(left)
        except OSError:  # a full disk: what is in the file was sent before it is written anew, or is held here
            self._held = left
        return len(left)

    def _keep(self, entries: list[Entry]) -> None:
        """Write the file anew."""
        if not entries:
            self.spool.unlink(missing_ok=True)
            return
        part = self.spool.with_suffix(".part")
        part.write_text("".join(json.dumps(self._resolved(each)) + "\n" for each in entries), "utf-8")
        part.replace(self.spool)

    def _write(self, entry: Entry) -> None:
        if time.monotonic() < self._silent_until or self.send() or not self._sent(entry):
            try:
                self.spool.parent.mkdir(parents=True, exist_ok=True)
                with self.spool.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(self._resolved(entry)) + "\n")
            except OSError:  # writing a journal never ends what it tells of
                self._held.append(entry)

    def _sent(self, entry: Entry, *, again: bool = False) -> bool:
        """Whether an entry needs no more sending: it was taken, or will never be; `again` it was tried before."""
        try:
            self._send(self._resolved(entry), again=again)
        except (MlflowException, SQLAlchemyError, requests.RequestException, OSError) as error:
            gone = entry["do"] == "file" and not Path(entry["file"]).exists()
            if gone or (isinstance(error, MlflowException) and error.error_code in _REFUSED):
                self.refused.append(without_secrets(in_one_line(error)))
                return True
            self._silent_until = time.monotonic() + _PAUSE
            return False
        return True

    def _found(self, entry: Entry) -> MlflowRun | None:
        """The run of an entry that was sent already, by a process that died before it could say so."""
        known = self.client.search_runs([entry["experiment"]], f"tags.`{_ENTRY_TAG}` = '{entry['run']}'")
        return known[0] if known else None

    def _resolved(self, entry: Entry) -> Entry:
        tags = {key: self.known(value) for key, value in entry.get("tags", {}).items()}  # the run that it belongs to
        return entry | {"run": self.known(entry["run"])} | ({"tags": tags} if tags else {})

    def _send(self, entry: Entry, *, again: bool) -> None:
        run, values, do = entry["run"], entry.get("values", {}), entry["do"]
        if do == "create":
            found = self._found(entry) if again else None
            made = (
                self.client.create_run(entry["experiment"], entry["at"], entry["tags"], entry["name"])
                if found is None
                else found
            )
            self._made[run] = made.info.run_id
        elif do == "params":
            self.client.log_batch(run, params=[Param(key, value) for key, value in values.items()])
        elif do == "metrics":
            self.client.log_batch(run, metrics=[Metric(k, v, entry["at"], entry["step"]) for k, v in values.items()])
        elif do == "tags":
            self.client.log_batch(run, tags=[RunTag(key, value) for key, value in values.items()])
        elif do == "text":
            self.client.log_text(run, entry["text"], entry["path"])
        elif do == "file":
            self.client.log_artifact(run, entry["file"], entry["folder"] or None)
        else:
            self.client.set_terminated(run, entry["status"], entry["at"])


def _entries(file: Path) -> list[Entry]:
    """Those of a file; a line that a killed process did not finish is left out."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = []
    for line in lines:
        with suppress(ValueError):
            found.append(json.loads(line))
    return found
