"""`tinybench relocate` prints what it changes, and ends with 1 while artifacts are missing."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mlflow.tracking import MlflowClient
from stores import fresh

from tinybench.cli.root import cli


def relocate(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["relocate", *arguments], env={"COLUMNS": "200"})


@pytest.fixture
def store(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with a run and its artifact, which is moved to `tmp_path / "new"`."""
    made = Path(fresh(tmp_path_factory).removeprefix("sqlite:///"))
    folder = tmp_path / "old"
    folder.mkdir()
    shutil.copy(made, folder / "mlflow.db")
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        database.execute("UPDATE experiments SET artifact_location = ?", (str(folder / "mlruns" / "0"),))
    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    client.log_text(client.create_run("0").info.run_id, "hello", "note.txt")
    shutil.copytree(folder, tmp_path / "new")
    shutil.rmtree(folder)
    return f"sqlite:///{tmp_path / 'new' / 'mlflow.db'}"


def test_what_is_changed_is_printed(store: str, tmp_path: Path) -> None:
    line = f"{tmp_path}/old/mlruns/0 is at {tmp_path}/new/mlruns/0"
    for options, action in [(("--dry-run",), "would be changed"), ((), "changed")]:
        result = relocate("--uri", store, *options)
        assert result.output.splitlines() == [line, f"2 locations {action}."]
        assert result.exit_code == 0
    assert relocate("--uri", store).output.strip() == "All artifacts are where the store says."


def test_what_is_missing_is_listed(store: str, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "new" / "mlruns")
    (run,) = MlflowClient(store).search_runs(["0"])
    result = relocate("--uri", store)
    assert result.output.splitlines() == [
        "1 folders of artifacts are not found:",
        f"  {tmp_path}/old/mlruns/0/{run.info.run_id}/artifacts",
        "Name the folder that has them now: tinybench relocate FOLDER",
    ]
    assert CliRunner().invoke(cli, ["relocate", "--uri", store], standalone_mode=False).return_value == 1
