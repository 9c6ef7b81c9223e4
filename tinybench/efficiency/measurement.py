"""Measure models, each in a new process of its own, one after another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinybench.core.errors import EngineError
from tinybench.efficiency.measurement_spec import RESULT_MARK, MeasurementSpec
from tinybench.hardware import certificate

_PACKAGE_PARENT = Path(__file__).parents[2]
_MAX_REASON = 300  # characters of the last line that a failed process wrote


@dataclass(frozen=True)
class Measurement:
    """The result of one measuring process.

    Attributes:
        spec: What was measured.
        metrics: Values by name without the device, such as `latency_p50_ms`.
        seconds: (calls,) duration of each call at batch size 1.
        throughputs: Batch sizes and their images per second.
        notes: Lines for a person who reads the metrics.
        certificate: The machine, and its state before and after.
    """

    spec: MeasurementSpec
    metrics: dict[str, float]
    seconds: NDArray[np.float64]
    throughputs: tuple[tuple[int, float], ...]
    notes: tuple[str, ...]
    certificate: dict[str, Any]

    @property
    def machine(self) -> str:
        """A hash of the machine and its libraries; only measurements that share it can be compared."""
        return certificate.machine_id(self.certificate["machine"])

    def to_dict(self) -> dict[str, Any]:
        """Return the measurement as values for JSON."""
        return {
            "spec": vars(self.spec),
            "figures": self.metrics,
            "seconds": self.seconds.tolist(),
            "rungs": self.throughputs,
            "notes": self.notes,
            "certificate": self.certificate,
            "machine": self.machine,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Measurement:
        """Return the measurement that `to_dict` gave."""
        return cls(
            MeasurementSpec(**values["spec"]),
            values["figures"],
            np.array(values["seconds"]),
            tuple((int(batch), float(speed)) for batch, speed in values["rungs"]),
            tuple(values["notes"]),
            values["certificate"],
        )


class MeasurementProcess:
    """A process that loads its libraries as soon as it is created, and measures when it is told to.

    Use it in a `with` block: at the end of the block the process is killed if it still runs.

    Args:
        spec: What it will measure.
    """

    def __init__(self, spec: MeasurementSpec) -> None:
        self.spec = spec
        command = [sys.executable, "-P", "-m", "tinybench.efficiency.measurement_worker"]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=_worker_environment(spec)
        )

    def __enter__(self) -> MeasurementProcess:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:  # closes its pipes, and waits for its end
            self._process.kill()

    def measure(self) -> Measurement:
        """Let the process measure, and wait for the result.

        Raises:
            EngineError: The model cannot be measured; the message is that of the process.
        """
        output, errors = self._process.communicate(self.spec.to_json())
        results = [line.removeprefix(RESULT_MARK) for line in output.splitlines() if line.startswith(RESULT_MARK)]
        if not results:
            raise EngineError(_describe_failure(self._process.returncode, errors))
        values = json.loads(results[-1])
        if "error" in values:
            raise EngineError(values["error"])
        if self._process.returncode:  # it failed after it had sent some results
            values["notes"].append(_describe_too_large_batch(self.spec, values["figures"]))
        return Measurement.from_dict(values | {"spec": values["spec"] | {"model": self.spec.model}})


def measure(spec: MeasurementSpec) -> Measurement:
    """Measure a model in a process of its own, and wait for the result.

    Raises:
        EngineError: The model cannot be measured; the message is that of the process.
    """
    with MeasurementProcess(spec) as process:
        return process.measure()


def noise(repetitions: Iterable[Sequence[float]]) -> float:
    """Return by what share repeated measurements of the same model differ at most.

    Args:
        repetitions: For each model the values of one metric.

    Returns:
        The largest quotient of two values of one model, less 1; 0 if no model was measured more than once.
    """
    spreads = [max(values) / min(values) - 1 for values in repetitions if len(values) > 1]
    return max(spreads, default=0.0)


def _worker_environment(spec: MeasurementSpec) -> dict[str, str]:
    """Return the environment variables of a measuring process.

    Its libraries write no log, use the threads of the specification, and number GPUs as NVML does. It imports this
    very package, and no module from the current folder.
    """
    import_paths = [str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH", "")]
    variables = {"PYTHONPATH": os.pathsep.join(filter(None, import_paths)), "TF_CPP_MIN_LOG_LEVEL": "3"}
    variables |= {"OMP_NUM_THREADS": str(spec.threads), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    if spec.device == "cpu":
        variables |= {"CUDA_VISIBLE_DEVICES": "-1"}
    return os.environ | variables


def _describe_too_large_batch(spec: MeasurementSpec, metrics: dict[str, float]) -> str:
    """Return a note on a process that ran out of memory while it measured its throughput."""
    batch = "A larger batch" if spec.batch is None else f"A batch of {spec.batch}"
    measured = metrics.get("throughput_batch")
    return f"{batch} does not fit into memory: {'none' if measured is None else f'{measured:.0f}'} was measured."


def _describe_failure(code: int, errors: str) -> str:
    """Return why a process sent no result.

    Args:
        code: Its exit code; negative for a signal.
        errors: Its standard error.
    """
    if code < 0:
        return (
            f"The measuring process was ended by signal {-code}, as the system does when memory ends: "
            "take a smaller --batch or --image_size."
        )
    lines = [line for line in errors.splitlines() if line.strip()]
    return f"The measuring process failed: {lines[-1][:_MAX_REASON] if lines else f'exit code {code}'}"
