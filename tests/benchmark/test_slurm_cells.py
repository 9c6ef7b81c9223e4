"""Cells as jobs of submitit: on this machine, and of SLURM where there is one."""

from __future__ import annotations

import logging
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from small_grid import LONG, Recorder, cell_runs, epochs_logged, options, specs, start, status_of_runs, uri, wait_until
from small_runs import all_runs, points

from tinybench.benchmark import grid_driver
from tinybench.benchmark.engine_options import EngineOptions, choose_engine
from tinybench.benchmark.grid_plan import GridPlan, benchmark_folder
from tinybench.config.sections import TrackConfig
from tinybench.core.errors import EngineError, TrackingError

pytest.importorskip("submitit", reason="the extra slurm is not installed")


def has_slurm() -> bool:
    return bool(shutil.which("sbatch")) and subprocess.run(["sinfo"], capture_output=True).returncode == 0


on_slurm = pytest.param("slurm", marks=pytest.mark.skipif(not has_slurm(), reason="there is no SLURM here"))
every_cluster = pytest.mark.parametrize("cluster", ["local", on_slurm])


def words_of(cluster: str) -> list[str]:
    return ["--engine", "slurm", "--slurm", f"cluster={cluster}"]


def jobs() -> list[str]:
    """The jobs that the plan knows."""
    return [job for notes in GridPlan("g").stores.values() for job in notes.jobs.values()]


def end_job(job: str) -> None:
    """Cancel a job, as somebody does who knows nothing of the benchmark."""
    if job.startswith("local:"):
        psutil.Process(int(job.removeprefix("local:"))).terminate()
    else:
        subprocess.run(["scancel", job], check=True)


def files_of_jobs() -> list[str]:
    return [path.name for path in (benchmark_folder("g") / "jobs").iterdir()]


@pytest.fixture(autouse=True)
def no_job_is_left(own_folders) -> Iterator[None]:
    """End the jobs of a test that failed: they would go on for ever."""
    yield
    for job in jobs():
        with suppress(psutil.NoSuchProcess, subprocess.CalledProcessError):
            end_job(job)


@every_cluster
def test_cells_run_as_jobs_and_one_that_fails_says_why(cluster, own_folders):
    seen = Recorder()
    # Five poolings need images of 32 pixels
    cells = specs("smallcnn", "vgg10")
    opener = choose_engine(EngineOptions("slurm", slurm=(f"cluster={cluster}",)), "g", seen.on_message)
    with pytest.raises(TrackingError, match=r"^1 of 2 cells failed\. The first: cell 2, vgg10 cannot be built at"):
        grid_driver.run_cells("g", cells, TrackConfig(uri=uri()), seen, workers=2, open_engine=opener)
    assert seen.ended[1] == ("finished", "")
    assert seen.ended[2][1].startswith("vgg10 cannot be built at image_size=16")
    assert [run.info.status for run in cell_runs()[1]] == ["FINISHED"]
    assert files_of_jobs() == []
    assert (benchmark_folder("g") / "jobs").stat().st_mode & 0o777 == 0o700
    assert jobs() == []
    assert logging.getLogger("submitit").level == logging.ERROR


@pytest.mark.slow
@every_cluster
def test_a_job_goes_on_without_its_driver_and_is_taken_over_by_the_next(cluster, own_folders):
    """Kill -9 ends the driver; the job trains on; the next driver waits for it and trains nothing."""
    words = [*options(**LONG | {"transfer.epochs": 100}), *words_of(cluster)]
    driver = start(*words, folder=own_folders)
    wait_until(lambda: epochs_logged() >= 3 or driver.poll() is not None)
    driver.kill()
    driver.wait()
    (job,) = jobs()
    assert {path.name for path in benchmark_folder("g").glob("jobs/*/*_submitted.pkl")} == {
        f"{job.removeprefix('local:')}_submitted.pkl"
    }
    assert status_of_runs() == {"RUNNING": 3}  # of benchmark, cell and phase

    driver = start(*words, folder=own_folders)
    text, _ = driver.communicate(timeout=300)
    assert driver.returncode == 0, text
    assert f"Cell 1 goes on: job {job} waits or runs." in text or "1 of 1 cells are finished." in text
    (run,) = cell_runs()[1]
    assert status_of_runs() == {"FINISHED": 3}
    assert run.data.params["transfer.epochs"] == "100"
    phase = next(child for child in all_phases() if child.info.run_name.startswith("transfer"))
    steps = [step for (name, step, *_), _ in points(uri(), phase.info.run_id).items() if name == "val/loss"]
    assert sorted(steps) == [*range(1, 101), 100], "every epoch once, and at the end the metrics of the phase"
    assert jobs() == []


