"""Monitor the GPU during training, and report how fast the training was."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from tinybench.hardware import certificate, nvml

if TYPE_CHECKING:
    from tinybench.training.progress import Progress

_GPU_TAG = "efficiency.gpu"


@dataclass(frozen=True)
class GpuUsage:
    """The memory and energy that a training takes of its GPU.

    Attributes:
        sampler: Samples the GPU; None if there is no GPU to sample.
        reason: Why there is no sampler.
    """

    sampler: nvml.GpuSampler | None
    reason: str = ""

    def metrics(self) -> dict[str, float]:
        """Return the largest increase of memory, the energy, and the time between two samples; empty without a GPU."""
        if self.sampler is None:
            return {}
        samples = self.sampler.metrics()
        metrics = {"efficiency/training_gpu_memory_bytes": samples["memory_bytes"]}
        metrics["efficiency/training_nvml_interval_ms"] = 1000 * samples["interval_seconds"]
        return metrics | ({"efficiency/training_joules": samples["joules"]} if "joules" in samples else {})

    def tags(self) -> dict[str, str]:
        """Return a tag that says whose memory was measured, or why none was."""
        if self.sampler is None:
            return {_GPU_TAG: f"no figures: {self.reason}"}
        return {_GPU_TAG: f"memory of the {self.sampler.peak.scope}, by NVML"}


@contextmanager
def monitor_gpu(device: str) -> Iterator[GpuUsage]:
    """Monitor the GPU of a run until the block ends.

    Args:
        device: The device of the run, as `hardware.device.select_device` returned it.
    """
    match = re.match(r"gpu:(\d+)", device)
    gpu, reason = certificate.find_gpu(int(match[1]) if match else None)
    if gpu is None:
        yield GpuUsage(None, reason)
        return
    with nvml.GpuSampler(gpu) as sampler:
        yield GpuUsage(sampler)


def training_speed(progress: Progress) -> dict[str, float]:
    """Return the training images per second, the median over epochs; empty before the first epoch has ended."""
    speeds = [epoch.metrics["train/images_per_second"] for epoch in progress.epochs]
    return {"efficiency/training_images_per_second": median(speeds)} if speeds else {}
