"""Measurements, each in a fresh process of its own, one after another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinybench.core.errors import EngineError
from tinybench.efficiency.spec import MARK, Spec
from tinybench.hardware import certificate

_ROOT = Path(__file__).parents[2]  # where the package lies
_LAST_WORDS = 300  # characters of what a process that died said


@dataclass(frozen=True)
class Measurement:
    """What one process found.

    Attributes:
        spec: What was asked for.
        figures: By name, such as `latency_p50_ms`.
        seconds: (calls,) of each call at batch 1.
        rungs: Batch sizes and their images per second.
        notes: What a person should know.
        certificate: The machine, and its state before and after.
    """

    spec: Spec
    figures: dict[str, float]
    seconds: NDArray[np.float64]
    rungs: tuple[tuple[int, float], ...]
    notes: tuple[str, ...]
    certificate: dict[str, Any]

    @property
    def machine(self) -> str:
        """By which machines are told apart."""
        return certificate.identity(self.certificate["machine"])

    def plain(self) -> dict[str, Any]:
        """As JSON takes it."""
        kept = {each.name: getattr(self, each.name) for each in fields(self)}
        return kept | {"spec": vars(self.spec), "seconds": self.seconds.tolist(), "machine": self.machine}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Measurement:
        """What `plain` gave, read back."""
        return cls(
            Spec(**plain["spec"]),
            plain["figures"],
            np.array(plain["seconds"]),
            tuple((int(batch), float(speed)) for batch, speed in plain["rungs"]),
            tuple(plain["notes"]),
            plain["certificate"],
        )


class Process:
    """A process that loads its libraries as soon as it is made, and measures once it is told to.

    A context: what is left of it at the end is killed.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        words = [sys.executable, "-P", "-m", "tinybench.efficiency.measurement_worker"]
        pipe = subprocess.PIPE
        self._made = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=_environment(spec))

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        with self._made:  # closes its pipes, and waits for it
            self._made.kill()

    def measure(self) -> Measurement:
        """Let it measure, and wait for it.

        Raises:
            EngineError: what is asked for cannot be measured; the message is that of the process.
        """
        said, complained = self._made.communicate(self.spec.as_json())
        found = [line.removeprefix(MARK) for line in said.splitlines() if line.startswith(MARK)]
        if not found:
            raise EngineError(_died(self._made.returncode, complained))
        answer = json.loads(found[-1])
        if "error" in answer:
            raise EngineError(answer["error"])
        if self._made.returncode:  # it had said what it found before
            answer["notes"].append(_too_large(self.spec, answer["figures"]))
        return Measurement.of(answer | {"spec": answer["spec"] | {"model": self.spec.model}})


def measure(spec: Spec) -> Measurement:
    """Measure in a process of its own, and wait for it.

    Raises:
        EngineError: what is asked for cannot be measured; the message is that of the process.
    """
    with Process(spec) as process:
        return process.measure()


def noise(figures: Iterable[Sequence[float]]) -> float:
    """How far the same thing measured again lay off, as a share: the most of all that were measured more than once.

    Args:
        figures: For each thing its values.
    """
    spreads = [max(values) / min(values) - 1 for values in figures if len(values) > 1]
    return max(spreads, default=0.0)


def _environment(spec: Spec) -> dict[str, str]:
    """Of the process: its libraries are quiet, have the threads that are asked for and number GPUs as NVML does.

    It finds this very package, and no module of the folder that the user happens to be in.
    """
    places = [str(_ROOT), os.environ.get("PYTHONPATH", "")]
    given = {"PYTHONPATH": os.pathsep.join(filter(None, places))}
    given |= {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": str(spec.threads), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    hidden = {"CUDA_VISIBLE_DEVICES": "-1"} if spec.device == "cpu" else {}
    return os.environ | given | hidden


def _too_large(spec: Spec, figures: dict[str, float]) -> str:
    """What ended a process that measured its throughput."""
    wanted = "A larger batch" if spec.batch is None else f"A batch of {spec.batch}"
    known = figures.get("throughput_batch")
    return f"{wanted} does not fit into memory: {'none' if known is None else f'{known:.0f}'} was measured."


def _died(code: int, complained: str) -> str:
    """Why a process gave no answer."""
    if code < 0:
        return (
            f"The measuring process was ended by signal {-code}, as the system does when memory ends: "
            "take a smaller --batch or --image_size."
        )
    said = [line for line in complained.splitlines() if line.strip()]
    return f"The measuring process failed: {said[-1][:_LAST_WORDS] if said else f'exit code {code}'}"
