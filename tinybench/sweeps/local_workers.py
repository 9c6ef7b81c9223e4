"""Workers as processes of this machine, which share its processor; one that dies is replaced."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from tinybench.core.errors import DeviceError, TinybenchError
from tinybench.core.redaction import without_secrets
from tinybench.hardware import certificate, nvml
from tinybench.hardware.device import SHARE
from tinybench.sweeps.samplers import WORKER
from tinybench.sweeps.space import Space

STORAGE = "TINYBENCH_STORAGE"  # a variable, since everybody can read the words of a command

_ROOT = Path(__file__).parents[2]  # where the package lies
_LAST_LINES = 30.0  # seconds that a worker has to end
_PATIENCE = 3  # workers that die one after another before they take a trial
_MORE_PATIENCE = 9  # that die at their trials, of which some others may still come to something


class Pool:
    """So many workers of a study; a context: those that are left at its end are stopped."""

    def __init__(self, study: str, space: Space, storage: str, uri: str, count: int) -> None:
        """Args: the study's name and space, its storage, where its trials are tracked, and how many workers.

        Raises:
            ConfigError: so many cannot serve it.
            DeviceError: an objective needs a GPU, and none is here.
        """
        space.check_workers(count)
        _check_device(space)
        self._words = [sys.executable, "-P", "-m", "tinybench", "sweep-worker", study]
        self._own = {STORAGE: storage, "MLFLOW_TRACKING_URI": uri, SHARE: str(count)}
        threads = max(1, certificate.usable_threads() // count)
        if count > 1:
            names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
            self._own |= dict.fromkeys(names, str(threads))
        self._count = count
        self._running: dict[int, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}
        self._started = 0
        self._idle: list[str] = []  # last words since a trial began
        self._vain: list[str] = []  # since one was trained
        self._seen = (-1, -1)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for process, _said in self._running.values():
            if kind is None and _ended(process):  # nothing is left for it: it writes its last lines
                continue
            process.terminate()  # it closes its trial's run, and gives the trial back
        for process, file in self._running.values():
            if not _ended(process):
                process.kill()
                process.wait()
            file.close()
        self._running.clear()

    def tend(self, begun: int, trained: int) -> None:
        """Start workers where some are missing.

        Args:
            begun: Trials that began, by which a worker that works is told from one that cannot.
            trained: Those that were not in vain.

        Raises:
            TinybenchError: worker after worker dies.
        """
        for deaths, seen, now in zip((self._idle, self._vain), self._seen, (begun, trained), strict=True):
            if seen != now:
                deaths.clear()
        self._seen = begun, trained
        for number, (process, said) in [*self._running.items()]:
            if process.poll() is not None:
                del self._running[number]
                if process.returncode:
                    words = _last_words(process.returncode, said)
                    self._idle.append(words)
                    self._vain.append(words)
                said.close()
        if len(self._idle) >= _PATIENCE or len(self._vain) >= _MORE_PATIENCE:
            raise TinybenchError(f"{len(self._vain)} workers died one after another, the last with: {self._vain[-1]}")
        for number in range(self._count):
            if number not in self._running:
                self._running[number] = self._start()

    def _start(self) -> tuple[subprocess.Popen[bytes], IO[bytes]]:
        said = TemporaryFile()  # noqa: SIM115  it is closed with the process
        environment = os.environ | self._own | {WORKER: str(self._started), "PYTHONPATH": _path()}
        environment = {name: value for name, value in environment.items() if name not in ("MLFLOW_RUN_ID",)}
        self._started += 1
        # Its standard input is a pipe that nobody writes to: it ends with this process, and the worker with it
        process = subprocess.Popen(
            self._words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
        )
        return process, said


def _check_device(space: Space) -> None:
    for each in space.objectives:
        if "gpu" in each.figure:
            try:
                nvml.find()
            except DeviceError as error:
                raise DeviceError(f"The objective {each.figure} needs a GPU: {error}") from error


def _ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a process ends within some seconds."""
    try:
        process.wait(_LAST_LINES)
    except subprocess.TimeoutExpired:
        return False
    return True


def _path() -> str:
    return os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH", "")]))


def _last_words(code: int, said: IO[Any]) -> str:
    """What a process that died said last."""
    said.seek(0)
    lines = [line for line in said.read().decode(errors="replace").splitlines() if line.strip()]
    end = f"signal {-code}" if code < 0 else f"exit code {code}"
    return without_secrets(f"{lines[-1]} ({end})" if lines else end)
