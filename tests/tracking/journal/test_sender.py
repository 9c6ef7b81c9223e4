"""The thread that sends a journal to a real MLflow server which is killed, stopped and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from mlflow.entities import Run as MlflowRun
from mlflow.tracking import MlflowClient
from processes import ROOT, python
from servers import Server
from small_runs import points

from tinybench.config.sections import TrackConfig
from tinybench.tracking import tags
from tinybench.tracking.journal import journal_writer, sender
from tinybench.tracking.journal.journal import find_journals, is_key
from tinybench.tracking.tracker import Tracker

NO_SERVER = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def whole_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server")).start()
    yield made
    made.kill()


@pytest.fixture
def server(whole_server: Server) -> Iterator[Server]:
    """A server that runs as the test begins, and runs again after it."""
    yield whole_server
    if not whole_server.is_running():
        whole_server.start()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(sender, "_FIRST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(sender, "_MAX_PAUSE_SECONDS", 0.1)


def open_tracker(server: Server) -> Tracker:
    return Tracker(TrackConfig(uri=server.uri), may_be_away=True)


@pytest.fixture
def tracker(server: Server) -> Iterator[Tracker]:
    with closing(open_tracker(server)) as opened:
        yield opened


def runs_named(server: Server, name: str) -> list[MlflowRun]:
    return list(MlflowClient(server.uri).search_runs(["0", "1"], f"attributes.run_name = '{name}'"))


def wait_until(condition: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_entries_are_sent_without_a_flush(server: Server, tracker: Tracker) -> None:
    run = tracker.writer.create_run({"id": "0"}, "background", {})
    run.log_metrics({"a": 1.0}, 1, 1)
    wait_until(lambda: tracker.writer.count_unsent() == 0)
    assert points(server.uri, run.id) == {("a", 1, 1, "1.0"): 1}


def test_what_is_logged_without_a_server_is_sent_by_the_next_process(server: Server) -> None:
    server.kill()
    with closing(open_tracker(server)) as tracker:
        assert tracker.error is not None
        run = tracker.writer.create_run({"id": "0"}, "later", {})
        run.log_metrics({"a": 1.0}, 1, 1)
        run.end("FINISHED")
        assert not tracker.writer.flush()
        assert is_key(run.id)
        assert tracker.writer.count_unsent() == 3
    (journal,) = find_journals()
    assert not journal.is_written()
    server.start()
    with closing(open_tracker(server)) as other:
        other.writer.create_run({"id": "0"}, "next", {}).end("FINISHED")
        assert other.writer.flush()
    (found,) = runs_named(server, "later")
    assert found.info.status == "FINISHED"
    assert points(server.uri, found.info.run_id) == {("a", 1, 1, "1.0"): 1}
    assert not [*find_journals()], "the journals of both processes are removed"


def test_a_server_that_dies_in_the_middle_and_comes_back_costs_two_notices(server: Server, tracker: Tracker) -> None:
    run = tracker.writer.create_run({"id": "0"}, "middle", {})
    run.log_metrics({"val/loss": 2.0}, 1, 1000)
    assert tracker.writer.flush()
    run_id = run.id
    server.kill()
    run.log_metrics({"val/loss": 1.0}, 2, 2000)
    run.set_tags({"state": "done"})
    assert not tracker.writer.flush()
    assert not tracker.writer.flush(), "still away"
    assert tracker.writer.count_unsent() == 2
    notice = tracker.writer.take_notice()
    assert notice is not None
    assert "it does not answer. What is logged stays on this machine" in notice
    assert tracker.writer.take_notice() is None, "it is told once"
    server.start()
    run.end("FINISHED")
    assert tracker.writer.flush()
    assert "answers again" in str(tracker.writer.take_notice())
    assert tracker.writer.take_notice() is None
    (found,) = runs_named(server, "middle")
    assert (found.info.run_id, found.info.status) == (run_id, "FINISHED")
    assert found.data.tags["state"] == "done"
    assert points(server.uri, run_id) == {("val/loss", 1, 1000, "2.0"): 1, ("val/loss", 2, 2000, "1.0"): 1}


def test_what_was_not_sent_at_the_end_is_told_with_the_command_that_sends_it() -> None:
    journal_writer.close_all()
    tracker = Tracker(TrackConfig(uri=NO_SERVER), may_be_away=True)
    tracker.writer.create_run({"id": "0"}, "told", {}).end("FINISHED")
    notice, last = journal_writer.close_all()
    assert f"{NO_SERVER}: it does not answer" in notice
    assert last == f"2 entries are not sent to {NO_SERVER}, which does not take them. Send them with: tinybench sync"
    assert journal_writer.close_all() == []


@pytest.mark.parametrize("state", ["dead", "silent"])
def test_logging_does_not_wait_for_a_server(server: Server, tracker: Tracker, state: str) -> None:
    run = tracker.writer.create_run({"id": "0"}, f"not waited for, {state}", {})
    assert tracker.writer.flush()
    if state == "dead":
        server.kill()
    else:
        server.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    for step in range(1000):
        run.log_metrics({"a": 1.0}, step, step)
    assert time.monotonic() - began < 2
    if state == "dead":
        server.start()
    else:
        server.send_signal(signal.SIGCONT)
    assert tracker.writer.flush()
    stored = points(server.uri, run.id)
    assert (len(stored), {*stored.values()}) == (1000, {1})


def test_a_flush_ends_though_the_server_is_silent(
    server: Server, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    run = tracker.writer.create_run({"id": "0"}, "silent", {})
    assert tracker.writer.flush()
    server.send_signal(signal.SIGSTOP)
    try:
        run.log_metrics({"a": 1.0}, 1, 1)
        began = time.monotonic()
        assert not tracker.writer.flush()
        assert time.monotonic() - began < 15
        assert "it gives no answer in time" in str(tracker.writer.take_notice())
    finally:
        server.send_signal(signal.SIGCONT)
    assert tracker.writer.flush()
    assert points(server.uri, run.id) == {("a", 1, 1, "1.0"): 1}


_LOG_AND_DIE = """
import os, signal, sys
from tinybench.config.sections import TrackConfig
from tinybench.tracking.tracker import Tracker
tracker = Tracker(TrackConfig(uri=sys.argv[1]), may_be_away=True)
run = tracker.writer.create_run({"id": "0"}, sys.argv[2], {})
for step in range(3000):
    run.log_metrics({"loss": step / 7, "accuracy": 0.5}, step, 1_700_000_000_000 + step)
