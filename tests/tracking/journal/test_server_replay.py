"""Runs that a journal brings to a real MLflow server: each is whole there once, whatever happened before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from mlflow.entities import Run as MlflowRun
from mlflow.tracking import MlflowClient
from servers import Server
from small_runs import content, points

from tinybench.config.sections import TrackConfig
from tinybench.tracking import tags
from tinybench.tracking.journal.journal import Journal, find_journals, is_key
from tinybench.tracking.journal.replay import Replay
from tinybench.tracking.journal.sender import send_journal
from tinybench.tracking.run_writer import RunWriter
from tinybench.tracking.tracker import Tracker


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server")).start()
    yield made
    made.kill()


@pytest.fixture
def client(server: Server) -> MlflowClient:
    return MlflowClient(server.uri)


@pytest.fixture
def tracker(server: Server) -> Iterator[Tracker]:
    """A tracker whose entries are sent as they are written."""
    with closing(Tracker(TrackConfig(uri=server.uri), may_be_away=True)) as opened:
        yield opened


@pytest.fixture
def offline(server: Server) -> Iterator[Tracker]:
    """A tracker whose entries stay in its journal."""
    with closing(Tracker(TrackConfig(uri=server.uri, offline=True), may_be_away=True)) as opened:
        yield opened


def log_whole_run(tracker: Tracker, name: str) -> RunWriter:
    run = tracker.writer.create_run({"id": "0"}, name, {"kind": "test"})
    run.log_params({"lr": 0.1})
    run.log_metrics({"val/loss": 2.0}, 1, 1000)
    run.log_metrics({"val/loss": 1.0}, 2, 2000)
    run.set_tags({"state": "done"})
    run.log_text("hello", "notes/a.txt")
    run.end("FINISHED")
    return run


def check_whole_run(client: MlflowClient, run_id: str, folder: Path) -> None:
    found = client.get_run(run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params == {"lr": "0.1"}
    assert (found.data.tags["kind"], found.data.tags["state"]) == ("test", "done")
    assert points(client.tracking_uri, run_id) == {("val/loss", 1, 1000, "2.0"): 1, ("val/loss", 2, 2000, "1.0"): 1}
    assert [item.path for item in client.list_artifacts(run_id, "notes")] == ["notes/a.txt"]
    assert Path(client.download_artifacts(run_id, "notes/a.txt", str(folder))).read_text() == "hello"


def runs_named(client: MlflowClient, name: str) -> list[MlflowRun]:
    return list(client.search_runs(["0", "1"], f"attributes.run_name = '{name}'"))


def left_journal(tracker: Tracker) -> Journal:
    """The journal of a tracker, as another process opens it once its writer is gone."""
    folder = tracker.writer.journal.folder
    tracker.close()
    return Journal(folder)


def test_the_server_is_real(server: Server) -> None:
    assert requests.get(f"{server.uri}/version", timeout=5).text == "3.17.2"


def test_a_run_is_sent_whole_and_its_journal_removed(tracker: Tracker, client: MlflowClient, tmp_path: Path) -> None:
    run = log_whole_run(tracker, "direct")
    assert tracker.writer.flush()
    assert tracker.writer.count_unsent() == 0
    check_whole_run(client, run.id, tmp_path)
    folder = tracker.writer.journal.folder
    assert folder.is_dir()
    tracker.close()
    assert not folder.exists()
    assert not [*find_journals()]


def test_a_run_whose_sender_died_before_it_noted_the_id_is_created_once(
    offline: Tracker, client: MlflowClient, tmp_path: Path
) -> None:
    run = log_whole_run(offline, "once")
    journal = left_journal(offline)
    assert send_journal(journal, client, keep=True).sent == 7
    (journal.folder / "sent").unlink()
    assert send_journal(Journal(journal.folder), client).known == 7
    (found,) = runs_named(client, "once")
    check_whole_run(client, found.info.run_id, tmp_path)
    assert found.data.tags[tags.KEY] == run.key


def test_senders_that_know_nothing_of_each_other_complete_a_run(
    offline: Tracker, client: MlflowClient, tmp_path: Path
) -> None:
    log_whole_run(offline, "in parts")
    journal = left_journal(offline)
    entries, _ = journal.read()
    for count in range(1, len(entries) + 1):
        (journal.folder / "sent").unlink(missing_ok=True)
        Replay(Journal(journal.folder), client).send(entries[:count])
    (found,) = runs_named(client, "in parts")
    check_whole_run(client, found.info.run_id, tmp_path)


def test_copies_of_a_journal_change_nothing(
    offline: Tracker, client: MlflowClient, server: Server, tmp_path: Path
) -> None:
    log_whole_run(offline, "copied")
    journal = left_journal(offline)
    copies = [Path(shutil.copytree(journal.folder, tmp_path / name)) for name in ("one", "two")]
    send_journal(journal, client)
    (found,) = runs_named(client, "copied")
    before = content(server.uri, found.info.run_id)
    for copy in copies:
        counts = send_journal(Journal(copy), client, keep=True)
        assert (counts.sent, counts.known, counts.refused) == (0, 7, 0)
    assert content(server.uri, found.info.run_id) == before
    assert len(runs_named(client, "copied")) == 1


def test_a_child_run_belongs_to_its_parent_though_neither_had_an_id(offline: Tracker, client: MlflowClient) -> None:
    parent = offline.writer.create_run({"id": "0"}, "parent", {})
    child = offline.create_fold_run(parent, 1, "child")
    assert is_key(parent.id)
    assert is_key(child.id)
    send_journal(left_journal(offline), client)
    (found_parent,), (found_child,) = runs_named(client, "parent"), runs_named(client, "child")
    assert found_child.data.tags["mlflow.parentRunId"] == found_parent.info.run_id
    assert found_child.data.tags[tags.FOLD] == "1"


def test_what_the_server_refuses_does_not_stop_the_rest(tracker: Tracker, client: MlflowClient) -> None:
    run = tracker.writer.create_run({"id": "0"}, "refused", {})
    run.log_metrics({"not a name!?\n": 1.0, "beside": 3.0}, 1, 1)
    run.log_metrics({"good": 1.0}, 1, 1)
    assert tracker.writer.flush()
    assert client.get_run(run.id).data.metrics == {"beside": 3.0, "good": 1.0}
    (reason,) = tracker.writer.journal.sent.refused.values()
    assert "not a name" in reason
    assert "\n" not in reason


def test_a_file_that_the_journal_lost_does_not_stop_the_rest(offline: Tracker, client: MlflowClient) -> None:
    run = offline.writer.create_run({"id": "0"}, "lost file", {})
    run.log_text("lost", "notes/lost.txt")
    run.log_text("kept", "notes/kept.txt")
    run.log_metrics({"good": 1.0}, 1, 1)
    entries, _ = offline.writer.journal.read()
    (digest,) = [entry["sha256"] for entry in entries if entry.get("path") == "notes/lost.txt"]
    offline.writer.journal.drop_file(digest)
    counts = send_journal(left_journal(offline), client)
    assert (counts.sent, counts.refused) == (3, 1)
    (found,) = runs_named(client, "lost file")
    assert found.data.metrics == {"good": 1.0}
    assert [item.path for item in client.list_artifacts(found.info.run_id, "notes")] == ["notes/kept.txt"]
    (journal,) = find_journals()
    assert journal.sent.refused == {1: "notes/lost.txt: the journal has lost this file. Sync a bundle that has it."}


def test_what_no_disk_takes_is_sent_from_memory(tracker: Tracker, client: MlflowClient, tmp_path: Path) -> None:
    journal = tracker.writer.journal
    journal.entries_path.mkdir()  # so that neither entries nor files can be written
    (journal.folder / "files").rmdir()
    (journal.folder / "files").touch()
    run = log_whole_run(tracker, "full disk")
    assert not journal.flush()
    assert tracker.writer.flush()
    check_whole_run(client, run.id, tmp_path)


def test_an_artifact_that_was_replaced_before_it_was_sent_is_sent_once(
    offline: Tracker, client: MlflowClient, tmp_path: Path
) -> None:
    run = offline.writer.create_run({"id": "0"}, "replaced", {})
    for text in ("first", "second", "third"):
        (tmp_path / "a.txt").write_text(text)
        run.replace_artifact(tmp_path / "a.txt", "notes")
    journal = left_journal(offline)
    assert len([*(journal.folder / "files").iterdir()]) == 1
    counts = send_journal(journal, client)
    assert (counts.sent, counts.known, counts.refused) == (2, 2, 0)
    (found,) = runs_named(client, "replaced")
    fetched = client.download_artifacts(found.info.run_id, "notes/a.txt", str(tmp_path))
    assert Path(fetched).read_text() == "third"


def test_an_artifact_of_the_same_bytes_as_one_that_is_replaced_stays(
    offline: Tracker, client: MlflowClient, tmp_path: Path
) -> None:
    run = offline.writer.create_run({"id": "0"}, "same bytes", {})
    (tmp_path / "a.zip").write_bytes(b"same")
    run.replace_artifact(tmp_path / "a.zip", "resume")
    run.log_text("same", "keep/precious.txt")
    (tmp_path / "a.zip").write_bytes(b"newer")
    run.replace_artifact(tmp_path / "a.zip", "resume")
    counts = send_journal(left_journal(offline), client)
    assert counts.refused == 0
    (found,) = runs_named(client, "same bytes")
    for path, text in (("keep/precious.txt", "same"), ("resume/a.zip", "newer")):
        assert Path(client.download_artifacts(found.info.run_id, path, str(tmp_path))).read_text() == text


def test_an_artifact_that_is_replaced_while_it_is_sent_is_not_refused(
    tracker: Tracker, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tracker.writer.create_run({"id": "0"}, "replaced meanwhile", {})
    journal = tracker.writer.journal
    link_file = journal.link_file
    file = tmp_path / "a.txt"
    file.write_text("first")

    def replace_first(digest: str, target: Path) -> None:
        """Replace the artifact between the decision to send it and the reading of its file."""
        monkeypatch.setattr(journal, "link_file", link_file)
        file.write_text("second")
        run.replace_artifact(file, "notes")
        link_file(digest, target)

    monkeypatch.setattr(journal, "link_file", replace_first)
    run.replace_artifact(file, "notes")
    assert tracker.writer.flush()
    assert journal.sent.refused == {}
    fetched = client.download_artifacts(run.id, "notes/a.txt", str(tmp_path))
    assert Path(fetched).read_text() == "second"


def test_more_points_than_one_request_takes_arrive_once(
    offline: Tracker, client: MlflowClient, server: Server, tmp_path: Path
) -> None:
    run = offline.writer.create_run({"id": "0"}, "many points", {})
    for step in range(2500):
        run.log_metrics({"loss": float(step), "accuracy": 0.5}, step, 1_700_000_000_000 + step)
    journal = left_journal(offline)
    copy = Path(shutil.copytree(journal.folder, tmp_path / "copy"))
    send_journal(journal, client)
    send_journal(Journal(copy), client, keep=True)
    (found,) = runs_named(client, "many points")
    stored = points(server.uri, found.info.run_id)
    assert len(stored) == 5000
    assert {*stored.values()} == {1}
    assert found.data.metrics == {"loss": 2499.0, "accuracy": 0.5}
