"""Jobs of submitit, on SLURM or as processes of this machine: whether they run, why they failed, and their files."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import psutil

from tinybench.core.redaction import redact

_ASK_SECONDS = 20.0  # between two questions to SLURM, for all jobs at once
_RESULT_SECONDS = 20.0  # that a result may take to be seen on a shared disk after its job has ended
_GONE = "GONE"
_REASONS = {
    "BOOT_FAIL": "The node of its job did not start.",
    "CANCELLED": "Its job was cancelled.",
    "COMPLETED": "Its job ended without a result.",
    "DEADLINE": "Its job reached its deadline.",
    "FAILED": "Its job failed.",
    "NODE_FAIL": "The node of its job failed.",
    "OUT_OF_MEMORY": "Its job ran out of memory: give more by --memory.",
    "PREEMPTED": "Its job was preempted by another one.",
    "REVOKED": "Its job was revoked.",
    "TIMEOUT": "Its job reached its time limit: give more by --slurm time=…",
    _GONE: "Its job is gone, and what became of it is not known.",
}
"""Why a job left no result, by its last state."""
_WITH_LOG = ("COMPLETED", "FAILED", _GONE)  # states that do not say why
_ENDED_FROM_OUTSIDE = ("CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT")


class JobStates(Protocol):
    """Knows the states of jobs, and cancels them."""

    def ask(self, jobs: Collection[str], *, at_once: bool = False) -> None:
        """Ask for the states of jobs, if that is due or has to be at once."""

    def state(self, job: str) -> str:
        """Return the last known state of a job; empty if none is known."""

    def cancel(self, jobs: Collection[str]) -> None:
        """Ask jobs to end."""

    def kill(self, jobs: Collection[str]) -> None:
        """End jobs that did not end when they were asked to."""


class SlurmStates:
    """The states of jobs of SLURM: of squeue, and of sacct for those that squeue knows no more."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._asked_at = float("-inf")

    def ask(self, jobs: Collection[str], *, at_once: bool = False) -> None:
        """Ask for the states of jobs; see `JobStates.ask`."""
        if not jobs or (not at_once and time.monotonic() < self._asked_at + _ASK_SECONDS):
            return
        self._asked_at = time.monotonic()
        names = ",".join(jobs)
        found = _run("squeue", "--noheader", "--states=all", f"--jobs={names}", "--format=%i|%T")
        if found is None:  # SLURM does not answer: the states stay what they were
            return
        missing = [job for job in jobs if job not in found]
        if missing:
            words = ("--noheader", "--parsable2", "--allocations", "--format=JobID,State")
            found |= _run("sacct", *words, f"--jobs={','.join(missing)}") or {}
        self._states |= {job: found.get(job, _GONE) for job in jobs}

    def state(self, job: str) -> str:
        """Return the last known state of a job; see `JobStates.state`."""
        return self._states.get(job, "")

    def cancel(self, jobs: Collection[str]) -> None:
        """Have SLURM send SIGTERM to jobs, and after some seconds SIGKILL."""
        subprocess.run(["scancel", *jobs], capture_output=True, check=False)

    def kill(self, jobs: Collection[str]) -> None:
        """Do nothing: SLURM kills them by itself."""


class LocalStates:
    """The states of jobs of submitit's executor on this machine: each is a process that starts another one.

    Args:
        folder: The folder of the jobs, which their command lines name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def ask(self, jobs: Collection[str], *, at_once: bool = False) -> None:
        """Do nothing: the states are those of the present."""

    def state(self, job: str) -> str:
        """Return whether the process of a job runs; see `JobStates.state`."""
        return "RUNNING" if self._find(job) else "COMPLETED"

    def cancel(self, jobs: Collection[str]) -> None:
        """Send SIGTERM to the processes of jobs, which they pass on."""
        for process in filter(None, map(self._find, jobs)):
            with suppress(psutil.NoSuchProcess):
                process.terminate()

    def kill(self, jobs: Collection[str]) -> None:
        """Kill the processes of jobs; those of the cells end themselves then."""
        for process in filter(None, map(self._find, jobs)):
            with suppress(psutil.NoSuchProcess):
                for child in [*process.children(), process]:
                    child.kill()

    def _find(self, job: str) -> psutil.Process | None:
        """Return the process of a job; None if it is gone, or if its number is that of another process."""
        try:
            process = psutil.Process(int(job))
            is_it = process.status() != psutil.STATUS_ZOMBIE and self._folder in process.cmdline()
        except (psutil.Error, ValueError):
            return None
        return process if is_it else None


class CellJob:
    """The job of a cell.

    Args:
        job: The job of submitit.
        states: The states of all jobs.

    Attributes:
        name: Its number at SLURM.
    """

    def __init__(self, job: Any, states: JobStates) -> None:
        self._job = job
        self._states = states
        self._seen_ended_at: float | None = None
        self.name = str(job.job_id)

    @property
    def has_result(self) -> bool:
        """Return whether the job has written its result."""
        folder = Path(self._job.paths.folder)
        with suppress(OSError):
            folder.chmod(0o700)  # has a shared disk look anew
        return bool(self._job.paths.result_pickle.exists())

    @property
    def was_interrupted(self) -> bool:
        """Return whether the job ended before its cell did."""
        return not self.has_result or self._result()[1]

    @property
    def is_active(self) -> bool:
        """Return whether the job waits or runs, as far as is known."""
        return self._states.state(self.name) not in _REASONS

    @property
    def has_ended(self) -> bool:
        """Return whether the job has ended, and its result is there or will not come any more."""
        if self.has_result:
            return True
        if self.is_active:
            self._seen_ended_at = None
            return False
        self._seen_ended_at = self._seen_ended_at or time.monotonic()
        return time.monotonic() > self._seen_ended_at + _RESULT_SECONDS

    def reason(self) -> str:
        """Return why the job or its cell failed; empty if the cell is finished."""
        state = self._states.state(self.name)
        if not self.has_result:
            line = _last_line(self._job.stderr() or "") if state in _WITH_LOG else ""
            return f"{_REASONS[state]} {line}".rstrip()
        reason, was_interrupted = self._result()
        if was_interrupted:
            self._states.ask([self.name], at_once=True)
            state = self._states.state(self.name)
        return _REASONS[state] if was_interrupted and state in _ENDED_FROM_OUTSIDE else reason

    def remove_files(self) -> None:
        """Remove what submitit wrote of the job."""
        shutil.rmtree(self._job.paths.folder, ignore_errors=True)

    def _result(self) -> tuple[str, bool]:
        """Return why the cell failed, and whether it is because the job was ended."""
        error = self._job.exception()
        if error is None:
            reason, was_interrupted = self._job.result()
            return reason, was_interrupted
        trace = str(error).split("-" * 22)  # of submitit's text the part between two lines
        return f"{_REASONS['FAILED']} {_last_line(trace[1] if len(trace) > 2 else str(error))}", False


def _run(command: str, *words: str) -> dict[str, str] | None:
    """Return the states of jobs by their numbers, which a command of SLURM prints; None if it cannot tell."""
    try:
        done = subprocess.run([command, *words], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode and "Invalid job id" not in done.stderr:
        return None
    pairs = (line.strip().partition("|") for line in done.stdout.splitlines() if "|" in line)
    return {job: state.split()[0] for job, _, state in pairs if state.strip()}  # CANCELLED by 1000


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return redact(lines[-1]) if lines else ""
