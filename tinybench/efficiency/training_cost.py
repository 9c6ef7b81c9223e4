"""What training takes of a GPU while it goes on, and how fast it was."""

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


@dataclass(frozen=True)
class Seen:
    """What was seen of the GPU.

    Attributes:
        sampler: It watched; None where there is nothing to watch.
        reason: Why there is nothing.
    """

    sampler: nvml.Sampler | None
    reason: str = ""

    def figures(self) -> dict[str, float]:
        """The most memory over what was used before, energy, and seconds between two samples; nothing without a GPU."""
        if self.sampler is None:
            return {}
        seen = self.sampler.figures()
        found = {"efficiency/training_gpu_memory_bytes": seen["memory_bytes"]}
        found["efficiency/training_nvml_interval_ms"] = 1000 * seen["interval_seconds"]
        return found | ({"efficiency/training_joules": seen["joules"]} if "joules" in seen else {})

    def tags(self) -> dict[str, str]:
        """Whose memory it is, or why it is not known."""
        if self.sampler is None:
            return {"efficiency.gpu": f"no figures: {self.reason}"}
        return {"efficiency.gpu": f"memory of the {self.sampler.peak.scope}, by NVML"}


@contextmanager
def gpu(used: str) -> Iterator[Seen]:
    """Watch the GPU that a run uses meanwhile.

    Args:
        used: As `training.device.use` says it.
    """
    match = re.match(r"gpu:(\d+)", used)
    found, reason = certificate.gpu_or_reason(int(match[1]) if match else None)
    if found is None:
        yield Seen(None, reason)
        return
    with nvml.Sampler(found) as sampler:
        yield Seen(sampler)


def trained(progress: Progress) -> dict[str, float]:
    """Training images per second, the median over epochs."""
    speeds = [epoch.metrics["train/images_per_second"] for epoch in progress.epochs]
    return {"efficiency/training_images_per_second": median(speeds)} if speeds else {}
