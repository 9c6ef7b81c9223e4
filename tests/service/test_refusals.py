"""What a server does not allow is told at once, in one line that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Team
from processes import ROOT

_LATER = ("its administrator for another role", "MLFLOW_TRACKING_PASSWORD")


def run(folder: Path, login: tuple[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of tinybench with a login."""
    variables = {
        "PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_USERNAME": login[0], "MLFLOW_TRACKING_PASSWORD": login[1],
        "TINYBENCH_STATE": str(folder / "state"),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-m", "tinybench", *words], cwd=folder, env=os.environ | variables, text=True,
        capture_output=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(("role", "reason"), [("reader", _LATER[0]), ("outsider", _LATER[0]), ("nobody", _LATER[1])])
def test_a_training_that_may_not_be_logged_does_not_begin(team: Team, tmp_path: Path, role: str, reason: str):
    login = team.logins.get(role, ("nobody", "a-password-of-nobody"))
    done = run(tmp_path, login, "train", "--recipe", "quickstart", "--track.uri", team.server.uri)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("Error:")]
    assert len(lines) == 1, done.stderr
    assert reason in lines[0]
    assert "epoch" not in done.stdout
    assert "not sent" not in done.stderr
    assert not [*(tmp_path / "state").rglob("entries")]


def test_a_promotion_that_is_not_allowed_names_the_remedy(team: Team, tmp_path: Path):
    done = run(tmp_path, team.logins["contributor"], "rollback", "missing", "--uri", team.server.uri)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "MlflowException" not in done.stderr
