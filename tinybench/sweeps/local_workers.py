"""Workers as processes of this machine, which share its CPU; a process that dies is replaced."""

from __future__ import annotations

from tinybench.core.errors import DeviceError, TinybenchError
from tinybench.hardware import child_process, nvml
from tinybench.hardware.child_process import ChildProcess
from tinybench.sweeps.samplers import WORKER_VARIABLE
from tinybench.sweeps.space import Space

# A variable and not an argument, since every user of the machine can read the arguments of a process
STORAGE_VARIABLE = "TINYBENCH_STORAGE"

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
        self._arguments = ("sweep-worker", study)
        self._variables = {STORAGE_VARIABLE: storage, "MLFLOW_TRACKING_URI": uri} | child_process.share_variables(count)
        self._count = count
        self._running: dict[int, ChildProcess] = {}
        self._started = 0
        self._deaths_without_start: list[str] = []  # reasons, since a trial was taken
        self._deaths_without_result: list[str] = []  # reasons, since a trial was trained
        self._trials_taken = -1
        self._trials_trained = -1

    def __enter__(self) -> LocalWorkers:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for worker in self._running.values():
            if kind is None and worker.wait():  # no trial is left: it sends its last entries
                continue
            worker.terminate()  # it ends the run of its trial and gives the trial back
        for worker in self._running.values():
            worker.close()
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
        for number, worker in [*self._running.items()]:
            code = worker.exit_code()
            if code is None:
                continue
            del self._running[number]
            if code:
                reason = worker.describe_death()
                self._deaths_without_start.append(reason)
                self._deaths_without_result.append(reason)
            worker.close()

    def _start(self) -> ChildProcess:
        variables = self._variables | {WORKER_VARIABLE: str(self._started)}
        self._started += 1
        return ChildProcess(self._arguments, variables)


def _check_gpu(space: Space) -> None:
    for objective in space.objectives:
        if "gpu" in objective.metric:
            try:
                nvml.find_gpu()
            except DeviceError as error:
                raise DeviceError(f"The objective {objective.metric} needs a GPU: {error}") from error
