"""Run cells as jobs of SLURM, which go on without the driver that submitted them."""

from __future__ import annotations

import io
import logging
import shutil
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import tenacity

from tinybench.benchmark.cell_engine import describe_other_job
from tinybench.benchmark.cell_job import run_in_batch_job
from tinybench.benchmark.cell_task import CellTask
from tinybench.benchmark.slurm_jobs import CellJob, JobStates, LocalStates, SlurmStates
from tinybench.benchmark.slurm_options import SlurmOptions
from tinybench.core.count_text import describe_count
from tinybench.core.errors import ConfigError, EngineError
from tinybench.core.redaction import redact
from tinybench.hardware.child_process import thread_variables

_EXIT_SECONDS = 60.0  # that cancelled jobs have to end their runs
_MINUTES = 60 * 24 * 365  # the time limit of jobs on this machine
_LOCAL = "local:"  # begins the names of jobs on this machine


class SlurmCells:
    """The jobs of cells; a context manager that cancels them where an exception ends it.

    A driver that is killed leaves them as they are; the next one finds them by their names.

    Args:
        count: How many wait or run at a time.
        uri: Address of the tracking store; submitit stores it in the folder of a job, which only its user can read.
        folder: Folder for the jobs, which the machines of the cluster share.
        options: Options of the jobs.
        on_message: Receives messages for the person at the terminal.

    Raises:
        EngineError: submitit is not installed, or there is no SLURM here.
        ConfigError: submitit does not take an option.
    """

    def __init__(
        self, count: int, uri: str, folder: Path, options: SlurmOptions, on_message: Callable[[str], None]
    ) -> None:
        self._count = count
        self._folder = folder
        self._on_message = on_message
        self._is_local = options.cluster == "local"
        self._submitit = load_submitit(options)
        _make_folder(folder)
        self._executor = _open_executor(self._submitit, folder, options)
        self._job_folder = self._executor.folder
        self._variables = thread_variables(options.cpu) | {"MLFLOW_TRACKING_URI": uri}
        self._states: JobStates = LocalStates(self._job_folder) if self._is_local else SlurmStates()
        self._jobs: dict[int, CellJob] = {}

    def __enter__(self) -> SlurmCells:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._jobs:
            names = [job.name for job in self._jobs.values()]
            self._states.cancel(names)
            self._on_message(f"Cancelled {describe_count(len(names), 'jobs')}: {', '.join(names)}.")
            if not self._wait_for_end():
                self._states.kill(names)
        for job in self._jobs.values():
            job.remove_files()
        self._jobs.clear()
        self._remove_leftovers()

    @property
    def numbers(self) -> list[int]:
        """The numbers of the cells whose jobs wait or run."""
        return [*self._jobs]

    @property
    def has_room(self) -> bool:
        """Return whether another cell may begin."""
        return len(self._jobs) < self._count

    def start(self, number: int, task: CellTask) -> str:
        """Submit the job of a cell; see `CellEngine.start`.

        Raises:
            EngineError: SLURM refuses the job.
        """
        arguments = (task.to_line(), self._variables, f"SIG{self._submitit.JobEnvironment.USR_SIG}")
        attempts = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(3 if self._jobs else 1),  # an error of a moment shall end no other job
            wait=tenacity.wait_fixed(10),
            retry=tenacity.retry_if_exception_type(RuntimeError),
            reraise=True,
        )
        refusal = io.StringIO()  # which submitit prints
        try:
            with redirect_stderr(refusal):
                job = attempts(self._executor.submit, run_in_batch_job, *arguments)
        except (RuntimeError, OSError) as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise EngineError(f"SLURM does not take the job of cell {number}: {redact(text)}") from error
        self._jobs[number] = CellJob(job, self._states)
        return f"{_LOCAL if self._is_local else ''}{job.job_id}"

    def adopt(self, number: int, job: str) -> bool:
        """Take over a job that an earlier driver submitted; one that was interrupted is not; see `CellEngine.adopt`."""
        if job.startswith(_LOCAL) != self._is_local:
            raise describe_other_job(number, job)
        name = job.removeprefix(_LOCAL)
        if not Path(str(self._job_folder).replace("%j", name)).is_dir():
            return False
        found = CellJob(self._executor.job_class(self._job_folder, name), self._states)
        self._states.ask([name], at_once=True)
        if not found.is_active and found.was_interrupted:
            found.remove_files()
            return False
        self._jobs[number] = found
        return True

    def take_ended(self) -> dict[int, str]:
        """Return the cells whose jobs have ended since the last call, each with the reason if it failed."""
        self._states.ask([job.name for job in self._jobs.values()])
        ended = {number: job for number, job in self._jobs.items() if job.has_ended}
        reasons = {number: job.reason() for number, job in ended.items()}
        for number, job in ended.items():
            job.remove_files()
            del self._jobs[number]
        return reasons

    def _wait_for_end(self) -> bool:
        """Wait for jobs that were cancelled to end, and return whether all have."""
        names = [job.name for job in self._jobs.values()]
        end = time.monotonic() + _EXIT_SECONDS
        while time.monotonic() < end:
            self._states.ask(names, at_once=True)
            if not any(job.is_active for job in self._jobs.values()):
                return True
            time.sleep(1)
        return False

    def _remove_leftovers(self) -> None:
        """Remove the files of jobs that ended while there was no driver, and what submitit leaves besides."""
        shutil.rmtree(self._job_folder, ignore_errors=True)  # with its pattern as the name
        for result in self._folder.glob("*/*_result.pkl"):
            shutil.rmtree(result.parent, ignore_errors=True)
        for link in self._folder.glob(".submission_file_*"):
            if not link.exists():
                link.unlink(missing_ok=True)


def load_submitit(options: SlurmOptions) -> Any:
    """Return the module submitit.

    Raises:
        EngineError: It is not installed, or there is no SLURM here.
    """
    try:
        import submitit
    except ImportError as error:
        raise EngineError("Engine slurm is not installed: pip install 'tinybench[slurm]'.") from error
    logging.getLogger("submitit").setLevel(logging.ERROR)
    missing = [command for command in ("sbatch", "srun") if shutil.which(command) is None]
    if options.cluster == "slurm" and missing:
        raise EngineError(
            f"There is no {missing[0]} on the PATH: run this on a machine from which jobs are submitted, or give "
            "--slurm cluster=local, by which jobs are processes of this machine."
        )
    return submitit


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise EngineError(
            f"Cannot write {folder}: {error.strerror or error}. Set TINYBENCH_STATE to a folder that can be written."
        ) from error


def _open_executor(submitit: Any, folder: Path, options: SlurmOptions) -> Any:
    """Return what submits jobs.

    Raises:
        ConfigError: It does not take an option.
    """
    pattern = folder / "%j"
    if options.cluster == "local":
        executor = submitit.LocalExecutor(pattern)
        executor.update_parameters(gpus_per_node=options.gpu, timeout_min=_MINUTES)
        return executor
    executor = submitit.SlurmExecutor(pattern)
    defaults = {"job_name": f"tinybench-{folder.parent.name}", "time": None}
    # A job that SLURM starts again by itself would train its cell from the beginning, in another run
    own = {"additional_parameters": {"no-requeue": True}}
    try:
        executor.update_parameters(**defaults | options.parameters | own)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"submitit does not take an option of `--slurm`: {str(error).splitlines()[0]}") from error
    return executor
