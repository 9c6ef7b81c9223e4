"""Runs that are logged offline, in real stores, by all the ways in which they may get there."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from small_runs import SMALL, all_runs, artifacts, content, points
from stores import elsewhere, fresh

import tinybench
from tinybench.commands import status
from tinybench.commands.sync import pack, sync
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.tracking.journal.journal import Journal, find_journals, is_key
from tinybench.tracking.tracker import Tracker

# Of the settings that are not the recipe's
NAME = "transfer.epochs 2, finetune.epochs 2, data.per_class 20, data.test_per_class 10, smallcnn on digits"


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tinybench.Result, str]:
    """The state folder of a machine with one offline run, the run's result, and the store that it is meant for."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('meant') / 'mlflow.db'}"
    with elsewhere(tmp_path_factory) as folder:
        result = tinybench.train(**SMALL | {"track.uri": uri, "track.offline": True, "track.experiment": "digits"})
        mlflow.set_tracking_uri(None)
        assert not Path(uri.removeprefix("sqlite:///")).exists(), "no store is opened"
        return folder / "state", result, uri


@pytest.fixture
def machine(offline: tuple[Path, tinybench.Result, str], tmp_path: Path) -> Path:
    """A copy of that state folder, as this machine's."""
    shutil.copytree(offline[0], tmp_path / "state")
    return tmp_path / "state"


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


def the_journal(machine: Path) -> Path:
    return next((machine / "journal").glob("0*"))


def test_an_offline_run_has_keys_and_says_what_is_unsent(offline: tuple[Path, tinybench.Result, str]) -> None:
    _, result, _ = offline
    assert is_key(result.run_id)
    assert all(is_key(phase.run_id) for phase in result.phases.values())
    assert result.link == result.model_uri == ""
    assert result.unsent > 50
    with pytest.raises(TrackingError, match="tinybench sync"):
        result.load_model()


def test_status_lists_the_three_runs(machine: Path, offline: tuple[Path, tinybench.Result, str]) -> None:
    rows = status.list_unsent()
    assert [row.name.partition(":")[0] for row in rows] == [NAME, "transfer", "finetune"]
    assert rows[0].run == offline[1].run_id
    assert sum(row.unsent for row in rows) >= offline[1].unsent
    assert not any(row.is_written or row.refused for row in rows)


def test_sync_sends_everything_once(machine: Path, store: str) -> None:
    (result,) = sync(to=store)
    assert result.is_complete
    assert result.counts.sent > 50
    assert (result.counts.known, result.counts.refused, result.problems) == (0, 0, [])
    parent, transfer, finetune = all_runs(store)
    assert parent.info.run_name == NAME
    assert {run.info.status for run in (parent, transfer, finetune)} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in (transfer, finetune)} == {parent.info.run_id}
    assert MlflowClient(store).get_experiment(parent.info.experiment_id).name == "digits"
    assert parent.info.start_time < transfer.info.start_time < finetune.info.start_time < finetune.info.end_time
    assert parent.info.user_id == parent.data.tags["mlflow.user"]
    assert len([point for point in points(store, parent.info.run_id) if point[0] == "val/loss"]) == 4
    assert {"config.json", "figures/curves.csv"} <= artifacts(store, parent.info.run_id)
    assert [link for _, link in result.links] == [
        f"http://127.0.0.1:5000/#/experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}?workflowType=machine_learning"
    ]
    assert not [*find_journals()], "what is sent is removed"
    assert status.list_unsent() == []


def test_the_model_of_an_offline_run_predicts(machine: Path, store: str) -> None:
    sync(to=store)
    uri = all_runs(store)[0].data.tags["tinybench.model_uri"]
    assert not is_key(uri.removeprefix("models:/"))
    mlflow.set_tracking_uri(store)
    try:
        model = mlflow.pyfunc.load_model(uri)
        images = np.zeros((2, 8, 8, 1), np.uint8)
        predictions = model.predict(pd.DataFrame({"image": images.tolist()}))
        logged = mlflow.MlflowClient(store).get_logged_model(uri.removeprefix("models:/"))
    finally:
        mlflow.set_tracking_uri(None)
    assert len(predictions) == 2
    assert logged.status == "READY"
    assert logged.source_run_id == all_runs(store)[0].info.run_id
    assert {metric.key for metric in logged.metrics} >= {"test/accuracy"}


def test_a_copy_of_a_bundle_changes_nothing(machine: Path, store: str, tmp_path: Path) -> None:
    shutil.copytree(the_journal(machine), tmp_path / "copy")
    sync(to=store)
    once = [content(store, run.info.run_id) for run in all_runs(store)]
    (result,) = sync([tmp_path / "copy"], to=store)
    assert result.counts.sent == 0
    assert result.counts.known > 50
    assert [content(store, run.info.run_id) for run in all_runs(store)] == once
    assert (tmp_path / "copy" / "entries").exists(), "a bundle stays as it is"


