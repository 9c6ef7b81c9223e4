"""Run commands of tinybench in other processes, which share the CPU of this machine and end with this process."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

from tinybench.core.redaction import redact
from tinybench.hardware import certificate

SHARE_VARIABLE = "TINYBENCH_SHARE"
"""Environment variable: the number of processes that share the memory."""

_SOURCE_ROOT = Path(__file__).parents[2]
_THREAD_VARIABLES = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
_EXIT_SECONDS = 30.0  # that a process has to end
_ERROR_START = "Error: "  # of the line in which a command says why it ends


class ChildProcess:
    """A command of tinybench in another process.

    Its standard input is a pipe that ends with this process, by which the other one knows that it should end, too.

    Args:
        arguments: The arguments of the command line.
        variables: Environment variables that differ from those of this process.
        task: A line for its standard input; nothing if empty.
        folder: Its working directory; that of this process if None.
    """

    def __init__(
        self, arguments: Sequence[str], variables: Mapping[str, str], task: str = "", folder: str | None = None
    ) -> None:
        self._stdout, self._stderr = TemporaryFile(), TemporaryFile()  # noqa: SIM115  closed with the process
        path = os.pathsep.join(filter(None, [str(_SOURCE_ROOT), os.environ.get("PYTHONPATH", "")]))
        environment = os.environ | variables | {"PYTHONPATH": path}
        environment.pop("MLFLOW_RUN_ID", None)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tinybench", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=self._stdout,
            stderr=self._stderr,
            process_group=0,  # Ctrl-C reaches this process alone, which then ends the other one by a single signal
        )
        if task:
            assert self._process.stdin is not None
            with suppress(BrokenPipeError):  # it has died already
                self._process.stdin.write(task.encode() + b"\n")
                self._process.stdin.flush()

    @property
    def process_id(self) -> int:
        """The number of the process."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code, negative for a signal; None while the process runs."""
        return self._process.poll()

    def wait(self, seconds: float = _EXIT_SECONDS) -> bool:
        """Wait some seconds for the process, and return whether it has ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def terminate(self) -> None:
        """Ask the process to end, which then ends its run."""
        self._process.terminate()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def close(self) -> None:
        """Wait for the process, kill it if it does not end in time, and release what belongs to it."""
        if not self.wait():
            self._process.kill()
            self._process.wait()
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._stdout.close()
        self._stderr.close()

    def read_output(self) -> str:
        """Return what the process has printed so far."""
        self._stdout.seek(0)
        return self._stdout.read().decode(errors="replace")

    def describe_death(self) -> str:
        """Return why the process ended: its error, or else the last line that it printed, and exit code or signal."""
        self._stderr.seek(0)
        lines = [line for line in self._stderr.read().decode(errors="replace").splitlines() if line.strip()]
        errors = [line.removeprefix(_ERROR_START) for line in lines if line.startswith(_ERROR_START)]
        if errors:
            return redact(errors[-1])
        code = self._process.returncode
        exit_status = f"signal {-code}" if code < 0 else f"exit code {code}"
        return redact(f"{lines[-1]} ({exit_status})" if lines else exit_status)


def share_variables(count: int) -> dict[str, str]:
    """Return the environment variables of each of several processes that share the CPU and the memory."""
    variables = {SHARE_VARIABLE: str(count)}
    if count > 1:
        variables |= thread_variables(certificate.usable_threads() / count)
    return variables


def thread_variables(cpu: float) -> dict[str, str]:
    """Return the environment variables of a process that has some CPUs for itself, at least one."""
    return dict.fromkeys(_THREAD_VARIABLES, str(max(1, int(cpu))))


def watch_parent(on_end: Callable[[], object]) -> None:
    """Call a function in a thread once the process that started this one has ended: standard input ends with it."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 4096):  # not by sys.stdin, whose lock the thread would hold at the exit
            pass
        on_end()

    threading.Thread(target=wait, daemon=True).start()
