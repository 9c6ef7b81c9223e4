"""A folder with a real MLflow server that can be killed and started again, and processes that log to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
from mlflow.tracking import MlflowClient

from benchmarks.stored_runs import Outcome, check_run
from tinybench.commands.sync import sync
from tinybench.tracking import tags

_START_SECONDS = 90


class Setup:
    """A folder with a server and the processes that log to it.

    Args:
        folder: An empty folder.
        backend: Address of the server's database; a SQLite file if None.
    """

    def __init__(self, folder: Path, backend: str | None = None) -> None:
        self.folder = folder
        self.backend = backend or f"sqlite:///{folder}/server.db"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._server: subprocess.Popen[bytes] | None = None
        os.environ["TINYBENCH_STATE"] = str(folder / "state")

    def start_server(self) -> None:
        """Start the server, or start it again."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", self.backend, "--workers", "1"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._server = subprocess.Popen(command, env=environment, cwd=self.folder, start_new_session=True, **quiet)
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            try:
                if requests.get(f"{self.uri}/health", timeout=1).ok:
                    return
            except requests.RequestException:
                time.sleep(0.2)
        raise TimeoutError("the server did not start")

    def kill_server(self) -> None:
        """Kill the server at once."""
        if self._server is not None:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
            self._server = None

    def train(self, name: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a `tinybench` command that trains; its record is `<name>.jsonl`."""
        command = [sys.executable, "-m", "benchmarks.recorded_training", str(self.folder / f"{name}.jsonl"), *arguments]
        return self._start(command, {})

    def start(self, name: str, epochs: int = 20, seconds: float = 0.25, **options: str) -> subprocess.Popen[str]:
        """Start a process that logs; its record is `<name>.jsonl`.

        Args:
            name: Name of the record.
            epochs: Number of epochs.
            seconds: Length of an epoch.
            **options: `uri`, and variables of the environment.
        """
        uri = options.pop("uri", self.uri)
        command = [sys.executable, "-m", "benchmarks.logging_process", uri, str(self.folder / f"{name}.jsonl")]
        return self._start([*command, str(epochs), str(seconds)], options)

    def _start(self, command: list[str], variables: dict[str, str]) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])} | variables
        with (self.folder / "errors.txt").open("a") as errors:
            return subprocess.Popen(
                command, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=errors
            )

    def finish(self, process: subprocess.Popen[str]) -> Outcome:
        """Wait for a process that `start` started, and return its times."""
        result = json.loads(self._wait(process).strip().splitlines()[-1])
        return Outcome(share=result["per_epoch"], wait=result["waited"])

    def finish_training(self, name: str, process: subprocess.Popen[str]) -> Outcome:
        """Wait for a process that `train` started, and return its times."""
        self._wait(process)
        seconds = json.loads((self.folder / f"{name}.jsonl.seconds").read_text())
        return Outcome(share=seconds["training"] / seconds["lasted"], wait=seconds["start"] + seconds["end"])

    def _wait(self, process: subprocess.Popen[str]) -> str:
        output, _ = process.communicate(timeout=600)
        if process.returncode:
            raise RuntimeError((self.folder / "errors.txt").read_text()[-2000:])
        return output

    def check(self, name: str, *, ended: bool = True, uri: str | None = None) -> Outcome:
        """Compare a record with the store.

        Args:
            name: Name of the record.
            ended: Whether the runs must be FINISHED.
            uri: The store; the server if None.
        """
        outcome = Outcome()
        client = MlflowClient(uri or self.uri)
        record = [json.loads(line) for line in (self.folder / f"{name}.jsonl").read_text().splitlines()]
        for key in dict.fromkeys(line[1] for line in record):
            runs = client.search_runs(["0", "1"], f"tags.`{tags.KEY}` = '{key}'")
            if len(runs) != 1:
                (outcome.lost if not runs else outcome.doubled).append(f"{name}: run {key} is there {len(runs)} times")
                continue
            lines = [line for line in record if line[1] == key]
            check_run(client, runs[0].info.run_id, lines, outcome)
            if ended and runs[0].info.status != "FINISHED":
                outcome.lost.append(f"{name}: run {key} is {runs[0].info.status}")
        return outcome

    def sync(self) -> None:
        """Send everything that processes left, as `tinybench sync` does."""
        sync(to=self.uri)


@contextmanager
def running_setup(backend: str | None = None, *, server: bool = True) -> Iterator[Setup]:
    """Yield a setup in a folder of its own, with the server running."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        setup = Setup(Path(folder), backend)
        if server:
            setup.start_server()
        try:
            yield setup
        finally:
            setup.kill_server()
