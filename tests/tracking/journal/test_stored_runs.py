"""Runs in the store: they are found among many experiments, keep their parents, and have each epoch once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from journals import offline, runs_of
from mlflow.tracking import MlflowClient
from small_runs import artifacts, points
from stores import add_experiments, fresh

from tinybench.commands.sync import pack, sync
from tinybench.tracking import tags
from tinybench.tracking.journal.journal import Journal, find_journals
from tinybench.tracking.journal.replay import Replay
from tinybench.tracking.journal.sender import send_journal
from tinybench.tracking.journal.stored_runs import StoredRuns
from tinybench.tracking.tracker import Tracker


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


@pytest.fixture(scope="module")
def client(store: str) -> MlflowClient:
    return MlflowClient(store)


def test_a_run_is_found_by_its_key_among_more_than_a_thousand_experiments(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    uri = fresh(tmp_path_factory)
    first = offline(uri)
    run = first.create_run({"name": "mine"}, "x", {})
    run.log_metrics({"loss": 1.0}, 1, 1)
    run.end("KILLED")
    first.close()
    sync(to=uri)
    add_experiments(uri, 1001)
    second = offline(uri)
    resumed = second.reopen_run(run.key, run.key, {}, {})
    resumed.log_metrics({"loss": 0.5}, 2, 2)
    resumed.end("FINISHED")
    second.close()
    (result,) = sync(to=uri)
    assert result.is_complete
    stored = Tracker.at(uri).get_run(run.key)
    assert stored.info.status == "FINISHED"
    assert set(points(uri, stored.info.run_id)) == {("loss", 1, 1, "1.0"), ("loss", 2, 2, "0.5")}


def test_children_of_merged_runs_name_the_parent_that_stays(
    store: str, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which of two runs stays is decided by their ids, so several pairs are merged."""
    for number in range(4):
        writer = offline(store)
        parent = writer.create_run({"id": "0"}, "parent", {})
        child = writer.create_child(parent, "child", {})
        child.end("FINISHED")
        parent.end("FINISHED")
        writer.close()
        (journal,) = find_journals()
        copy = Path(shutil.copytree(journal.folder, tmp_path / f"{number}"))
        replays = [Replay(journal, client), Replay(Journal(copy), client)]
        entries, _ = journal.read()
        with monkeypatch.context() as patch:  # both have looked before either creates
            patch.setattr(StoredRuns, "find", lambda *_: None)
            for replay in replays:
                replay.send(entries)
        for replay in (*replays, *replays):
            if replay.merge_duplicates():
                replay.send(entries)
        (stored_parent,), (stored_child,) = runs_of(client, parent.key), runs_of(client, child.key)
        assert stored_child.data.tags[tags.PARENT_RUN] == stored_parent.info.run_id
        journal.remove()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["the first syncs first", "the second syncs first"])
def test_epochs_that_two_machines_trained_are_stored_once(
    store: str, client: MlflowClient, order: tuple[int, int]
) -> None:
    """The first machine is cut off after epoch 4, of which the store has 2; the second resumes the run from there."""
    first = offline(store)
    run = first.create_run({"id": "0"}, "x", {})
    for epoch in (1, 2):
        run.log_metrics({"val/loss": 1 / epoch, "other": 1.0}, epoch, epoch)
    (journal,) = find_journals()
    Replay(journal, client).send(journal.read()[0])
    for epoch in (3, 4):
        run.log_metrics({"val/loss": 1 / epoch, "other": 1.0}, epoch, epoch)
    first.close()
    second = offline(store)
    resumed = second.reopen_run(run.key, runs_of(client, run.key)[0].info.run_id, {}, {})
    for epoch in (3, 4, 5):
        resumed.log_metrics({"val/loss": 1 / epoch + 0.001, "other": 1.0}, epoch, 1000 + epoch)
    resumed.end("FINISHED")
    second.close()
    journals = [*find_journals()]
    for place in order:
        send_journal(journals[place], client)
    run_id = runs_of(client, run.key)[0].info.run_id
    stored = points(store, run_id)
    assert sorted(step for name, step, _, _ in stored if name == "val/loss") == [1, 2, 3, 4, 5]
    later = {step for name, step, at, _ in stored if name == "val/loss" and at > 1000}
    assert later == ({5} if order == (0, 1) else {3, 4, 5}), "what is sent first stays"
    assert len([name for name, *_ in stored if name == "other"]) == 7, "only the metrics of epochs are compared"
    assert {*stored.values()} == {1}


def lossy(store: str, path: Path) -> tuple[str, str]:
    """A bundle from which the first of two files is lost, beside its whole; return the key and the file's SHA-256."""
    writer = offline(store)
    run = writer.create_run({"id": "0"}, "x", {})
    run.log_text("lost", "notes/lost.txt")
    run.log_text("kept", "notes/kept.txt")
    run.log_metrics({"loss": 1.0}, 1, 1)
    run.end("FINISHED")
    writer.close()
    (journal,) = find_journals()
    pack(path / "whole.zip")
    digest = next(entry["sha256"] for entry in journal.read()[0] if entry.get("path") == "notes/lost.txt")
    (journal.folder / "files" / digest).unlink()
    pack(path / "lossy.zip")
    journal.remove()
    return run.key, digest


def test_a_file_that_one_bundle_lost_is_completed_by_another_copy(
    store: str, client: MlflowClient, tmp_path: Path
) -> None:
    key, _ = lossy(store, tmp_path)
    (result,) = sync([tmp_path / "lossy.zip"], to=store)
    assert (result.counts.sent, result.counts.refused, result.is_complete) == (4, 1, False)
    assert result.problems == ["Refused: notes/lost.txt: the journal has lost this file. Sync a bundle that has it."]
    (result,) = sync([tmp_path / "whole.zip"], to=store)
    assert (result.counts.sent, result.counts.known, result.is_complete) == (1, 4, True)
    (stored,) = runs_of(client, key)
    assert artifacts(store, stored.info.run_id) == {"notes/lost.txt", "notes/kept.txt"}
    (result,) = sync([tmp_path / "whole.zip"], to=store)
    assert (result.counts.sent, result.counts.known) == (0, 5)
    assert {*points(store, stored.info.run_id).values()} == {1}


def test_a_bundle_that_lost_a_file_takes_nothing_from_the_whole(
    store: str, client: MlflowClient, tmp_path: Path
) -> None:
    key, _ = lossy(store, tmp_path)
    for name in ("whole.zip", "lossy.zip", "whole.zip"):
        (result,) = sync([tmp_path / name], to=store)
    assert (result.counts.sent, result.counts.known) == (0, 5)
    (stored,) = runs_of(client, key)
    assert artifacts(store, stored.info.run_id) == {"notes/lost.txt", "notes/kept.txt"}
    assert stored.info.status == "FINISHED"
