"""Time calls, and measure the throughput at growing batch sizes.

Nothing here knows a framework: a call is any function that returns only when its work is done. For a device whose
calls return early, the caller reads the result back inside the call, and places the input before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice, takewhile

import numpy as np
from numpy.typing import NDArray

Call = Callable[[], object]

_STEADY_SHARE = 0.05  # the medians of two windows differ by at most this share once calls are warm
_MAX_BATCH = 4096  # images


@dataclass(frozen=True)
class Budget:
    """The number of calls that are timed, and for how long.

    Attributes:
        calls: Smallest number of timed calls.
        seconds: Shortest duration of the timed calls; whichever of the two is reached later ends them.
        warm_up: Longest duration of the warm-up, in seconds; two windows are always run.
        window: Number of calls in a window of the warm-up, whose median is compared with that of the next window.
        batch_seconds: How long each batch size is timed.
        min_batch_calls: Smallest number of timed calls of a batch size.
        min_gain: Factor by which the throughput must grow for a larger batch size to be tried.
    """

    calls: int
    seconds: float
    warm_up: float
    window: int
    batch_seconds: float
    min_batch_calls: int
    min_gain: float


FULL = Budget(calls=200, seconds=10.0, warm_up=10.0, window=5, batch_seconds=2.0, min_batch_calls=2, min_gain=1.05)
QUICK = Budget(calls=10, seconds=0.5, warm_up=0.5, window=3, batch_seconds=0.1, min_batch_calls=1, min_gain=1.1)


@dataclass(frozen=True)
class Timing:
    """The durations of calls that were timed one by one.

    Attributes:
        first: Seconds of the very first call, which traces and compiles.
        warm_up: Number of calls after the first one that were not counted.
        steady: The warm-up ended because the calls did not become faster any more.
        seconds: (calls,) in their order, outliers included.
    """

    first: float
    warm_up: int
    steady: bool
    seconds: NDArray[np.float64]

    def percentile(self, share: float) -> float:
        """Return the seconds within which a share of the calls, in percent, had ended."""
        return float(np.percentile(self.seconds, share))


@dataclass(frozen=True)
class Throughput:
    """The throughput at one batch size.

    Attributes:
        batch: Images in a batch.
        images_per_second: The throughput.
    """

    batch: int
    images_per_second: float


def time_calls(call: Call, budget: Budget) -> Timing:
    """Time calls one by one, after the first one and a warm-up."""
    first = time_call(call)
    warm_up, steady = _warm_up(call, budget)
    seconds: list[float] = []
    end = time.perf_counter() + budget.seconds
    while len(seconds) < budget.calls or time.perf_counter() < end:
        seconds.append(time_call(call))
    return Timing(first, warm_up, steady, np.array(seconds))


def measure_growing_batches(calls: Callable[[int], Call], single: Throughput, budget: Budget) -> list[Throughput]:
    """Measure the throughput at batches of 1, 2, 4, … until it no longer grows enough or memory is exhausted.

    Args:
        calls: Returns the call that computes a batch of the given size; both may raise MemoryError.
        single: The throughput at batch size 1, which is known from the latency.
        budget: How long each batch size is timed, and by what factor the throughput must grow.
    """
    throughputs = [single]
    for batch in islice(_powers_of_two(_MAX_BATCH), 1, None):
        try:
            throughputs.append(_measure_batch(batch, calls(batch), budget))
        except MemoryError:
            break
        if throughputs[-1].images_per_second < throughputs[-2].images_per_second * budget.min_gain:
            break
    return throughputs


def measure_largest_batch(
    calls: Callable[[int], Call], size: int, budget: Budget, on_fit: Callable[[Throughput], None] = lambda _: None
) -> Throughput:
    """Measure the throughput at one batch size, or at the largest power of two below it that fits into memory.

    Args:
        calls: Returns the call that computes a batch of the given size; both may raise MemoryError.
        size: The batch size.
        budget: How long the batch size is timed.
        on_fit: Called with every batch size that fits, and its throughput by the first call.

    Raises:
        MemoryError: Not even one image fits.
    """
    largest: tuple[int, Call] | None = None
    for batch in (*_powers_of_two(size - 1), size):  # growing: the process may end at the first that does not fit
        try:
            call = calls(batch)
            seconds = time_call(call)
        except MemoryError:
            if largest is None:
                raise
            break
        largest = batch, call
        on_fit(Throughput(batch, batch / seconds))
    assert largest is not None
    return _measure_batch(*largest, budget)


def fastest(throughputs: list[Throughput]) -> Throughput:
    """Return the highest throughput."""
    return max(throughputs, key=lambda throughput: throughput.images_per_second)


def time_call(call: Call) -> float:
    """Return the seconds that one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _warm_up(call: Call, budget: Budget) -> tuple[int, bool]:
    """Call until the medians of two successive windows agree, or time is up.

    Returns:
        The number of calls, and whether the medians agreed.
    """
    end, previous, calls = time.perf_counter() + budget.warm_up, _median_seconds(call, budget.window), budget.window
    while True:
        median = _median_seconds(call, budget.window)
        calls += budget.window
        if abs(median - previous) <= _STEADY_SHARE * previous:
            return calls, True
        if time.perf_counter() > end:
            return calls, False
        previous = median


def _median_seconds(call: Call, calls: int) -> float:
    return float(np.median([time_call(call) for _ in range(calls)]))


def _measure_batch(batch: int, call: Call, budget: Budget) -> Throughput:
    """Measure the throughput by the median duration of some calls after a first one."""
    call()
    seconds: list[float] = []
    while len(seconds) < budget.min_batch_calls or sum(seconds) < budget.batch_seconds:
        seconds.append(time_call(call))
    return Throughput(batch, batch / float(np.median(seconds)))


def _powers_of_two(limit: int) -> Iterator[int]:
    """Yield 1, 2, 4, … up to a limit."""
    return takewhile(lambda batch: batch <= limit, (2**power for power in count()))
