"""How long a call takes: any callable that returns only when its work is done.

Nothing of a framework is known here. Who measures on a device whose calls return before their work is done reads a
result back inside the callable; the input lies where it is computed before the clock starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

Call = Callable[[], object]

_WINDOW = 5  # calls whose median is compared with that of the ones before
_SETTLED = 0.05  # how near two medians lie once it is warm
_RISE = 1.05  # of throughput that makes a larger batch worth it


@dataclass(frozen=True)
class Budget:
    """How much is measured.

    Attributes:
        calls: At least so many.
        seconds: At least so long, whichever is later.
        warm_up: At most so many seconds before that.
        rung: Seconds a batch size.
    """

    calls: int
    seconds: float
    warm_up: float
    rung: float


FULL = Budget(calls=200, seconds=10.0, warm_up=10.0, rung=2.0)
QUICK = Budget(calls=20, seconds=1.0, warm_up=1.0, rung=0.3)


@dataclass(frozen=True)
class Timing:
    """Calls that were timed one by one.

    Attributes:
        first: Seconds of the very first call, which traces and compiles.
        warm_up: Calls after it that were not counted.
        settled: The last of those had become as fast as the ones before.
        seconds: (calls,) in their order; outliers stay in.
    """

    first: float
    warm_up: int
    settled: bool
    seconds: NDArray[np.float64]

    def percentile(self, share: float) -> float:
        """Seconds that a share of the calls, in percent, took at most."""
        return float(np.percentile(self.seconds, share))


@dataclass(frozen=True)
class Rung:
    """A batch size of the ladder.

    Attributes:
        batch: Images a call.
        per_second: Images.
    """

    batch: int
    per_second: float


def measure(call: Call, budget: Budget) -> Timing:
    """Time calls one by one, after the first one and a warm-up."""
    first = _seconds(call)
    warm, settled = _warm_up(call, budget.warm_up)
    found: list[float] = []
    until = time.perf_counter() + budget.seconds
    while len(found) < budget.calls or time.perf_counter() < until:
        found.append(_seconds(call))
    return Timing(first, warm, settled, np.array(found))


def ladder(calls: Callable[[int], Call], budget: Budget, batches: Iterator[int] | None = None) -> list[Rung]:
    """Throughput at growing batch sizes, until it stops to rise by 5 % or memory ends.

    Args:
        calls: From a batch size to what computes one batch of it; either may raise MemoryError.
        budget: How long each is measured.
        batches: The sizes to try; powers of two when None.

    Raises:
        MemoryError: not even the first batch fits.
    """
    rungs: list[Rung] = []
    for batch in batches or _powers():
        try:
            rungs.append(Rung(batch, batch / _each(calls(batch), budget.rung)))
        except MemoryError:
            if not rungs:
                raise
            break
        if len(rungs) > 1 and rungs[-1].per_second < rungs[-2].per_second * _RISE:
            break
    return rungs


def best(rungs: list[Rung]) -> Rung:
    """The fastest."""
    return max(rungs, key=lambda rung: rung.per_second)


def _seconds(call: Call) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _warm_up(call: Call, most: float) -> tuple[int, bool]:
    """Call until the median of some calls is as that of the ones before: how often, and whether that was reached."""
    until, before, count = time.perf_counter() + most, np.inf, 0
    while True:
        median = float(np.median([_seconds(call) for _ in range(_WINDOW)]))
        count += _WINDOW
        if before != np.inf and abs(median - before) <= _SETTLED * before:
            return count, True
        if time.perf_counter() > until:
            return count, False
        before = median


def _each(call: Call, seconds: float) -> float:
    """Seconds a call in the mean, after a first one."""
    call()
    began, count = time.perf_counter(), 0
    while count < 2 or time.perf_counter() - began < seconds:
        call()
        count += 1
    return (time.perf_counter() - began) / count


def _powers() -> Iterator[int]:
    return takewhile(lambda batch: batch <= 4096, (2**power for power in range(13)))