run.log_text("hello", "notes/a.txt")
print("logged", flush=True)
if sys.argv[3] == "while it sends":
    while tracker.writer.count_unsent() == 3002:
        pass
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("moment", ["at once", "while it sends"])
def test_what_a_killed_process_logged_is_sent_once_by_the_next(server: Server, moment: str) -> None:
    name = f"killed {moment}"
    process = python(_LOG_AND_DIE, server.uri, name, moment)
    output, errors = process.communicate(timeout=120)
    assert (process.returncode, output) == (-signal.SIGKILL, "logged\n"), errors
    with closing(open_tracker(server)) as other:
        other.writer.create_run({"id": "0"}, "next", {}).end("FINISHED")
        assert other.writer.flush()
    (found,) = runs_named(server, name)
    stored = points(server.uri, found.info.run_id)
    assert (len(stored), {*stored.values()}) == (6000, {1})
    assert [item.path for item in MlflowClient(server.uri).list_artifacts(found.info.run_id, "notes")] == [
        "notes/a.txt"
    ]
    assert not [*find_journals()]


def test_a_server_that_is_killed_while_it_receives_has_everything_once(server: Server, tracker: Tracker) -> None:
    run = tracker.writer.create_run({"id": "0"}, "killed receiver", {})
    for step in range(6000):
        run.log_metrics({"loss": step / 7, "accuracy": 0.5}, step, 1_700_000_000_000 + step)
    wait_until(lambda: not is_key(run.id))
    server.kill()
    server.start()
    assert tracker.writer.flush()
    stored = points(server.uri, run.id)
    assert (len(stored), {*stored.values()}) == (12_000, {1})


def test_who_was_cut_off_leaves_the_state_to_who_resumed_the_run(
    server: Server, tracker: Tracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tracker.writer.create_run({"id": "0"}, "taken over", {})
    assert tracker.writer.flush()
    with closing(open_tracker(server)) as other:
        other.reopen(other.get_run(run.id)).end("FINISHED")
    monkeypatch.setattr(sender, "_SILENT_SECONDS", 0.0)  # the store was not heard of for this long
    run.log_metrics({"late": 1.0}, 1, 1)
    run.end("KILLED", "The machine was cut off.")
    assert tracker.writer.flush()
    (found,) = runs_named(server, "taken over")
    assert found.info.status == "FINISHED"
    assert found.data.metrics == {"late": 1.0}


def test_an_unexpected_error_does_not_end_the_thread(server: Server, tracker: Tracker) -> None:
    run = tracker.writer.create_run({"id": "0"}, "odd", {})
    assert tracker.writer.flush()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", lambda *_, **__: 1 / 0)
        run.log_metrics({"a": 1.0}, 1, 1)
        assert not tracker.writer.flush()
    assert tracker.writer.flush()
    assert points(server.uri, run.id) == {("a", 1, 1, "1.0"): 1}


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tinybench", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)


def test_the_command_trains_without_a_server_and_ends_with_0(server: Server) -> None:
    settings = ["--recipe", "quickstart", "--phases", "scratch", "--scratch.epochs", "1", "--data.per_class", "10"]
    settings += ["--track.uri", NO_SERVER, "--track.costs", "off", "--track.pictures", "false"]
    done = run_command("train", *settings)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith(f"{NO_SERVER}, which does not take them. Send them with: tinybench sync\n")
    assert "Traceback" not in done.stderr
    (journal,) = find_journals()
    entries, damaged = journal.read()
    assert damaged == 0
    assert [entry["status"] for entry in entries if entry["do"] == "end"] == ["FINISHED", "FINISHED"]
    sent = run_command("sync", "--to", server.uri)
    assert sent.returncode == 0, sent.stderr
    assert not [*find_journals()]
    key = next(entry["run"] for entry in entries if entry["do"] == "create")
    (parent,) = MlflowClient(server.uri).search_runs(["0", "1"], f"tags.`{tags.KEY}` = '{key}'")
    assert parent.info.status == "FINISHED"
    assert "test/accuracy" in parent.data.metrics
