"""Commands in other processes: how they end, and that they end with the process that started them."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil
import pytest

from tinybench.hardware import certificate, child_process
from tinybench.hardware.child_process import ChildProcess


def run(*words: str, task: str = "") -> ChildProcess:
    process = ChildProcess(words, {}, task)
    assert process.wait(100)
    return process


def test_what_a_command_prints_can_be_read():
    process = run("--version")
    assert process.exit_code() == 0
    assert process.read_output().startswith("tinybench")
    process.close()


def test_an_error_is_told_without_its_traceback():
    process = run("benchmark-cell", task="{}")
    assert process.exit_code() == 2
    assert process.describe_death() == (
        "Standard input describes no cell: `tinybench benchmark` starts this command by itself."
    )
    process.close()


def test_a_signal_is_named():
    process = ChildProcess(["benchmark-cell"], {})  # it waits for its task
    assert process.exit_code() is None
    process.kill()
    assert process.wait(30)
    assert process.describe_death().endswith("signal 9")
    process.close()


def test_variables_reach_the_command_alone(monkeypatch):
    monkeypatch.setenv("MLFLOW_RUN_ID", "of this process")
    process = ChildProcess(["benchmark-cell"], {"TINYBENCH_SHARE": "7"})
    started = psutil.Process(process.process_id)
    end = time.monotonic() + 30
    while "TINYBENCH_SHARE" not in (environment := started.environ()):  # that of this process until it is loaded
        assert time.monotonic() < end
    assert environment["TINYBENCH_SHARE"] == "7"
    assert "MLFLOW_RUN_ID" not in environment
    process.kill()
    process.close()


def test_it_ends_with_the_process_that_started_it():
    """The other process is killed without a word: the end of its standard input tells the command."""
    code = (
        "from tinybench.hardware.child_process import ChildProcess; import time; "
        "print(ChildProcess(['benchmark-cell'], {}).process_id, flush=True); time.sleep(100)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.kill()
    end = time.monotonic() + 60
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_processes_share_the_threads(count):
    variables = child_process.share_variables(count)
    assert variables[child_process.SHARE_VARIABLE] == str(count)
    threads = {value for name, value in variables.items() if name != child_process.SHARE_VARIABLE}
    expected = set() if count == 1 else {str(max(1, certificate.usable_threads() // count))}
    assert threads == expected
