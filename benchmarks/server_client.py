"""Clients of a tracking server that write metric batches and read runs, in a process of their own.

`python -m benchmarks.server_client` reads a line of JSON for each period, and prints one with what it measured. It
imports nothing of MLflow, so that the clients leave the processor to the server.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import requests

METRICS = 16  # of a batch
_TIMEOUT_SECONDS = 60


@dataclass
class Period:
    """The work of clients for some seconds.

    Attributes:
        uri: The server.
        experiment: The experiment that they write to.
        writers: Number of clients that write.
        readers: Number of clients that read.
        seconds: How long.
        pause: Seconds between the end of a request and the next one of the same client.
        user: Name and password; None without authentication.
    """

    uri: str
    experiment: str
    writers: int
    readers: int
    seconds: float
    pause: float
    user: list[str] | None = None


@dataclass
class Measured:
    """The measurements of clients.

    Attributes:
        writes: Milliseconds of each metric batch.
        reads: Milliseconds of each search and each metric's history.
        errors: What was answered instead.
    """

    writes: list[float] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def add(self, other: Measured) -> None:
        """Add what other clients measured."""
        self.writes += other.writes
        self.reads += other.reads
        self.errors += other.errors


def run_period(period: Period) -> Measured:
    """Let all clients of a period work at once, and return what they measured."""
    measured = Measured()
    deadline = time.monotonic() + period.seconds
    threads = [threading.Thread(target=_write, args=(period, deadline, measured)) for _ in range(period.writers)]
    threads += [threading.Thread(target=_read, args=(period, deadline, measured)) for _ in range(period.readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return measured


def call(session: requests.Session, uri: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send a request of MLflow's REST API and return the answer.

    Raises:
        RequestException: It is not answered, or with an error; the message says which.
    """
    answer = session.post(f"{uri}/api/2.0/mlflow/{path}", json=body, timeout=_TIMEOUT_SECONDS)
    if not answer.ok:
        raise requests.HTTPError(f"status {answer.status_code}: {' '.join(answer.text.split())[:300]}")
    result: dict[str, Any] = answer.json()
    return result


def _open_session(period: Period) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    if period.user is not None:
        session.auth = (period.user[0], period.user[1])
    return session


def _write(period: Period, deadline: float, measured: Measured) -> None:
    session = _open_session(period)
    try:
        created = call(session, period.uri, "runs/create", {"experiment_id": period.experiment, "start_time": 1})
        run_id = created["run"]["info"]["run_id"]
    except (requests.RequestException, ValueError) as error:
        measured.errors.append(f"create: {error}")
        return
    step = 0
    while time.monotonic() < deadline:
        step += 1
        now = time.time_ns() // 1_000_000
        metrics = [{"key": f"m{n}", "value": step / 7, "timestamp": now, "step": step} for n in range(METRICS)]
        began = time.perf_counter()
        try:
            call(session, period.uri, "runs/log-batch", {"run_id": run_id, "metrics": metrics})
            measured.writes.append(1000 * (time.perf_counter() - began))
        except (requests.RequestException, ValueError) as error:
            measured.errors.append(f"log-batch: {error}")
        time.sleep(period.pause)


def _read(period: Period, deadline: float, measured: Measured) -> None:
    session = _open_session(period)
    query = {"experiment_ids": [period.experiment], "max_results": 50}
    while time.monotonic() < deadline:
        began = time.perf_counter()
        try:
            call(session, period.uri, "runs/search", query)
            measured.reads.append(1000 * (time.perf_counter() - began))
        except (requests.RequestException, ValueError) as error:
            measured.errors.append(f"search: {error}")
        time.sleep(2 * period.pause)


def main() -> None:
    """Carry out the periods that are given by the standard input."""
    for line in sys.stdin:
        print(json.dumps(asdict(run_period(Period(**json.loads(line))))), flush=True)


if __name__ == "__main__":
    main()
