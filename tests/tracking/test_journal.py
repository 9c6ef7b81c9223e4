"""Whatever becomes of the server, what was written arrives once and in its order."""

from __future__ import annotations

import json
import time

import pytest
import requests
from mlflow.entities import ViewType
from servers import Server

from tinybench.tracking import journal
from tinybench.tracking.journal import Journal


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    made = Server(tmp_path_factory.mktemp("server")).start()
    yield made
    made.kill()


@pytest.fixture
def writer(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(journal, "_PAUSE_SECONDS", 0.0)
    return Journal(journal.connect(server.uri), tmp_path / "spool" / "one.jsonl")


def runs(writer):
    return writer.client.search_runs(["0"], "", ViewType.ALL)


def whole(writer, name):
    run = writer.create_run("0", name, {"kind": "test"})
    writer.log_params(run, {"lr": "0.1"})
    writer.log_metrics(run, {"val/loss": 2.0}, 1, 1000)
    writer.log_metrics(run, {"val/loss": 1.0}, 2, 2000)
    writer.set_tags(run, {"state": "done"})
    writer.log_text(run, "hello", "notes/a.txt")
    writer.end(run, "FINISHED")
    return run


def check(client, run_id):
    found = client.get_run(run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"lr": "0.1"}
    assert found.data.tags["state"] == "done"
    assert [(point.step, point.value) for point in client.get_metric_history(run_id, "val/loss")] == [(1, 2), (2, 1)]
    assert [each.path for each in client.list_artifacts(run_id, "notes")] == ["notes/a.txt"]


def test_with_a_server_all_goes_there_at_once(writer):
    run = whole(writer, "direct")
    check(writer.client, run)
    assert writer.count_pending() == 0
    assert not writer.spool.exists()


def test_without_one_it_is_kept_and_sent_later_by_anybody(server, writer):
    server.kill()
    run = whole(writer, "later")
    assert run.startswith("unsent-")
    assert writer.count_pending() == 7
    server.start()
    other = Journal(journal.connect(server.uri), writer.spool)
    assert other.flush() == 0
    check(other.client, other.resolve_id(run))
    assert [each.info.run_name for each in runs(other)].count("later") == 1
    assert not writer.spool.exists()


def test_a_run_that_loses_its_server_in_the_middle_is_whole_in_the_end(server, writer):
    run = writer.create_run("0", "middle", {"kind": "test"})
    writer.log_params(run, {"lr": "0.1"})
    writer.log_metrics(run, {"val/loss": 2.0}, 1, 1000)
    server.kill()
    writer.log_metrics(run, {"val/loss": 1.0}, 2, 2000)
    writer.set_tags(run, {"state": "done"})
    assert writer.count_pending() == 2
    server.start()
    writer.log_text(run, "hello", "notes/a.txt")  # sends what is kept first
    writer.end(run, "FINISHED")
    assert writer.count_pending() == 0
    check(writer.client, run)


def test_a_dead_server_is_not_asked_at_every_step(server, writer, monkeypatch):
    run = writer.create_run("0", "silent", {})
    server.kill()
    monkeypatch.setattr(journal, "_PAUSE_SECONDS", 60.0)
    writer.log_metrics(run, {"a": 1.0}, 1, 1)
    began = time.monotonic()
    for step in range(100):
        writer.log_metrics(run, {"a": 1.0}, step, step)
    assert time.monotonic() - began < 5
    assert writer.count_pending() == 101
    server.start()


def test_what_the_server_will_never_take_does_not_stop_the_rest(writer):
    run = writer.create_run("0", "refused", {})
    writer.log_metrics(run, {"not a name!?\n": 1.0}, 1, 1)
    writer.log_metrics(run, {"good": 1.0}, 1, 1)
    assert writer.count_pending() == 0
    assert len(writer.rejected) == 1
    assert writer.client.get_run(run).data.metrics == {"good": 1.0}


def test_a_file_that_is_gone_does_not_hold_the_rest_back(writer, tmp_path):
    run = writer.create_run("0", "gone", {})
    writer.log_artifact(run, tmp_path / "gone.png", "figures")
    writer.log_metrics(run, {"good": 1.0}, 1, 1)
    assert writer.count_pending() == 0
    assert len(writer.rejected) == 1
    assert writer.client.get_run(run).data.metrics == {"good": 1.0}


def test_a_line_that_a_killed_process_did_not_finish_is_left_out(server, writer):
    writer.spool.parent.mkdir(parents=True)
    entry = {"do": "create", "run": "unsent-1", "experiment": "0", "name": "torn", "tags": {}, "at": 1}
    writer.spool.write_text(json.dumps(entry) + "\n" + '{"do": "tags", "run": "uns')
    assert writer.flush() == 0
    assert [each.info.run_name for each in runs(writer)].count("torn") == 1


def test_the_server_is_real(server):
    assert requests.get(f"{server.uri}/version", timeout=5).text == "3.17.2"


def test_a_run_below_one_that_could_not_be_made_yet_belongs_to_it_in_the_end(server, writer, monkeypatch):
    with monkeypatch.context() as away:
        away.setattr(writer, "_send", lambda entry, retry: (_ for _ in ()).throw(requests.ConnectionError("away")))
        above = writer.create_run("0", "above", {})
        below = writer.create_run("0", "below", {"mlflow.parentRunId": above})
        assert journal.Journal.is_placeholder(above)
        assert journal.Journal.is_placeholder(below)
    assert Journal(writer.client, writer.spool).flush() == 0  # another process
    found = {run.info.run_name: run for run in runs(writer)}
    assert found["below"].data.tags["mlflow.parentRunId"] == found["above"].info.run_id


def test_a_run_whose_maker_died_before_it_could_say_so_is_made_once(server, writer, monkeypatch):
    with monkeypatch.context() as away:
        away.setattr(writer, "_send", lambda entry, retry: (_ for _ in ()).throw(requests.ConnectionError("away")))
        writer.create_run("0", "once", {})
    kept = writer.spool.read_text()
    assert writer.flush() == 0
    writer.spool.write_text("{half a line\n" + kept)  # as it was before, with what another process left
    assert Journal(writer.client, writer.spool).flush() == 0
    assert [run.info.run_name for run in runs(writer)].count("once") == 1


def test_what_no_file_takes_is_held_and_ends_nothing(server, writer, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    writer.spool = tmp_path / "file" / "one.jsonl"  # in a folder that cannot be
    with monkeypatch.context() as away:
        away.setattr(writer, "_send", lambda entry, retry: (_ for _ in ()).throw(requests.ConnectionError("away")))
        run = whole(writer, "full")
        assert writer.count_pending() == 7
    assert writer.flush() == 0
    check(writer.client, writer.resolve_id(run))
