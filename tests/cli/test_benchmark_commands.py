"""The command `benchmark`: its own options, and the process of a cell, which schedulers may signal more than once."""

from __future__ import annotations

import signal
import time

import psutil
import pytest
from click.testing import CliRunner
from small_grid import cell_runs, epochs_logged, options, start, status_of_runs, wait_until

from tinybench.cli import root
from tinybench.config.run_config import SETTINGS
from tinybench.tracking import tags


def test_the_engine_is_an_option_and_not_the_setting():
    text = CliRunner().invoke(root.cli, ["benchmark", "--help"]).output
    listed = text.split()
    assert {f"--{key}" for key in SETTINGS} - set(listed) == {"--seed"}
    assert "[processes|ray|slurm]" in text
    assert "Ray, SLURM: CPUs per cell." in text
    assert "--slurm KEY=VALUE" in text


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--engine", "sulrm"], "'sulrm' is not one of 'processes', 'ray', 'slu"),
        (["--cpu", "2"], "--cpu has no effect with --engine processes: give --engine ray or slurm."),
        (["--engine", "slurm", "--slurm", "a=b"], "Unknown key for `--slurm`: 'a'. Expected one of account, "),
    ],
)
def test_a_mistake_in_the_engine_is_told_before_anything_begins(words, line, own_folders):
    result = CliRunner().invoke(root.cli, ["benchmark", *options(), *words, "--dry-run"])
    assert line in (result.output + str(result.exception)).replace("\n", " ")
    assert not (own_folders / "mlflow.db").exists()


def test_the_run_of_a_cell_ends_as_killed_also_by_two_signals(own_folders):
    """A scheduler signals every process of a job, and the parent of the cell passes the signal on."""
    driver = start(*options(**{"transfer.epochs": 3000, "transfer.patience": "none"}), folder=own_folders)
    wait_until(lambda: epochs_logged() >= 1 or driver.poll() is not None)
    (cell,) = psutil.Process(driver.pid).children()
    for _ in range(4):
        cell.send_signal(signal.SIGTERM)
        time.sleep(0.02)
    text, _ = driver.communicate(timeout=60)
    assert driver.returncode == 1, text
    assert status_of_runs() == {"FAILED": 1, "KILLED": 2}
    assert cell_runs()[1][0].data.tags[tags.ERROR] == "Terminated by SIGTERM."
