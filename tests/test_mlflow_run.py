"""Run the project with `mlflow run`, in the environment of the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from stores import elsewhere

ROOT = Path(__file__).parents[1]


def mlflow_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an entry point in a folder, as a person whose environment is activated would."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment = variables | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "--env-manager", "local", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def runs(folder: Path) -> list[Run]:
    return list(MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_runs(["0", "1"]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A folder where a run was trained, and what was said."""
    small = "recipe=quickstart transfer_epochs=1 finetune_epochs=1 data.per_class=10 dropout=0.25 track.tags=team=red"
    small += " track.pictures=false"
    with elsewhere(tmp_path_factory) as folder:
        return folder, mlflow_run(folder, *(word for pair in small.split() for word in ("-P", pair)))


def test_what_was_trained_is_promoted(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = trained
    (folder / "limits.toml").write_text("[latency]\noff = true\n[calibration]\noff = true\n")
    given = {"gates": folder / "limits.toml", "filter": "tags.team = 'red'", "dataset": "digits", "metric": "loss"}
    words = [word for key, value in given.items() for word in ("-P", f"{key}={value}")]
    result = mlflow_run(folder, "-e", "promote", *words)
    assert result.returncode == 0, result.stderr
    assert "Version 1 is champion: models:/tinybench-digits@champion" in result.stdout
    store = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    assert store.get_model_version_by_alias("tinybench-digits", "champion").version in (1, "1")
    refused = mlflow_run(folder, "-e", "promote", "-P", "filter=tags.team = 'blue'")
    assert refused.returncode != 0
    assert "Error: No finished run that tags.team = 'blue' finds" in refused.stderr


def test_one_run_of_mlflow_s_is_the_parent(trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, result = trained
    assert result.returncode == 0, result.stderr
    found = {run.data.tags.get("tinybench.phase", "parent"): run for run in runs(folder) if "team" in run.data.tags}
    parent = found.pop("parent")
    assert {run.info.status for run in [parent, *found.values()]} == {"FINISHED"}
    assert {phase: run.data.tags["mlflow.parentRunId"] for phase, run in found.items()} == {
        "transfer": parent.info.run_id,
        "finetune": parent.info.run_id,
    }
    assert parent.data.tags["team"] == "red"
    assert parent.info.run_name.endswith(", smallcnn on digits")  # not wise-squid-86, which MLflow had made up
    # What was given, under MLflow's spelling and ours; what was left alone
    assert parent.data.params["dropout"] == parent.data.params["head.dropout"] == "0.25"
    assert parent.data.params["model"] == "recipe"
    assert parent.data.params["recipe.model"] == "smallcnn"
    assert parent.info.run_id in result.stdout


@pytest.mark.parametrize(
    ("parameter", "reason"),
    [
        ("dropout=abc", "Invalid value for `head.dropout`: expected a number in [0, 1), got 'abc'."),
        ("droput=0.1", "No such option '--droput'. Did you mean '--head.dropout'?"),
        ("track.uri=sqlite:///other.db", "Invalid value for `track.uri`: mlflow run has chosen sqlite:///"),
        ("model=resnet51", "Unknown model 'resnet51': expected one of smallcnn, shallow"),
    ],
)
def test_a_mistake_leaves_one_failed_run_with_the_reason(tmp_path: Path, parameter: str, reason: str) -> None:
    result = mlflow_run(tmp_path, "-P", parameter)
    assert result.returncode != 0
    assert f"Error: {reason}" in result.stderr
    assert "Traceback" not in result.stderr
    (run,) = runs(tmp_path)
    assert run.info.status == "FAILED"
    assert run.data.tags["tinybench.error"].startswith(reason)
