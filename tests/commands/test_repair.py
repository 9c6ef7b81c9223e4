"""Runs whose process is gone, beside some that live, in a real store."""

from __future__ import annotations

import time
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from stores import fresh

from tinybench.commands.repair import repair
from tinybench.core.errors import TrackingError
from tinybench.tracking import dead_runs, tags
from tinybench.tracking.process_identity import describe_process
from tinybench.tracking.tracker import Tracker

DEAD = "4194304"  # more than the largest number of a process


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


def running(store: str, *, silent_seconds: float = 0, **identity: str) -> str:
    """A run marked RUNNING, of this process unless a field of its identity is another."""
    names = ("host", "boot", "namespace", "number", "started")
    fields = dict(zip(names, describe_process().split(" "), strict=True)) | identity
    run_tags = {
        tags.PROCESS: " ".join(fields.values()),
        tags.HEARTBEAT: f"{time.time() - silent_seconds:.0f}",
    }
    started = int((time.time() - silent_seconds - 1) * 1000)
    return str(MlflowClient(store).create_run("0", started, run_tags, "x").info.run_id)


def status(store: str, run_id: str) -> str:
    return str(MlflowClient(store).get_run(run_id).info.status)


def test_a_dead_run_of_this_host_is_killed_with_the_reason(store: str) -> None:
    run_id = running(store, number=DEAD, silent_seconds=100)
    (repaired,) = repair(store)
    assert (repaired.run_id, repaired.name, repaired.resume) == (run_id, "x", "")
    run = MlflowClient(store).get_run(run_id)
    assert run.info.status == "KILLED"
    assert run.data.tags[tags.ERROR] == repaired.reason
    assert DEAD in repaired.reason
    assert abs(run.info.end_time / 1000 - (time.time() - 100)) < 5, "it ended when it was last alive"
    assert run.info.end_time > run.info.start_time
    assert repair(store) == []


def test_living_runs_are_never_touched(store: str) -> None:
    alive = running(store)
    silent = running(store, silent_seconds=5000)
    elsewhere = running(store, host="elsewhere", number=DEAD, silent_seconds=60)
    other_container = running(store, namespace="pid:[1]", number=DEAD, silent_seconds=60)
    foreign = MlflowClient(store).create_run("0").info.run_id
    assert repair(store) == []
    assert {status(store, run) for run in (alive, silent, elsewhere, other_container, foreign)} == {"RUNNING"}


def test_a_run_of_another_host_is_dead_after_ten_silent_minutes(store: str) -> None:
    run_id = running(store, host="elsewhere", silent_seconds=700)
    (repaired,) = repair(store)
    assert repaired.run_id == run_id
    assert "elsewhere has given no sign of life for 12 minutes" in repaired.reason


def test_all_also_marks_runs_of_others_and_dry_run_none(store: str) -> None:
    foreign = MlflowClient(store).create_run("0").info.run_id
    odd = MlflowClient(store).create_run("0", tags={tags.PROCESS: "who knows", tags.HEARTBEAT: "never"}).info.run_id
    assert {run.run_id for run in repair(store, include_unknown=True, dry_run=True)} == {foreign, odd}
    assert status(store, foreign) == "RUNNING"
    repair(store, include_unknown=True)
    assert {status(store, foreign), status(store, odd)} == {"KILLED"}


def test_a_run_with_remote_checkpoints_can_be_resumed_and_its_phase_not_by_itself(store: str) -> None:
    client = MlflowClient(store)
    parent, child = running(store, number=DEAD), running(store, number=DEAD)
    client.log_param(parent, "track.checkpoints", "remote")
    client.set_tag(child, tags.PARENT_RUN, parent)
    client.set_tag(child, tags.PHASE, "transfer")
    client.log_param(child, "track.checkpoints", "remote")
    first, second = repair(store)
    assert first.run_id == parent, "parents come first"
    assert first.resume == f"tinybench resume {parent} --uri {store}"
    assert second.resume == ""


def test_a_study_is_resumed_by_its_name(store: str) -> None:
    run_id = running(store, number=DEAD)
    MlflowClient(store).set_tag(run_id, tags.STUDY, "lr-search")
    (repaired,) = repair(store)
    assert repaired.resume == "tinybench sweep --resume lr-search"


