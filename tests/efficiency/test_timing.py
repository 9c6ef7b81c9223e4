"""Calls are counted and timed as they are told to be."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import numpy as np
import pytest

from tinybench.efficiency import timing
from tinybench.efficiency.timing import Budget, Throughput

SHORT = Budget(calls=7, seconds=0.0, warm_up=0.2, window=5, batch_seconds=0.0, min_batch_calls=2, min_gain=1.05)


class Sleeper:
    """Takes so long: the seconds in their order, then the last of them."""

    def __init__(self, *seconds: float) -> None:
        self.seconds, self.calls = seconds, 0

    def __call__(self) -> None:
        time.sleep(self.seconds[min(self.calls, len(self.seconds) - 1)])
        self.calls += 1


def test_the_first_call_stands_apart_and_the_warm_up_is_not_counted() -> None:
    call = Sleeper(0.05, 0.004)
    found = timing.time_calls(call, SHORT)
    assert found.first >= 0.05
    assert len(found.seconds) == 7
    assert call.calls == 1 + found.warm_up + 7
    assert found.steady
    assert found.seconds.max() < 0.05


def test_it_goes_on_until_both_calls_and_seconds_are_enough() -> None:
    found = timing.time_calls(Sleeper(0.01), replace(SHORT, calls=2, seconds=0.2, warm_up=0.0))
    assert found.seconds.sum() >= 0.15
    assert len(found.seconds) > 5


def test_what_never_becomes_steady_says_so() -> None:
    pattern = [0.001 * 2**window for window in range(6) for _ in range(5)]
    found = timing.time_calls(Sleeper(0, *pattern), replace(SHORT, calls=1, warm_up=0.05))
    assert not found.steady


def test_outliers_stay_in() -> None:
    found = timing.time_calls(Sleeper(*[0.002, 0.002, 0.002, 0.002, 0.1] * 20), SHORT)  # one in any seven calls
    assert found.seconds.max() >= 0.1
    assert found.percentile(99) > 0.05 > found.percentile(50)
    assert found.percentile(50) == np.median(found.seconds)


def rates(by_batch: dict[int, float]) -> Callable[[int], timing.Call]:
    """Calls whose images per second are given; MemoryError beyond."""

    def calls(batch: int) -> timing.Call:
        if batch not in by_batch:
            raise MemoryError
        return Sleeper(batch / by_batch[batch])

    return calls


@pytest.mark.parametrize(
    ("by_batch", "tried", "best"),
    [
        ({1: 100, 2: 190, 4: 150, 8: 999}, [1, 2, 4], 2),
        ({1: 100, 2: 150, 4: 250}, [1, 2, 4], 4),
        ({1: 100, 2: 50, 4: 999}, [1, 2], 1),
        ({1: 100}, [1], 1),
    ],
)
def test_the_ladder_ends_where_it_stops_to_rise_or_memory_ends(
    by_batch: dict[int, float], tried: list[int], best: int
) -> None:
    rungs = timing.measure_growing_batches(rates(by_batch), Throughput(1, by_batch[1]), SHORT)
    assert [rung.batch for rung in rungs] == tried
    for rung in rungs:
        assert rung.images_per_second == pytest.approx(by_batch[rung.batch], rel=0.25)
    assert timing.fastest([Throughput(each, by_batch[each]) for each in tried]).batch in (best, tried[-1])


def test_where_not_one_image_fits_memory_ends_it() -> None:
    with pytest.raises(MemoryError):
        timing.measure_largest_batch(rates({}), 5, SHORT)


@pytest.mark.parametrize(("wanted", "fits", "found"), [(6, 100, 6), (100, 20, 16), (1, 1, 1), (8, 8, 8)])
def test_a_batch_that_does_not_fit_becomes_the_largest_power_that_does(wanted: int, fits: int, found: int) -> None:
    sizes = dict.fromkeys(range(1, fits + 1), 10000.0)
    assert timing.measure_largest_batch(rates(sizes), wanted, SHORT).batch == found


def test_a_call_that_runs_out_of_memory_counts_as_one_that_does_not_fit() -> None:
    made = count()

    def calls(batch: int) -> timing.Call:
        next(made)

        def call() -> None:
            if batch > 2:
                raise MemoryError

        return call

    assert timing.measure_largest_batch(calls, 64, SHORT).batch == 2
    assert next(made) == 3