def test_a_packed_bundle_is_merged_on_another_machine(
    machine: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = pack(tmp_path / "run.zip")
    assert count > 50
    monkeypatch.setenv("TINYBENCH_STATE", str(tmp_path / "another machine"))
    for _ in range(2):
        (result,) = sync([tmp_path / "run.zip"], to=store)
        assert result.is_complete
    assert result.counts.known == count
    assert len(all_runs(store)) == 3


def test_half_of_a_bundle_and_then_the_whole(machine: Path, store: str, tmp_path: Path) -> None:
    """A second part does not replace the first."""
    whole, half = the_journal(machine), tmp_path / "half"
    shutil.copytree(whole, half)
    entries = (half / "entries").read_bytes()
    (half / "entries").write_bytes(entries[: len(entries) // 2])
    (first,) = sync([half], to=store)
    (second,) = sync(to=store)
    assert second.counts.known == first.counts.sent
    assert len(all_runs(store)) == 3
    assert {run.info.status for run in all_runs(store)} == {"FINISHED"}


def test_a_damaged_entry_is_told(machine: Path, store: str) -> None:
    file = the_journal(machine) / "entries"
    lines = file.read_bytes().split(b"\n")
    damaged = next(line for line in lines if b'"do":"tags"' in line)
    file.write_bytes(file.read_bytes().replace(damaged, damaged.replace(b"tags", b"tagz")))
    (result,) = sync(to=store)
    assert result.damaged == 1
    assert not result.is_complete
    assert [*find_journals()], "the damaged journal stays"


def test_a_refused_entry_is_kept_with_its_reason_and_stops_nothing(store: str) -> None:
    tracker = Tracker.at(store, may_be_away=True)
    run = tracker.open_parent_run("refused")
    run.log_params({"lr": 0.1})
    run.log_params({"lr": 0.2, "momentum": 0.9})
    run.log_metrics({"a" * 300: 1.0, "good": 2.0}, 1, 1)
    run.end("FINISHED")
    tracker.close()
    stored = MlflowClient(store).get_run(run.id)
    assert stored.data.params == {"lr": "0.1", "momentum": "0.9"}
    assert stored.data.metrics == {"good": 2.0}
    assert stored.info.status == "FINISHED"
    (row,) = status.list_unsent()
    assert (row.unsent, row.refused) == (0, 2)
    assert "Changing param values is not allowed" in row.reasons[0]
    (result,) = sync(retry_refused=True)
    assert result.counts.refused == 2
    assert MlflowClient(store).get_run(run.id).data.metrics == {"good": 2.0}


def test_a_store_that_does_not_answer_is_told_and_loses_nothing(machine: Path) -> None:
    (result,) = sync(to="http://127.0.0.1:9")
    assert not result.is_complete
    assert result.unsent > 50
    assert result.problems == ["it does not answer."]
    assert [*find_journals()]


@pytest.mark.parametrize("member", ["../escape", "/etc/passwd", "00000001-abcdefabcdef/files/../../x", "about.json"])
def test_a_bundle_of_a_stranger_writes_nowhere(tmp_path: Path, member: str) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(member, "x")
    with pytest.raises(ConfigError, match="no bundle of tinybench"):
        sync([tmp_path / "bad.zip"], to="sqlite:///unused.db")
    assert not (tmp_path.parent / "escape").exists()


def test_an_artifact_path_of_a_stranger_writes_nowhere(machine: Path, store: str) -> None:
    journal = Journal(the_journal(machine))
    number = journal.read()[0][-1]["n"] + 1
    from tinybench.tracking.journal.entry_file import EntryFile

    file = EntryFile(journal.entries_path)
    run = journal.read()[0][0]["run"]
    file.append({"do": "file", "run": run, "sha256": "0" * 64, "size": 1, "path": "../../escape.txt"})
    file.append({"do": "file", "run": run, "sha256": "../../../etc/passwd", "size": 1, "path": "passwd"})
    file.close()
    (result,) = sync(to=store)
    assert result.counts.refused == 2
    assert [*Journal(the_journal(machine), None).folder.glob("*passwd*")] == []
    assert number > 50


@pytest.mark.parametrize("content_of_file", [b"", b"no zip", b"PK\x03\x04broken"])
def test_a_file_that_is_no_bundle_is_told(tmp_path: Path, content_of_file: bytes) -> None:
    (tmp_path / "bad.zip").write_bytes(content_of_file)
    with pytest.raises(ConfigError, match="is damaged, or no file of tinybench sync --pack"):
        sync([tmp_path / "bad.zip"])
    with pytest.raises(ConfigError, match="There is no bundle"):
        sync([tmp_path / "none.zip"])
    with pytest.raises(ConfigError, match="nothing to pack"):
        pack(tmp_path / "packed.zip")


def test_commands_send_a_run_first_or_say_that_it_is_unsent(
    machine: Path, offline: tuple[Path, tinybench.Result, str]
) -> None:
    _, result, uri = offline
    fresh_store = Path(uri.removeprefix("sqlite:///"))
    fresh_store.unlink(missing_ok=True)
    phases = [phase.run_id for phase in result.phases.values()]
    with Journal(the_journal(machine)).send_lock:  # as if another process were sending it
        with pytest.raises(TrackingError, match=r"is not wholly sent to .* tinybench sync"):
            tinybench.compare(phases, uri=uri)
        with pytest.raises(TrackingError, match="is not wholly sent"):
            tinybench.evaluate(result.run_id, uri=uri)
        with pytest.raises(TrackingError, match="is not wholly sent"):
            tinybench.promote(result.run_id, uri=uri)
    tinybench.compare(phases, uri=uri)
    assert [*find_journals()] == []
    mlflow.set_tracking_uri(None)


def test_an_offline_run_is_finetuned_offline_and_both_are_sent(
    machine: Path, offline: tuple[Path, tinybench.Result, str], store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, result, uri = offline
    monkeypatch.setenv("TINYBENCH_OFFLINE", "1")
    second = tinybench.finetune(result.run_id, uri=uri, **{"finetune.epochs": 1})
    mlflow.set_tracking_uri(None)
    assert is_key(second.run_id)
    monkeypatch.delenv("TINYBENCH_OFFLINE")
    (outcome,) = sync(to=store)
    assert outcome.is_complete
    runs = all_runs(store)
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(runs) == 5
    assert parents[1].data.tags["tinybench.source_run"] == parents[0].info.run_id