def all_phases():
    return [run for run in all_runs(uri()) if run.info.run_name.startswith("transfer")]


@pytest.mark.slow
@every_cluster
def test_cancelled_jobs_end_as_killed_and_are_resumed(cluster, own_folders):
    """Somebody cancels the job; it is resumed on request; Ctrl-C cancels it; the next driver resumes it again."""
    words = [*options(**LONG), *words_of(cluster)]
    driver = start(*words, folder=own_folders)
    wait_until(lambda: epochs_logged() >= 3 or driver.poll() is not None)
    (job,) = jobs()
    end_job(job)
    text, _ = driver.communicate(timeout=120)
    assert driver.returncode == 1
    assert re.search(r"cell 1: failed: Its job was (ended by SIGTERM: it was )?cancelled", text), text
    assert status_of_runs() == {"FAILED": 1, "KILLED": 2}

    driver = start(*words, "--retry-failed", folder=own_folders)
    epochs = epochs_logged()
    wait_until(lambda: epochs_logged() > epochs + 1 or driver.poll() is not None)
    (job,) = jobs()
    driver.send_signal(signal.SIGINT)
    text, _ = driver.communicate(timeout=120)
    assert driver.returncode == 130, text
    assert "cell 1 is resumed" in text
    assert f"Cancelled 1 job: {job.removeprefix('local:')}." in text
    assert text.rstrip().endswith("Go on with: tinybench benchmark --resume g")
    assert status_of_runs() == {"KILLED": 3}
    assert files_of_jobs() == []
    assert [run.info.status for run in cell_runs()[1]] == ["KILLED"], "it is one run that was resumed"


@pytest.mark.slow
def test_a_job_that_is_killed_without_a_word_has_a_reason(own_folders):
    driver = start(*options(**LONG), *words_of("local"), folder=own_folders)
    wait_until(lambda: epochs_logged() >= 3 or driver.poll() is not None)
    (job,) = jobs()
    controller = psutil.Process(int(job.removeprefix("local:")))
    for process in [*controller.children(), controller]:
        process.kill()
    text, _ = driver.communicate(timeout=120)
    assert "cell 1: failed: Its job ended without a result." in text
    wait_until(lambda: status_of_runs() == {"FAILED": 1, "KILLED": 2})


def test_without_slurm_that_is_told_in_one_line(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(EngineError, match=r"^There is no sbatch on the PATH: run this on a machine from which jobs ar"):
        choose_engine(EngineOptions("slurm"), "g", print)


def test_a_job_of_another_cluster_or_one_that_is_gone_is_not_taken_over(own_folders):
    opener = choose_engine(EngineOptions("slurm", slurm=("cluster=local",)), "g", print)
    with opener(uri(), 1) as engine:
        folder = benchmark_folder("g") / "jobs"
        with pytest.raises(EngineError, match="Cell 1 was submitted as job 1234"):  # this number is of SLURM
            engine.adopt(1, "1234")
        assert not engine.adopt(1, "local:1234"), "it has no files"
        this_process = psutil.Process().pid  # a number that another process has now
        (folder / str(this_process)).mkdir()
        assert not engine.adopt(1, f"local:{this_process}")
        assert not (folder / str(this_process)).exists()
        assert engine.numbers == []


@pytest.mark.skipif(not has_slurm(), reason="there is no SLURM here")
def test_what_slurm_refuses_is_told_in_one_line(own_folders):
    opener = choose_engine(EngineOptions("slurm", slurm=("partition=nosuch",)), "g", print)
    with pytest.raises(EngineError, match="SLURM does not take the job of cell 1: sbatch: error: invalid partition"):
        grid_driver.run_cells("g", specs("smallcnn"), TrackConfig(uri=uri()), Recorder(), open_engine=opener)
    assert Path("mlflow.db").exists()
