"""What a person sees of a first run on standard error: nothing of libraries, in an environment with nothing set."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from processes import ROOT

pytestmark = pytest.mark.slow

SMALL = ("--data.per_class", "20", "--data.test_per_class", "10")
EPOCHS = ("--transfer.epochs", "1", "--finetune.epochs", "1")
SPACE = """\
recipe = "quickstart"
trials = 2
[settings]
phases = "transfer"
transfer.epochs = 1
data.per_class = 20
data.test_per_class = 10
[space]
transfer.lr = { distribution = "log-uniform", low = 1e-4, high = 1e-1 }
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


def run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command as somebody does who has set nothing."""
    environment = {"HOME": str(home), "PATH": os.defpath, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tinybench", *words]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return done


def lines_of_libraries(stderr: str) -> list[str]:
    """Return the lines of standard error that are not ours; a busy machine is told what is waited for."""
    return [line for line in stderr.splitlines() if not line.endswith(" …")]


@pytest.fixture(scope="module")
def trained(home) -> subprocess.CompletedProcess[str]:
    return run(home, "train", "--recipe", "quickstart", *SMALL, *EPOCHS)


def test_a_training_says_nothing(trained):
    assert lines_of_libraries(trained.stderr) == []


def test_a_prediction_says_nothing(home, trained):
    Image.new("L", (16, 16), 200).save(home / "digit.png")
    run_id = re.search(r"^Run (\w+) in", trained.stdout, re.MULTILINE)[1]
    assert lines_of_libraries(run(home, "predict", run_id, "digit.png").stderr) == []


def test_a_measurement_says_its_progress_alone(home):
    (line,) = lines_of_libraries(run(home, "measure", "--model", "smallcnn", "--quick").stderr)
    assert re.fullmatch(r"smallcnn on cpu: [\d.]+ ms", line)


def test_a_sweep_of_two_workers_says_nothing(home):
    (home / "space.toml").write_text(SPACE)
    assert lines_of_libraries(run(home, "sweep", "space.toml", "--workers", "2").stderr) == []
