"""How long a call takes: any callable that returns only when its work is done.

Nothing of a framework is known here. Who measures on a device whose calls return before their work is done reads a
result back inside the callable; the input lies where it is computed before the clock starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice, takewhile

import numpy as np
from numpy.typing import NDArray

Call = Callable[[], object]

_SETTLED = 0.05  # how near two medians lie once it is warm
_LARGEST = 4096  # images in a batch


@dataclass(frozen=True)
class Budget:
    """How much is measured.

    Attributes:
        calls: At least so many.
        seconds: At least so long, whichever is later.
        warm_up: At most so many seconds before that, but for two windows.
        window: Calls of the warm-up whose median is compared with that of the ones before.
        rung: Seconds a batch size.
        fewest: Calls of a batch size at least.
        rise: Of throughput that makes a larger batch worth it.
    """

    calls: int
    seconds: float
    warm_up: float
    window: int
    rung: float
    fewest: int
    rise: float


FULL = Budget(calls=200, seconds=10.0, warm_up=10.0, window=5, rung=2.0, fewest=2, rise=1.05)
QUICK = Budget(calls=10, seconds=0.5, warm_up=0.5, window=3, rung=0.1, fewest=1, rise=1.1)


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
    warm, settled = _warm_up(call, budget)
    found: list[float] = []
    until = time.perf_counter() + budget.seconds
    while len(found) < budget.calls or time.perf_counter() < until:
        found.append(seconds(call))
    return Timing(first, warm, settled, np.array(found))


def ladder(calls: Callable[[int], Call], lowest: Rung, budget: Budget) -> list[Rung]:
    """Throughput at batches of 1, 2, 4 and so on, until it stops to rise by some percent or memory ends.

    Args:
        calls: From a batch size to what computes one batch of it; either may raise MemoryError.
        lowest: Of one image, whose latency is known.
        budget: How long each other is measured.
    """
    rungs = [lowest]
    for batch in islice(_powers(_LARGEST), 1, None):
        try:
            rungs.append(_rung(batch, calls(batch), budget))
        except MemoryError:
            break
        if rungs[-1].per_second < rungs[-2].per_second * budget.rise:
            break
    return rungs


def fitting(
    calls: Callable[[int], Call], wanted: int, budget: Budget, on_rung: Callable[[Rung], None] = lambda _: None
) -> Rung:
    """Throughput at one batch size, or at the largest power of two below it that memory holds.

    Args:
        calls: From a batch size to what computes one batch of it; either may raise MemoryError.
        wanted: The batch size.
        budget: How long it is measured.
        on_rung: Told of every size that fits, by its first call.

    Raises:
        MemoryError: not even one image fits.
    """
    found: tuple[int, Call] | None = None
    for batch in (*_powers(wanted - 1), wanted):  # growing, so that what does not fit is known before it is tried
        try:
            call = calls(batch)
            took = seconds(call)
        except MemoryError:
            if found is None:
                raise
            break
        found = batch, call
        on_rung(Rung(batch, batch / took))
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


def _warm_up(call: Call, budget: Budget) -> tuple[int, bool]:
    """Call until the median of a window is as that of the one before: how often, and whether that was reached."""
    until, before, calls = time.perf_counter() + budget.warm_up, _median(call, budget.window), budget.window
    while True:
        median = _median(call, budget.window)
        calls += budget.window
        if abs(median - before) <= _SETTLED * before:
            return calls, True
        if time.perf_counter() > until:
            return calls, False
        before = median


def _median(call: Call, calls: int) -> float:
    """Seconds."""
    return float(np.median([seconds(call) for _ in range(calls)]))


def _rung(batch: int, call: Call, budget: Budget) -> Rung:
    """By the median of some calls after a first one."""
    call()
    found: list[float] = []
    while len(found) < budget.fewest or sum(found) < budget.rung:
        found.append(seconds(call))
    return Rung(batch, batch / float(np.median(found)))


def _powers(most: int) -> Iterator[int]:
    return takewhile(lambda batch: batch <= most, (2**power for power in count()))
