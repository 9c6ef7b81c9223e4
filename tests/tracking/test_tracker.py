"""Opening runs and finding them again, in a store of its own."""

from __future__ import annotations

import math
import random
import shutil
import time
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from tinybench.config.sections import TrackConfig
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.tracking import tags
from tinybench.tracking.journal.journal import is_key
from tinybench.tracking.run_writer import RunWriter
from tinybench.tracking.store_writer import StoreWriter
from tinybench.tracking.tracker import Tracker
from tinybench.training.progress import EPOCH_METRICS


def like(tracker: Tracker, **settings) -> Tracker:
    return Tracker(TrackConfig(uri=tracker.uri, **settings), may_be_away=True)


def stored(tracker: Tracker, run: RunWriter) -> MlflowRun:
    """A run as the store has it, once everything is sent."""
    assert run.store.flush()
    return tracker.client.get_run(run.id)


def experiment_of(tracker: Tracker, run_id: str) -> str:
    return tracker.client.get_experiment(tracker.client.get_run(run_id).info.experiment_id).name


@pytest.fixture
def mlflow_run(tracker: Tracker, run, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a run that `mlflow run` made for us."""
    monkeypatch.setenv("MLFLOW_RUN_ID", run.id)
    return run.id


def test_the_default_store_is_that_of_mlflow(own_folders, store):
    shutil.copy(store.removeprefix("sqlite:///"), "mlflow.db")  # with its tables, which take seconds to make
    assert Tracker.at(None).uri == f"sqlite:///{own_folders / 'mlflow.db'}"


def test_the_environment_names_the_store(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    assert Tracker.at(None).uri == store


def test_a_new_parent_says_where_it_comes_from(tracker):
    parent = tracker.open_parent_run("smallcnn on digits")
    found = stored(tracker, parent)
    assert found.info.run_name == "smallcnn on digits"
    assert found.info.status == "RUNNING"
    assert {"host", "command", "version.keras"} <= set(found.data.tags)
    assert experiment_of(tracker, parent.id) == "tinybench"


def test_name_tags_and_experiment_of_the_user(tracker):
    own = like(tracker, run_name="mine", tags=("team=red", "formula=a=b", "plain"), experiment="birds")
    found = stored(tracker, own.open_parent_run("smallcnn on digits"))
    assert found.info.run_name == "mine"
    assert {key: found.data.tags[key] for key in ("team", "formula", "plain")} == {
        "team": "red",
        "formula": "a=b",
        "plain": "",
    }
    assert experiment_of(tracker, found.info.run_id) == "birds"


def test_an_experiment_is_made_once(tracker):
    first, second = (stored(tracker, like(tracker, experiment="twice").open_parent_run("x")) for _ in range(2))
    assert first.info.experiment_id == second.info.experiment_id


def test_the_environment_chooses_the_experiment_unless_the_user_does(tracker, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "from the environment")
    assert experiment_of(tracker, tracker.open_parent_run("x").id) == "from the environment"
    assert experiment_of(tracker, like(tracker, experiment="own").open_parent_run("x").id) == "own"


def test_the_environment_chooses_the_experiment_by_number(tracker, monkeypatch):
    wanted = tracker.client.create_experiment("by number")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", wanted)
    assert stored(tracker, tracker.open_parent_run("x")).info.experiment_id == wanted


def test_inside_a_run_of_the_user_the_parent_is_its_child(tracker):
    mlflow.set_tracking_uri(tracker.uri)
    with mlflow.start_run() as outer:
        parent = tracker.open_parent_run("x")
    assert stored(tracker, parent).data.tags["mlflow.parentRunId"] == outer.info.run_id
    assert tracker.find_top_run(outer.info.run_id).info.run_id == outer.info.run_id
    assert tracker.find_top_run(parent.id).info.run_id == parent.id, "it is no phase"


def test_the_run_of_mlflow_run_is_taken(tracker, mlflow_run):
    run = like(tracker, tags=("team=red",)).open_parent_run("x")
    assert run.id == mlflow_run
    assert stored(tracker, run).data.tags["team"] == "red"


def test_a_name_that_mlflow_made_up_gives_way(tracker, mlflow_run):
    assert stored(tracker, tracker.open_parent_run("x")).info.run_name == "x"


@pytest.mark.parametrize("name", ["mine", "wise-squid", "wise-squid-two", "resnet-squid-86", "wise-resnet-50"])
def test_a_name_that_was_given_to_mlflow_run_stays(tracker, mlflow_run, name):
    tracker.client.update_run(mlflow_run, name=name)
    assert stored(tracker, tracker.open_parent_run("x")).info.run_name == name


def test_an_experiment_is_one_of_training_runs_unless_it_is_another_kind(tracker):
    tracker.client.create_experiment("agents", tags={"mlflow.experimentKind": "genai_development"})
    for name, kind in [("nets", "custom_model_development"), ("agents", "genai_development")]:
        stored(tracker, like(tracker, experiment=name).open_parent_run("x"))
        assert tracker.client.get_experiment_by_name(name).tags["mlflow.experimentKind"] == kind


def test_the_run_of_mlflow_run_is_renamed_when_asked(tracker, mlflow_run):
    tracker.client.update_run(mlflow_run, name="given")
    run = like(tracker, run_name="mine", experiment="Default").open_parent_run("x")
    assert stored(tracker, run).info.run_name == "mine"


def test_mlflow_run_has_chosen_the_experiment(tracker, mlflow_run):
    with pytest.raises(ConfigError, match=r"`track\.experiment`: mlflow run has chosen 'Default'\. Give mlflow run --"):
        like(tracker, experiment="birds").open_parent_run("x")


def test_a_run_of_mlflow_run_that_is_elsewhere(tracker, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "elsewhere")
    with pytest.raises(ConfigError, match=r"MLFLOW_RUN_ID names no run of sqlite:///.*: 'elsewhere'"):
        tracker.open_parent_run("x")


def test_a_phase_is_a_child_in_the_experiment_of_its_parent(tracker):
    own = like(tracker, experiment="phases", tags=("team=red",))
    parent = own.open_parent_run("x")
    found = stored(tracker, like(tracker, tags=("team=red",)).create_phase_run(parent, "transfer", "x"))
    assert found.info.experiment_id == stored(tracker, parent).info.experiment_id
    assert found.info.run_name == "x"
    assert found.data.tags["mlflow.parentRunId"] == parent.id
    assert found.data.tags["tinybench.phase"] == "transfer"
    assert found.data.tags["team"] == "red"
    assert "version.keras" in found.data.tags


def test_phases_are_found_by_their_parent_and_name(tracker):
    first, second = tracker.open_parent_run("first"), tracker.open_parent_run("second")
    child = tracker.create_phase_run(first, "transfer", "first")
    tracker.create_phase_run(second, "finetune", "second")
    tracker.writer.flush()
    assert tracker.find_phase_run(first.id, "transfer").info.run_id == child.id
    assert tracker.find_phase_run(first.id, "finetune") is None
    assert tracker.find_top_run(child.id).info.run_id == first.id
    assert tracker.find_top_run(first.id).info.run_id == first.id


def test_a_run_that_is_not_there(tracker):
    with pytest.raises(TrackingError, match=r"No run .gone. in sqlite:///.*: tinybench runs lists them; --uri "):
        tracker.get_run("gone")


def test_what_was_found_runs_again(tracker, run):
    run.end("KILLED", "Interrupted by Ctrl-C.")
    assert stored(tracker, run).info.status == "KILLED"
    reopened = tracker.reopen(tracker.get_run(run.id))
    assert reopened.id == run.id
    assert stored(tracker, reopened).info.status == "RUNNING"


def test_a_run_that_was_deleted_is_not_opened_again(tracker, run):
    tracker.client.delete_run(run.id)
    with pytest.raises(TrackingError) as caught:
        tracker.reopen(tracker.get_run(run.id))
    assert str(caught.value) == (
        f"Run {run.id} in {tracker.uri} is deleted. Restore it with: MLFLOW_TRACKING_URI={tracker.uri} "
        f"mlflow runs restore --run-id {run.id}"
    )


def test_epochs_come_back_in_order_though_the_clock_was_set_back(tracker, run):
    logged = {
        step: {name: step + place / 10 for place, name in enumerate(EPOCH_METRICS)} | {"test/loss": 9.0}
        for step in (1, 2, 3)
    }
    for step in random.Random(0).sample([1, 2, 3, 2], 4):  # as resumes may send them
        run.log_metrics(logged[step], step, 9000 - step)
    epochs = tracker.read_epochs(run.id)
    assert [(epoch.number, epoch.timestamp) for epoch in epochs] == [(1, 8999), (2, 8998), (3, 8997)]
    for epoch in epochs:
        assert epoch.metrics == {name: logged[epoch.number][name] for name in EPOCH_METRICS}


def test_points_that_are_no_numbers_are_read_once(tracker, run):
    """Of a resumed run they are in the store and in the journal; a store has its largest number for infinity."""
    run.end("KILLED")
    reopened = tracker.reopen(tracker.get_run(run.id))
    for step, value in enumerate([math.nan, math.inf, -math.inf, 3.0]):
        reopened.log_metrics({"loss": value}, step, step)
    assert tracker.writer.flush()
    assert [point.step for point in tracker.read_metric(run.id, "loss")] == [0, 1, 2, 3]


def test_a_run_without_epochs(tracker, run):
    run.log_metrics({"test/loss": 0.5}, 1, 1000)
    assert tracker.read_epochs(run.id) == []


def test_an_artifact_is_fetched(tracker, run, tmp_path):
    run.log_text("{}", "config.json")
    fetched = tracker.download_artifact(run.id, "config.json", tmp_path)
    assert fetched == tmp_path / "config.json"
    assert fetched.read_text() == "{}"


def test_an_artifact_that_is_not_there(tracker, run, tmp_path):
    with pytest.raises(OSError):
        tracker.download_artifact(run.id, "config.json", tmp_path)


def test_a_run_fails_with_the_first_reason(tracker, run):
    tracker.client.set_tag(run.id, "mlflow.source.type", "PROJECT")
    tracker.mark_failed(run.id, "No pictures.")
    tracker.mark_failed(run.id, "Something else.")
    assert tracker.client.get_run(run.id).info.status == "FAILED"
    assert tracker.client.get_run(run.id).data.tags[tags.ERROR] == "No pictures."


def test_the_page_of_a_local_run(tracker, run):
    assert tracker.link(run) == f"http://127.0.0.1:5000/#/experiments/0/runs/{run.id}?workflowType=machine_learning"


def test_the_page_of_a_run_on_a_server_hides_the_password(tracker, run):
    served = like(tracker)
    served.uri = "https://me:hush@host/mlflow/"
    assert served.link(run) == f"https://me:***@host/mlflow/#/experiments/0/runs/{run.id}?workflowType=machine_learning"


def test_a_server_that_does_not_answer_is_told_at_once_and_without_its_password():
    with pytest.raises(TrackingError, match=r"Cannot use http://me:\*\*\*@127\.0\.0\.1:9: ") as caught:
        Tracker(TrackConfig(uri="http://me:hush@127.0.0.1:9"))
    assert str(caught.value).endswith("Check the address and that its server runs.")
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mlflow_run_has_chosen_the_store(tracker, run, monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", run.id)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracker.uri)
    with pytest.raises(ConfigError, match=r"Invalid value for `track\.uri`: mlflow run has chosen sqlite:///"):
        Tracker(TrackConfig(uri="sqlite:///other.db"))
    assert Tracker(TrackConfig(uri=tracker.uri)).uri == tracker.uri


@pytest.mark.parametrize("by", ["setting", "name", "id"])
def test_an_experiment_that_was_deleted(tracker, monkeypatch, by):
    name = f"deleted {by}"
    deleted = tracker.client.create_experiment(name)
    tracker.client.delete_experiment(deleted)
    if by != "setting":
        monkeypatch.setenv(f"MLFLOW_EXPERIMENT_{by.upper()}", {"name": name, "id": deleted}[by])
    asked = like(tracker, experiment=name if by == "setting" else None)
    for call in (asked.check_parent_run, lambda: asked.open_parent_run("x")):
        with pytest.raises(TrackingError) as caught:
            call()
        assert str(caught.value) == (
            f"The experiment {name!r} in {tracker.uri} is deleted. Name another one (--track.experiment NAME), or "
            f"restore it with: MLFLOW_TRACKING_URI={tracker.uri} mlflow experiments restore --experiment-id {deleted}"
        )
    tracker.client.restore_experiment(deleted)
    asked.check_parent_run()


@pytest.mark.parametrize("value", ["99", "no number"])
def test_an_experiment_of_the_environment_that_is_nowhere(tracker, monkeypatch, value):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", value)
    for call in (tracker.check_parent_run, lambda: tracker.open_parent_run("x")):
        with pytest.raises(ConfigError, match=rf"^MLFLOW_EXPERIMENT_ID names no experiment of .*: '{value}'\. Unset"):
            call()


def test_a_check_creates_no_experiment(tracker):
    like(tracker, experiment="not yet").check_parent_run()
    assert tracker.client.get_experiment_by_name("not yet") is None


def test_a_store_of_an_unknown_kind():
    with pytest.raises(TrackingError, match="foo://bar"):
        Tracker(TrackConfig(uri="foo://bar"))


@pytest.mark.parametrize("uri", ["sqlite:///", "sqlite://", "foo", "htp://x", "http://", "sqlite:///file/mlflow.db"])
@pytest.mark.parametrize("may_be_away", [False, True])
def test_an_address_that_can_be_no_store_is_refused_at_once(uri: str, may_be_away: bool, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    began = time.monotonic()
    with pytest.raises(TrackingError) as raised:
        Tracker(TrackConfig(uri=uri), may_be_away=may_be_away)
    assert time.monotonic() - began < 2
    assert "\n" not in str(raised.value)


def test_what_was_left_behind_is_sent_before_a_run_is_said_to_be_unsent(tracker):
    """As by `compare`, for which the store must not be away."""
    writer = StoreWriter(tracker.uri, None, offline=True)
    run = writer.create_run({"id": "0"}, "left behind", {})
    run.log_metrics({"loss": 1.0}, 1, 1)
    run.end("FINISHED")
    writer.close()
    found = Tracker.at(tracker.uri).get_run(run.key)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"loss": 1.0})


def test_what_another_process_still_writes_is_said_to_be_unsent(tracker):
    writer = StoreWriter(tracker.uri, None, offline=True)
    run = writer.create_run({"id": "0"}, "is written", {})
    with pytest.raises(TrackingError, match=r"is not wholly sent to sqlite.*: 1 entries are on this machine"):
        Tracker.at(tracker.uri).get_run(run.key)
    writer.close()


def test_a_file_that_is_no_store(tmp_path: Path):
    (tmp_path / "text.db").write_text("no database " * 100)
    with pytest.raises(TrackingError):
        Tracker(TrackConfig(uri=f"sqlite:///{tmp_path / 'text.db'}"), may_be_away=True)


def test_a_tag_that_the_store_refuses_leaves_no_run_behind(tracker):
    own = like(tracker, experiment="refused", tags=("=red",))
    with pytest.raises((ConfigError, TrackingError)):
        own.open_parent_run("x")
    experiment = tracker.client.get_experiment_by_name("refused")
    runs = tracker.client.search_runs([experiment.experiment_id]) if experiment else []
    assert "RUNNING" not in {run.info.status for run in runs}


def test_two_runs_that_say_the_kind_in_one_moment_are_both_opened(tracker, monkeypatch):
    other = like(tracker, experiment="fresh")
    alone = other.client.set_experiment_tag
    calls = []

    def too_late_once(experiment: str, key: str, value: str) -> None:
        calls.append(key)
        if len(calls) == 1:
            raise MlflowException("(sqlite3.IntegrityError) UNIQUE constraint failed: experiment_tags.key")
        alone(experiment, key, value)

    monkeypatch.setattr(other.client, "set_experiment_tag", too_late_once)
    assert stored(other, other.open_parent_run("second")).info.run_name == "second"
    assert len(calls) == 2


def test_a_store_that_is_broken_costs_a_notice_and_no_run(tracker, monkeypatch):
    def broken(*_: str) -> None:
        raise MlflowException("no such table: experiment_tags")

    other = like(tracker, experiment="broken")
    with monkeypatch.context() as patch:
        patch.setattr(other.client, "set_experiment_tag", broken)
        run = other.open_parent_run("run")
        assert is_key(run.id)
        assert "no such table" in other.writer.take_notice()
    assert stored(other, run).info.run_name == "run"
    assert "taken again" not in other.writer.take_notice()


def test_a_store_that_may_be_away_is_no_error():
    tracker = Tracker(TrackConfig(uri="http://127.0.0.1:9"), may_be_away=True)
    assert "it does not answer" in str(tracker.error)
    run = tracker.open_parent_run("x")
    assert is_key(run.id)
    assert tracker.link(run) == ""
    assert tracker.get_run(run.id).info.run_name == "x", "from the journal"
    with pytest.raises(TrackingError, match="Cannot use"):
        tracker.get_run("another")
    tracker.close()


def test_an_offline_tracker_asks_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TINYBENCH_OFFLINE", "1")
    tracker = Tracker(TrackConfig(uri=f"sqlite:///{tmp_path / 'none.db'}"), may_be_away=True)
    tracker.open_parent_run("x").end("FINISHED")
    tracker.close()
    assert not (tmp_path / "none.db").exists()
    assert tracker.writer.unsent > 0


def test_what_another_machine_logged_is_read_though_a_journal_of_the_run_stays(store, tmp_path, monkeypatch):
    """The journal of the first part stays since the store refused something of it."""
    monkeypatch.setenv("MLFLOW_TRUNCATE_LONG_VALUES", "false")
    first = Tracker(TrackConfig(uri=store), may_be_away=True)
    run = first.open_parent_run("x")
    run.log_params({"name": "x" * 7000})
    run.log_metrics(dict.fromkeys(EPOCH_METRICS, 0.5), 1, 1000)
    run.log_text("a", "notes/a.txt")
    first.close()
    assert len(first.writer.journal.sent.refused) == 1
    run_id = run.id
    with monkeypatch.context() as another_machine:
        another_machine.setenv("TINYBENCH_STATE", str(tmp_path / "state of another machine"))
        second = Tracker(TrackConfig(uri=store), may_be_away=True)
        resumed = second.reopen(second.get_run(run_id))
        resumed.log_metrics({**dict.fromkeys(EPOCH_METRICS, 0.25), "late": 1.0}, 2, 2000)
        resumed.log_text("b", "notes/b.txt")
        second.close()
    third = Tracker(TrackConfig(uri=store), may_be_away=True)
    for _ in range(2):
        assert [epoch.number for epoch in third.read_epochs(run_id)] == [1, 2]
        assert "late" in third.metric_names(run_id)
        assert third.list_artifacts(run_id, "notes") == ["notes/a.txt", "notes/b.txt"]
        third.reopen(third.get_run(run_id)).set_tags({"part": 3})
    third.close()


@pytest.mark.parametrize("may_be_away", [True, False])
def test_to_read_from_a_store_that_is_not_there_creates_none(may_be_away, tmp_path):
    with pytest.raises(TrackingError, match=r"There is no store sqlite:///.*/gone\.db: check the path"):
        Tracker.at(f"sqlite:///{tmp_path}/gone.db", may_be_away=may_be_away)
    assert [*tmp_path.iterdir()] == []
