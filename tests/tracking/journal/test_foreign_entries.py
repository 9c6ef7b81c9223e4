"""What one process adds to the run of another, and when it comes too early or too late."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from journals import offline, runs_of
from mlflow.tracking import MlflowClient
from small_runs import artifacts
from stores import fresh

from tinybench.commands.sync import pack, sync
from tinybench.tracking import tags
from tinybench.tracking.journal.journal import find_journals
from tinybench.tracking.run_writer import RunWriter


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


@pytest.fixture
def client(store: str) -> MlflowClient:
    return MlflowClient(store)


def running(store: str, status: str = "") -> RunWriter:
    """A run in the journals of this machine, which ended if there is a status."""
    writer = offline(store)
    run = writer.create_run({"id": "0"}, "x", {})
    run.set_tags({tags.HEARTBEAT: "1700000000"})
    run.log_metrics({"loss": 1.0}, 1, 1)
    if status:
        run.end(status)
    writer.close()
    return run


def end_for_another(store: str, key: str) -> None:
    writer = offline(store)
    writer.amend_run(key).end("FAILED", "its process died")
    writer.close()


def test_the_end_of_another_s_run_that_runs_is_sent_with_its_reason(store: str, client: MlflowClient) -> None:
    run = running(store)
    end_for_another(store, run.key)
    sync(to=store)
    (stored,) = runs_of(client, run.key)
    assert (stored.info.status, stored.data.tags[tags.ERROR]) == ("FAILED", "its process died")


def test_the_end_of_another_s_run_does_not_change_one_that_is_finished(store: str, client: MlflowClient) -> None:
    run = running(store, "FINISHED")
    end_for_another(store, run.key)
    (result,) = sync(to=store)
    assert result.is_complete
    (stored,) = runs_of(client, run.key)
    assert stored.info.status == "FINISHED"
    assert tags.ERROR not in stored.data.tags


@pytest.mark.parametrize("is_over", [False, True], ids=["and runs", "and is finished"])
def test_a_bundle_changes_nothing_of_a_run_that_was_resumed_since(
    store: str, client: MlflowClient, tmp_path: Path, is_over: bool
) -> None:
    run = running(store)
    end_for_another(store, run.key)
    pack(tmp_path / "run.zip")
    sync([tmp_path / "run.zip"], to=store)
    for journal in find_journals():
        journal.remove()
    (stored,) = runs_of(client, run.key)
    assert stored.info.status == "FAILED"
    writer = offline(store)
    resumed = writer.reopen_run(run.key, stored.info.run_id, stored.data.tags, {})
    resumed.log_metrics({"loss": 0.5}, 2, 2)
    if is_over:
        resumed.end("FINISHED")
    else:
        resumed.set_tags({tags.HEARTBEAT: f"{time.time() + 60:.0f}"})
    writer.close()
    sync(to=store)
    sync([tmp_path / "run.zip"], to=store)
    (stored,) = runs_of(client, run.key)
    assert stored.info.status == ("FINISHED" if is_over else "RUNNING")
    assert tags.ERROR not in stored.data.tags


def test_what_is_added_to_a_run_that_the_store_lacks_is_refused_and_sent_later(
    store: str, client: MlflowClient, tmp_path: Path
) -> None:
    run = running(store, "FINISHED")
    (journal,) = find_journals()
    shutil.move(journal.folder, tmp_path / "other machine")
    writer = offline(store)
    amended = writer.amend_run(run.key)
    amended.log_metrics({"test/accuracy": 0.9}, 1, 1)
    amended.log_text("x", "report.txt")
    writer.close()
    (result,) = sync(to=store)
    assert (result.counts.refused, result.unsent) == (2, 0)
    assert result.problems == [f"Refused: Run {run.key} has not been sent yet."] * 2
    assert len([*find_journals()]) == 1, "it is not dropped"
    sync([tmp_path / "other machine"], to=store)
    (result,) = sync(to=store, retry_refused=True)
    assert result.is_complete
    (stored,) = runs_of(client, run.key)
    assert stored.data.metrics == {"loss": 1.0, "test/accuracy": 0.9}
    assert artifacts(store, stored.info.run_id) == {"report.txt"}
    assert [*find_journals()] == []
