"""Workers as processes of this machine, which share its CPU; a process that dies is replaced."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from tinybench.core.errors import DeviceError, TinybenchError
from tinybench.core.redaction import redact
from tinybench.hardware import certificate, nvml
from tinybench.hardware.device import SHARE_VARIABLE
from tinybench.sweeps.samplers import WORKER_VARIABLE
from tinybench.sweeps.space import Space

# A variable and not an argument, since every user of the machine can read the arguments of a process
STORAGE_VARIABLE = "TINYBENCH_STORAGE"

_SOURCE_ROOT = Path(__file__).parents[2]
_EXIT_SECONDS = 30.0  # that a worker has to end
_MAX_DEATHS_WITHOUT_START = 3  # workers that die one after another before they take a trial
_MAX_DEATHS_WITHOUT_RESULT = 9  # that die in their trials; other trials may still come to a result


class LocalWorkers:
    """The worker processes of a study; a context manager that ends them.

    Args:
        study: Name of the study.
        space: Its search space.
        storage: Address of its database.
        uri: Address of the tracking store.
        count: Number of workers.

    Raises:
        ConfigError: The study allows only one worker.
        DeviceError: An objective needs a GPU, and there is none.
    """

    def __init__(self, study: str, space: Space, storage: str, uri: str, count: int) -> None:
        space.check_workers(count)
        _check_gpu(space)
        self._command = [sys.executable, "-P", "-m", "tinybench", "sweep-worker", study]
        self._variables = {STORAGE_VARIABLE: storage, "MLFLOW_TRACKING_URI": uri, SHARE_VARIABLE: str(count)}
        if count > 1:
            threads = max(1, certificate.usable_threads() // count)
            names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
            self._variables |= dict.fromkeys(names, str(threads))
        self._count = count
        self._running: dict[int, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}  # with their standard error
        self._started = 0
        self._deaths_without_start: list[str] = []  # reasons, since a trial was taken
        self._deaths_without_result: list[str] = []  # reasons, since a trial was trained
        self._trials_taken = -1
        self._trials_trained = -1

    def __enter__(self) -> LocalWorkers:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for process, _stderr in self._running.values():
            if kind is None and _ends_in_time(process):  # no trial is left: it sends its last entries
                continue
            process.terminate()  # it ends the run of its trial and gives the trial back
        for process, stderr in self._running.values():
            if not _ends_in_time(process):
                process.kill()
                process.wait()
            stderr.close()
        self._running.clear()

    def start_missing(self, trials_taken: int, trials_trained: int) -> None:
        """Start workers in place of those that ended.

        Args:
            trials_taken: Trials that workers have taken so far; tells workers that work from workers that cannot.
            trials_trained: Trials that came to a result.

        Raises:
            TinybenchError: Too many workers died one after another.
        """
        if trials_taken != self._trials_taken:
            self._deaths_without_start.clear()
        if trials_trained != self._trials_trained:
            self._deaths_without_result.clear()
        self._trials_taken, self._trials_trained = trials_taken, trials_trained
        self._remove_ended()
        for deaths, limit in (
            (self._deaths_without_start, _MAX_DEATHS_WITHOUT_START),
            (self._deaths_without_result, _MAX_DEATHS_WITHOUT_RESULT),
        ):
            if len(deaths) >= limit:
                raise TinybenchError(f"{len(deaths)} workers died one after another, the last with: {deaths[-1]}")
        for number in range(self._count):
            if number not in self._running:
                self._running[number] = self._start()

    def _remove_ended(self) -> None:
        for number, (process, stderr) in [*self._running.items()]:
            if process.poll() is None:
                continue
            del self._running[number]
            if process.returncode:
                reason = _describe_death(process.returncode, stderr)
                self._deaths_without_start.append(reason)
                self._deaths_without_result.append(reason)
            stderr.close()

    def _start(self) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        stderr = TemporaryFile()  # noqa: SIM115  it is closed with the process
        path = os.pathsep.join(filter(None, [str(_SOURCE_ROOT), os.environ.get("PYTHONPATH", "")]))
        environment = os.environ | self._variables | {WORKER_VARIABLE: str(self._started), "PYTHONPATH": path}
        environment.pop("MLFLOW_RUN_ID", None)
        self._started += 1
        # Its standard input is a pipe that nobody writes to: the pipe ends with this process, and so does the worker
        process = subprocess.Popen(
            self._command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=stderr
        )
        return process, stderr


def _check_gpu(space: Space) -> None:
    for objective in space.objectives:
        if "gpu" in objective.metric:
            try:
                nvml.find_gpu()
            except DeviceError as error:
                raise DeviceError(f"The objective {objective.metric} needs a GPU: {error}") from error


def _ends_in_time(process: subprocess.Popen[bytes]) -> bool:
    """Wait some seconds for a process, and return whether it has ended."""
    try:
        process.wait(_EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _describe_death(code: int, stderr: IO[Any]) -> str:
    """Return the last line that a process printed, and its exit code or signal."""
    stderr.seek(0)
    lines = [line for line in stderr.read().decode(errors="replace").splitlines() if line.strip()]
    exit_status = f"signal {-code}" if code < 0 else f"exit code {code}"
    return redact(f"{lines[-1]} ({exit_status})" if lines else exit_status)
