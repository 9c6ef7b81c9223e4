"""The metrics of the service in Prometheus' format, summed over its processes."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tinybench.web.request_log import RequestRecord

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable by which `prometheus_client` keeps its numbers in files, one for each process."""

_OTHER_ROUTE = "other"  # one label for all paths that are no route: clients choose them
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class ServingMetrics:
    """Requests by route and status, their durations, requests that wait or are classified, and the served model.

    Args:
        routes: The paths that have a label of their own.

    Raises:
        ImportError: `prometheus_client` is not installed.
    """

    def __init__(self, routes: Collection[str]) -> None:
        import prometheus_client as client

        self._routes = frozenset(routes)
        self._registry = registry = client.CollectorRegistry()
        self._requests = client.Counter(
            "tinybench_requests", "Requests that were answered.", ["route", "status"], registry=registry
        )
        self._seconds = client.Histogram(
            "tinybench_request_duration_seconds", "Time from a request's header to the end of its answer.", ["route"],
            buckets=_BUCKETS, registry=registry,
        )  # fmt: skip
        self._waiting = client.Gauge(
            "tinybench_requests_waiting", "Requests whose body is read, or that wait for a thread or a model.",
            multiprocess_mode="livesum", registry=registry,
        )  # fmt: skip
        self._under_way = client.Gauge(
            "tinybench_requests_under_way", "Requests whose images are decoded and classified.",
            multiprocess_mode="livesum", registry=registry,
        )  # fmt: skip
        self._workers = client.Gauge(
            "tinybench_model_workers", "Worker processes that serve this version of a model.", ["model"],
            multiprocess_mode="livesum", registry=registry,
        )  # fmt: skip
        self._model: str | None = None

    def observe(self, request: RequestRecord) -> None:
        """Count a request that was answered."""
        route = request.path if request.path in self._routes else _OTHER_ROUTE
        self._requests.labels(route, str(request.status)).inc()
        self._seconds.labels(route).observe(request.seconds or 0.0)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count a request as waiting, except while it is `under_way`."""
        self._waiting.inc()
        try:
            yield
        finally:
            self._waiting.dec()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Count a waiting request as under way instead."""
        self._waiting.dec()
        self._under_way.inc()
        try:
            yield
        finally:
            self._under_way.dec()
            self._waiting.inc()

    def set_model(self, address: str) -> None:
        """Report the address of the model that this process serves from now on."""
        if self._model is not None:
            self._workers.labels(self._model).dec()
        self._workers.labels(address).inc()
        self._model = address

    def render(self) -> tuple[bytes, str]:
        """Return the metrics of all processes, and their media type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

        folder = os.environ.get(FOLDER_VARIABLE)
        if folder is None:
            return generate_latest(self._registry), CONTENT_TYPE_LATEST
        from prometheus_client.multiprocess import MultiProcessCollector

        _forget_dead_processes(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry), CONTENT_TYPE_LATEST


def _forget_dead_processes(folder: Path) -> None:
    """Remove what processes that ended left about their present state; their counters stay."""
    import psutil
    from prometheus_client.multiprocess import mark_process_dead

    for process in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*.db")}:
        if not psutil.pid_exists(process):
            mark_process_dead(process)  # type: ignore[no-untyped-call]
