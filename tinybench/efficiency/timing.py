"""How long a call takes: any callable that returns only when its work is done.

Nothing of a framework is known here. Who measures on a device whose calls return before their work is done reads a
result back inside the callable; the input lies where it is computed before the clock starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, takewhile

import numpy as np
from numpy.typing import NDArray

Call = Callable[[], object]

_WINDOW = 5  # calls whose median is compared with that of the ones before
_SETTLED = 0.05  # how near two medians lie once it is warm
_RISE = 1.05  # of throughput that makes a larger batch worth it
_LARGEST = 4096  # images in a batch
_FEWEST = 2  # calls whose median is taken


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
QUICK = Budget(calls=10, seconds=0.5, warm_up=0.5, rung=0.1)


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
    first = seconds(call)
    warm, settled = _warm_up(call, budget.warm_up)
    found: list[float] = []
    until = time.perf_counter() + budget.seconds
    while len(found) < budget.calls or time.perf_counter() < until:
        found.append(seconds(call))
    return Timing(first, warm, settled, np.array(found))


def ladder(calls: Callable[[int], Call], budget: Budget) -> list[Rung]:
    """Throughput at batches of 1, 2, 4 and so on, until it stops to rise by 5 % or memory ends.

    Args:
        calls: From a batch size to what computes one batch of it; either may raise MemoryError.
        budget: How long each is measured.

    Raises:
        MemoryError: not even the first batch fits.
    """
    rungs: list[Rung] = []
    for batch in _powers(_LARGEST):
        try:
            rungs.append(_rung(batch, calls(batch), budget))
        except MemoryError:
            if not rungs:
                raise
            break
        if len(rungs) > 1 and rungs[-1].per_second < rungs[-2].per_second * _RISE:
            break
    return rungs


def fitting(calls: Callable[[int], Call], wanted: int, budget: Budget) -> Rung:
    """Throughput at one batch size, or at the largest power of two below it that memory holds.

    Raises:
        MemoryError: not even one image fits.
    """
    found: tuple[int, Call] | None = None
    for batch in (*_powers(wanted - 1), wanted):  # growing, so that what does not fit is known before it is tried
        try:
            call = calls(batch)
            call()
        except MemoryError:
            if found is None:
                raise
            break
        found = batch, call
    assert found is not None
    return _rung(*found, budget)


def best(rungs: list[Rung]) -> Rung:
    """The fastest."""
    return max(rungs, key=lambda rung: rung.per_second)


def seconds(call: Call) -> float:
    """That one call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _warm_up(call: Call, most: float) -> tuple[int, bool]:
    """Call until the median of some calls is as that of the ones before: how often, and whether that was reached."""
    until, before, calls = time.perf_counter() + most, np.inf, 0
    while True:
        median = float(np.median([seconds(call) for _ in range(_WINDOW)]))
        calls += _WINDOW
        if before != np.inf and abs(median - before) <= _SETTLED * before:
            return calls, True
        if time.perf_counter() > until:
            return calls, False
        before = median


def _rung(batch: int, call: Call, budget: Budget) -> Rung:
    """By the median of some calls after a first one."""
    call()
    found: list[float] = []
    while len(found) < _FEWEST or sum(found) < budget.rung:
        found.append(seconds(call))
    return Rung(batch, batch / float(np.median(found)))


def _powers(most: int) -> Iterator[int]:
    return takewhile(lambda batch: batch <= most, (2**power for power in count()))
