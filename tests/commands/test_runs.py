"""The list of runs, in a real store with runs that ended in every way."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow.tracking import MlflowClient
from stores import fresh

from tinybench.cli.root import cli
from tinybench.commands.runs import ListedRun, list_runs
from tinybench.core import paths
from tinybench.core.errors import ConfigError
from tinybench.tracking import run_kinds, tags
from tinybench.tracking.process_identity import describe_process

DEAD = "4194304"  # more than the largest number of a process


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


def add_run(
    store: str, name: str, start: int, *, status: str = "", kind: str = run_kinds.TRAINING, dead: bool = False,
    accuracy: float | None = None, dataset: str = "digits", checkpoints: bool = False,
) -> str:  # fmt: skip
    """A run; one without a status is of this process, or of one that is gone."""
    client = MlflowClient(store)
    fields = describe_process().split(" ")
    process = " ".join([*fields[:3], DEAD if dead else fields[3], fields[4]])
    run_tags = {tags.KIND: kind, tags.PROCESS: process, tags.HEARTBEAT: f"{time.time():.0f}"}
    run_id = str(client.create_run("0", start, run_tags, name).info.run_id)
    client.log_param(run_id, "dataset", dataset)
    client.log_param(run_id, "model", "smallcnn")
    client.log_metric(run_id, "train/loss", 1.5, start + 5000, 7)
    if accuracy is not None:
        client.log_metric(run_id, "best/val_accuracy", accuracy)
    if status:
        client.set_terminated(run_id, status, start + 9000)
    if checkpoints:
        folder = paths.state_folder() / "runs" / run_id / "transfer"
        folder.mkdir(parents=True)
        (folder / "start.keras").touch()
    return run_id


def names(runs: list[ListedRun]) -> list[str]:
    return [run.name for run in runs]


def test_runs_are_listed_the_newest_first_with_what_became_of_them(store: str) -> None:
    add_run(store, "done", 1000, status="FINISHED", accuracy=0.9)
    add_run(store, "broken", 2000, status="FAILED")
    add_run(store, "alive", 3000)
    add_run(store, "killed -9", 4000, dead=True, checkpoints=True)
    add_run(store, "transfer: done", 5000, kind=run_kinds.PHASE)
    runs = list_runs(store)
    assert [(run.name, run.status) for run in runs] == [
        ("killed -9", "died"),
        ("alive", "running"),
        ("broken", "failed"),
        ("done", "finished"),
    ]
    assert [run.resumable for run in runs] == [True, False, False, False]
    assert (runs[3].epoch, runs[3].val_accuracy, runs[3].seconds) == (7, 0.9, 9.0)
    assert "is gone" in runs[0].error
    assert names(list_runs(store, include_parts=True))[0] == "transfer: done"


def test_the_interrupted_and_the_best_runs_are_selected(store: str) -> None:
    add_run(store, "good", 1000, status="FINISHED", accuracy=0.9)
    add_run(store, "better", 2000, status="FINISHED", accuracy=0.95)
    add_run(store, "killed", 3000, status="KILLED", checkpoints=True)
    add_run(store, "failed", 4000, status="FAILED")
    assert names(list_runs(store, interrupted=True)) == ["killed"]
    assert names(list_runs(store, best=True)) == ["better", "good"]
    assert names(list_runs(store, best=True, limit=1)) == ["better"]


def test_runs_are_selected_by_data_set_and_by_a_filter_of_mlflow(store: str) -> None:
    add_run(store, "on digits", 1000)
    add_run(store, "on pictures", 2000, dataset="folder:/home/me/pics")
    assert names(list_runs(store, dataset="pics")) == names(list_runs(store, dataset="folder:/home/me/pics"))
    assert names(list_runs(store, dataset="pics")) == ["on pictures"]
    assert names(list_runs(store, search="params.dataset = 'digits'")) == ["on digits"]
    with pytest.raises(ConfigError, match="Invalid value for `--filter`"):
        list_runs(store, search="nonsense")


def test_the_command_prints_a_table_and_how_to_resume(store: str) -> None:
    run_id = add_run(store, "smallcnn on digits", 1000, dead=True, checkpoints=True)
    result = CliRunner().invoke(cli, ["runs", "--uri", store], catch_exceptions=False)
    assert f"tinybench resume {run_id[:8]}" in result.output
    assert "smallcnn on digits" in result.output
    assert "died" in result.output
    lines = CliRunner().invoke(cli, ["runs", "--uri", store, "--json"]).output.splitlines()
    assert [json.loads(line)["run_id"] for line in lines] == [run_id]


def test_an_empty_store_has_no_runs(store: str, tmp_path: Path) -> None:
    assert (
        CliRunner().invoke(cli, ["runs", "--uri", store]).output
        == "No runs. Check the options, or name another store with --uri.\n"
    )


def test_an_interrupted_run_has_the_figures_of_its_epoch(store: str) -> None:
    run_id = add_run(store, "died in its second phase", 1000, dead=True, accuracy=0.9)
    client = MlflowClient(store)
    client.log_metric(run_id, "test/accuracy", 0.8)
    client.log_metric(run_id, "val/accuracy", 0.7, 6000, 7)
    (run,) = list_runs(store)
    assert (run.epoch, run.val_accuracy, run.test_accuracy) == (7, 0.7, None)
    client.set_terminated(run_id, "FINISHED")
    (run,) = list_runs(store)
    assert (run.val_accuracy, run.test_accuracy) == (0.9, 0.8)


def test_a_folder_is_found_by_another_path(store: str, tmp_path: Path) -> None:
    add_run(store, "pets", 1000, status="FINISHED", dataset=f"folder:{tmp_path}/pets")
    for given in ("folder:pets", f"folder:{tmp_path}/pets", "pets"):
        assert names(list_runs(store, dataset=given)) == ["pets"]
