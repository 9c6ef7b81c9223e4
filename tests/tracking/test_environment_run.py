"""A run that MLFLOW_RUN_ID names is written to only if it was opened for this process."""

from __future__ import annotations

import subprocess
import sys

import pytest
from mlflow.entities import RunTag
from mlflow.tracking import MlflowClient

from tinybench.config.sections import TrackConfig
from tinybench.core.errors import ConfigError
from tinybench.tracking import environment_run, tags
from tinybench.tracking.process_identity import describe_process
from tinybench.tracking.tracker import Tracker

PROJECT = {"mlflow.source.type": "PROJECT", "mlflow.project.entryPoint": "main"}


def create_run(client: MlflowClient, variable: pytest.MonkeyPatch, run_tags: dict[str, str]) -> str:
    """The id of a new run that the variable names."""
    run_id = str(client.create_run("0", tags=run_tags).info.run_id)
    variable.setenv("MLFLOW_RUN_ID", run_id)
    return run_id


def state(client: MlflowClient, run_id: str) -> tuple[object, ...]:
    """All that a run is, to be compared with what it was."""
    run = client.get_run(run_id)
    return run.info.status, run.info.lifecycle_stage, run.info.run_name, run.info.end_time, run.data.to_dictionary()


@pytest.fixture(scope="module")
def gone() -> str:
    """A process that has ended."""
    code = "from tinybench.tracking.process_identity import describe_process; print(describe_process())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def finish(client: MlflowClient, run_id: str) -> None:
    client.set_terminated(run_id)


def fail(client: MlflowClient, run_id: str) -> None:
    client.set_terminated(run_id, "FAILED")


def delete(client: MlflowClient, run_id: str) -> None:
    client.delete_run(run_id)


def measure(client: MlflowClient, run_id: str) -> None:
    client.log_metric(run_id, "loss", 0.5)


STRANGE = [
    (finish, "is FINISHED already"),
    (fail, "is FAILED already"),
    (delete, "is deleted"),
    (measure, "has metrics of another program"),
]


@pytest.mark.parametrize(("change", "reason"), STRANGE, ids=lambda value: getattr(value, "__name__", None))
@pytest.mark.parametrize("run_tags", [{}, PROJECT], ids=["another program's", "mlflow run's"])
def test_a_leftover_is_named_and_nothing_is_written_to_its_run(tracker, monkeypatch, change, reason, run_tags):
    run_id = create_run(tracker.client, monkeypatch, run_tags)
    change(tracker.client, run_id)
    before = state(tracker.client, run_id)
    for call in (tracker.check_parent_run, lambda: tracker.open_parent_run("x")):
        with pytest.raises(ConfigError) as caught:
            call()
        assert str(caught.value) == (
            f"MLFLOW_RUN_ID names run {run_id}, which {reason}. It stays as it is. "
            "Unset MLFLOW_RUN_ID to open a new run."
        )
    tracker.mark_failed(run_id, str(caught.value))
    assert state(tracker.client, run_id) == before


def test_a_run_that_another_process_writes_stays_as_it_is(tracker, monkeypatch):
    run_id = create_run(tracker.client, monkeypatch, PROJECT)
    with subprocess.Popen([sys.executable, "-c", _SLEEP], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        tracker.client.set_tag(run_id, tags.PROCESS, other.stdout.readline().strip())
        before = state(tracker.client, run_id)
        with pytest.raises(ConfigError, match=r"which is written by another tinybench process\. It stays as it is\."):
            tracker.open_parent_run("x")
        tracker.mark_failed(run_id, "No such option.")
        assert state(tracker.client, run_id) == before
        other.kill()


_SLEEP = """
import time
from tinybench.tracking.process_identity import describe_process
print(describe_process(), flush=True)
time.sleep(100)
"""


def test_a_run_whose_process_died_is_for_resume(tracker, monkeypatch, gone):
    run_id = create_run(tracker.client, monkeypatch, PROJECT | {tags.PROCESS: gone})
    with pytest.raises(ConfigError, match="which was begun by a tinybench process that is gone"):
        tracker.check_parent_run()
    tracker.mark_failed(run_id, "No such option.")
    assert tracker.client.get_run(run_id).info.status == "RUNNING"


def test_a_run_that_is_nowhere(tracker, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "f" * 32)
    with pytest.raises(ConfigError, match=r"^MLFLOW_RUN_ID names no run of sqlite:///.*: 'f{32}'\. Unset "):
        tracker.check_parent_run()


def test_a_run_in_another_experiment_than_the_environment_names(tracker, monkeypatch):
    run_id = create_run(tracker.client, monkeypatch, {})
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", tracker.client.create_experiment("birds"))
    before = state(tracker.client, run_id)
    with pytest.raises(ConfigError, match=r"which is in experiment 0, while MLFLOW_EXPERIMENT_ID says \d+"):
        tracker.open_parent_run("x")
    assert state(tracker.client, run_id) == before


@pytest.mark.parametrize("run_tags", [{}, PROJECT], ids=["a launcher's", "mlflow run's"])
def test_a_run_that_was_opened_for_this_process_is_written_to_once(tracker, monkeypatch, run_tags):
    run_id = create_run(tracker.client, monkeypatch, run_tags)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    tracker.client.log_param(run_id, "model", "recipe")
    tracker.client.log_metric(run_id, "system/cpu_utilization_percentage", 50)
    first = tracker.open_parent_run("first")
    assert first.id == run_id
    first.end("FINISHED")
    second = tracker.open_parent_run("second")
    assert second.id != run_id, "as the second mlflow.start_run of a program"
    assert tracker.writer.flush()
    assert tracker.client.get_run(run_id).info.run_name == "first"
    assert tracker.client.get_run(second.id).info.experiment_id == "0"


@pytest.mark.parametrize(
    ("run_tags", "status"), [(PROJECT, "FAILED"), ({}, "RUNNING")], ids=["mlflow run's", "a launcher's"]
)
def test_a_command_that_fails_ends_only_the_run_that_mlflow_run_opened(tracker, monkeypatch, run_tags, status):
    """Whoever opened another one ends it."""
    run_id = create_run(tracker.client, monkeypatch, run_tags)
    tracker.mark_failed(run_id, "No such option.")
    run = tracker.client.get_run(run_id)
    assert run.info.status == status
    assert run.data.tags.get(tags.ERROR) == ("No such option." if status == "FAILED" else None)


def test_a_run_that_this_process_writes_may_be_marked(tracker, monkeypatch):
    run_id = create_run(tracker.client, monkeypatch, {})
    tracker.client.log_batch(run_id, tags=[RunTag(tags.PROCESS, describe_process())])
    assert environment_run.may_mark_failed(tracker.client.get_run(run_id))


def test_a_leftover_does_not_keep_other_stores_from_being_read(tracker, monkeypatch):
    create_run(tracker.client, monkeypatch, PROJECT)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert Tracker.at(tracker.uri).uri == tracker.uri
    with pytest.raises(ConfigError, match=r"mlflow run has chosen sqlite:///other\.db\..* unset MLFLOW_RUN_ID"):
        Tracker(TrackConfig(uri=tracker.uri))