def test_the_next_process_says_how_many_dead_runs_there_are(store: str) -> None:
    running(store, number=DEAD)
    running(store, number=DEAD)
    tracker = Tracker.at(store, may_be_away=True)
    run = tracker.open_parent_run("new")
    tracker.writer.flush()
    assert tracker.writer.take_notice() == (
        "2 runs are marked RUNNING although the process is gone: see tinybench repair."
    )
    assert dead_runs.list_dead(tracker.client)[0].run.info.run_id != run.id
    run.end("FINISHED")
    tracker.close()


def test_the_run_that_this_process_resumes_is_not_counted(store: str) -> None:
    resumed = running(store, number=DEAD)
    phase = running(store, number=DEAD)
    MlflowClient(store).set_tag(phase, tags.PARENT_RUN, resumed)
    tracker = Tracker.at(store, may_be_away=True)
    run = tracker.reopen(tracker.get_run(resumed))
    tracker.writer.flush()
    assert tracker.writer.take_notice() is None
    run.end("FINISHED")
    tracker.close()


def test_a_living_run_of_a_machine_with_the_same_name_is_judged_by_its_signs_of_life(store: str) -> None:
    boot = "b7a5d0c4-0000-4000-8000-0123456789ab"
    alive = running(store, boot=boot, number="4242", silent_seconds=60)
    dead = running(store, boot=boot, number="4242", silent_seconds=700)
    (repaired,) = repair(store)
    assert repaired.run_id == dead
    assert status(store, alive) == "RUNNING"


def test_a_run_that_is_resumed_while_repair_looks_stays(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = running(store, number=DEAD)
    mark = dead_runs.mark_killed
    tracker = Tracker.at(store, may_be_away=True)

    def resume_and_mark(client: MlflowClient, dead: dead_runs.DeadRun) -> bool:
        tracker.reopen(tracker.get_run(run_id))
        assert tracker.writer.flush()
        return mark(client, dead)

    monkeypatch.setattr(dead_runs, "mark_killed", resume_and_mark)
    assert repair(store) == []
    run = MlflowClient(store).get_run(run_id)
    assert (run.info.status, run.data.tags[tags.PROCESS]) == ("RUNNING", describe_process())
    assert tags.ERROR not in run.data.tags
    tracker.close()


def test_a_run_that_ends_while_repair_looks_stays(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = running(store, number=DEAD)
    mark = dead_runs.mark_killed

    def end_and_mark(client: MlflowClient, dead: dead_runs.DeadRun) -> bool:
        client.set_terminated(run_id, "FINISHED")
        return mark(client, dead)

    monkeypatch.setattr(dead_runs, "mark_killed", end_and_mark)
    assert repair(store) == []
    assert status(store, run_id) == "FINISHED"


def test_a_run_does_not_end_before_its_last_point(store: str) -> None:
    run_id = running(store, number=DEAD, silent_seconds=100)
    client = MlflowClient(store)
    last = int(time.time() * 1000) + 5000
    client.log_metric(run_id, "loss", 1.0, last, 1)
    client.log_metric(run_id, "accuracy", 1.0, last - 9000, 1)
    repair(store)
    assert client.get_run(run_id).info.end_time == last


def test_a_store_that_does_not_exist_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"There is no store sqlite:///missing\.db: check the path"):
        repair("sqlite:///missing.db")
    mlflow.set_tracking_uri(None)
    with pytest.raises(TrackingError, match=r"There is no store sqlite:///.*mlflow\.db"):
        repair()
    assert [*tmp_path.glob("*.db*")] == []


def test_a_run_that_is_written_gives_signs_of_life(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinybench.tracking.journal import sender

    monkeypatch.setattr(sender, "_HEARTBEAT_SECONDS", 0.2)
    tracker = Tracker.at(store, may_be_away=True)
    run = tracker.open_parent_run("beating")
    client = MlflowClient(store)
    client.set_tag(run.id, tags.HEARTBEAT, "1")
    deadline = time.monotonic() + 10
    while client.get_run(run.id).data.tags[tags.HEARTBEAT] == "1":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert client.get_run(run.id).data.tags[tags.PROCESS] == describe_process()
    run.end("FINISHED")
    tracker.close()
