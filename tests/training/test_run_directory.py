"""The folder of a run: held by one process, kept while there is something to go on with."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.training import run_directory


def begin_phase(run_id: str) -> Path:
    phase = run_directory.run_directory(run_id) / "transfer"
    phase.mkdir()
    (phase / "start.keras").touch()
    return phase


def fail(run_id: str, *, phase: bool, done: bool = False) -> None:
    with run_directory.lock_run(run_id):
        if phase:
            folder = begin_phase(run_id)
            if done:
                run_directory.clear_phase(folder)
        raise ZeroDivisionError


def test_a_finished_run_leaves_nothing():
    with run_directory.lock_run("a"):
        run_directory.clear_phase(begin_phase("a"))
    assert not list(run_directory.run_directory("a").parent.iterdir())


def test_a_run_that_fails_before_its_first_phase_leaves_nothing():
    with pytest.raises(ZeroDivisionError):
        fail("a", phase=False)
    assert not list(run_directory.run_directory("a").parent.iterdir())


@pytest.mark.parametrize("done", [False, True])
def test_a_run_that_fails_later_can_be_resumed(done):
    with pytest.raises(ZeroDivisionError):
        fail("a", phase=True, done=done)
    assert run_directory.can_resume("a")
    assert (run_directory.run_directory("a") / "transfer" / "start.keras").exists() is not done


def test_a_resume_that_goes_wrong_loses_no_checkpoint():
    with pytest.raises(ZeroDivisionError):
        fail("a", phase=True)
    with pytest.raises(ConfigError), run_directory.lock_run("a"):
        raise ConfigError("`device` is gpu:0, but TensorFlow finds 0 GPUs: set device to auto or cpu.")
    assert run_directory.can_resume("a")


def _take(run_id: str, answer) -> None:
    try:
        with run_directory.lock_run(run_id):
            answer.put("taken")
    except TrackingError as error:
        answer.put(str(error))


def test_two_processes_never_hold_one_run():
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    with run_directory.lock_run("a"):
        other = context.Process(target=_take, args=("a", answer))
        other.start()
        assert answer.get(timeout=60) == "Another process is working on run a: wait for it or stop it first."
        other.join()
