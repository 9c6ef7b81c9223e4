"""What tracking costs: `python -m benchmarks.tracking` prints it beside MLflow's own calls.

It asserts nothing. Figures of one run can be compared with each other, not with those of another machine.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from contextlib import chdir
from tempfile import TemporaryDirectory
from typing import Any

import mlflow
from mlflow.tracking import MlflowClient

from benchmarks.fault_setup import Setup, running_setup
from benchmarks.stored_runs import Outcome
from benchmarks.tracking_faults import eight_at_once, eight_on_postgres
from tinybench.config.sections import TrackConfig
from tinybench.tracking.tracker import Tracker

_CALLS = 300
_POINTS, _METRICS = 100_000, 8
_VALUES = {f"m{number}": number / 7 for number in range(_METRICS)}


def main() -> None:
    """Print the time of a call, of many points until they are stored, and what eight trainings at once lose."""
    with TemporaryDirectory() as folder, chdir(folder):
        sqlite = f"sqlite:///{folder}/mlflow.db"
        os.environ["TINYBENCH_STATE"] = f"{folder}/state"
        _print_calls("SQLite", sqlite)
        _print_points("SQLite", f"sqlite:///{folder}/points.db")
    with running_setup() as made:
        _print_calls("server", made.uri)
        _print_points("server", made.uri)
        _print_processor_time(made)
    for name, run in (("SQLite", eight_at_once), ("Postgres", eight_on_postgres)):
        _print_eight(name, run)


def _print_calls(name: str, uri: str) -> None:
    """Print the median and the 99th percentile of one `log_metrics` of eight metrics, ours and MLflow's."""
    mlflow.set_tracking_uri(uri)
    tracker = Tracker(TrackConfig(uri=uri), may_be_away=True)
    run = tracker.writer.create_run({"id": "0"}, "calls", {})
    tracker.writer.flush()
    ours = _times(lambda step: run.log_metrics(_VALUES, step, 1_700_000_000_000 + step), 10 * _CALLS)
    tracker.close()
    with mlflow.start_run():
        blocking = _times(lambda step: mlflow.log_metrics(_VALUES, step=step, synchronous=True))
    with mlflow.start_run():
        queued = _times(lambda step: mlflow.log_metrics(_VALUES, step=step, synchronous=False))
        mlflow.flush_async_logging()
    base = statistics.median(ours)
    print(f"log_metrics of {_METRICS} metrics, {name}:")
    for label, times in (("RunWriter", ours), ("MLflow, asynchronous", queued), ("MLflow, synchronous", blocking)):
        median, slow = statistics.median(times), statistics.quantiles(times, n=100)[98]
        print(f"  {label:<21} {1e6 * median:9.1f} µs, 99 % below {1e6 * slow:9.1f} µs, ratio {median / base:7.1f}")


def _times(call: Callable[[int], Any], count: int = _CALLS) -> list[float]:
    times = []
    for step in range(count):
        began = time.perf_counter()
        call(step)
        times.append(time.perf_counter() - began)
        time.sleep(0.001)  # calls come one by one, as in a training
    return times


def _print_points(name: str, uri: str) -> None:
    """Print how long it takes until many points are in the journal, and until all are stored."""
    tracker = Tracker(TrackConfig(uri=uri), may_be_away=True)
    run = tracker.writer.create_run({"id": "0"}, "points", {})
    tracker.writer.flush()
    began, processor = time.perf_counter(), time.process_time()
    for step in range(_POINTS // _METRICS):
        run.log_metrics(_VALUES, step, 1_700_000_000_000 + step)
    logged = time.perf_counter() - began
    is_sent = tracker.writer.flush()
    stored, processor = time.perf_counter() - began, time.process_time() - processor
    history = MlflowClient(uri).get_metric_history(run.id, "m3")
    is_whole = len(history) == _POINTS // _METRICS
    tracker.close()
    print(
        f"{_POINTS:,} points, {name}: logged in {logged:.2f} s, stored in {stored:.2f} s "
        f"({processor:.2f} s of processor time in this process), "
        f"{'all' if is_sent and is_whole else 'NOT all'} there, {_POINTS / stored:,.0f} points a second"
    )


def _print_processor_time(made: Setup) -> None:
    """Print the processor time that an epoch of two runs costs, the thread that sends it included."""
    tracker = Tracker(TrackConfig(uri=made.uri), may_be_away=True)
    run = tracker.writer.create_run({"id": "0"}, "processor", {})
    tracker.writer.flush()
    began, epochs = time.process_time(), 50
    for step in range(epochs):
        for _ in range(2):
            run.log_metrics(_VALUES, step, 1_700_000_000_000 + step)
        time.sleep(0.1)
    tracker.writer.flush()
    spent = (time.process_time() - began) / epochs
    run.end("FINISHED")
    tracker.close()
    print(f"processor time of an epoch, sending included: {1000 * spent:.2f} ms")


def _print_eight(name: str, run: Callable[[], Outcome]) -> None:
    began = time.perf_counter()
    outcome = run()
    logged = ", ".join(f"{count:,} {kind}" for kind, count in outcome.logged.items())
    print(
        f"8 trainings at once, server over {name}: {logged}; lost {len(outcome.lost)}, doubled {len(outcome.doubled)}, "
        f"{outcome.share:.2%} of an epoch of 1 s, {time.perf_counter() - began:.0f} s in all"
    )


if __name__ == "__main__":
    main()
