"""Compare what processes recorded that they logged with what a tracking store has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from mlflow.tracking import MlflowClient

from tinybench.tracking import tags
from tinybench.tracking.journal.journal import is_key


@dataclass
class Outcome:
    """The comparison of what was logged with what the store has.

    Attributes:
        logged: Number of things logged, by kind.
        stored: Number of them that the store has.
        lost: Things that the store does not have.
        doubled: Things that it has more than once.
        share: Time in calls of the writer, as a share of an epoch of one second, or of a real training.
        wait: Seconds of waiting for the store at the start and the end.
    """

    logged: Counter[str] = field(default_factory=Counter)
    stored: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    share: float | None = None
    wait: float | None = None

    def add(self, other: Outcome) -> None:
        """Add the figures of another outcome; of the shares the larger stays."""
        self.logged += other.logged
        self.stored += other.stored
        self.lost += other.lost
        self.doubled += other.doubled
        self.share = max(filter(None, [self.share, other.share]), default=None)
        self.wait = max(filter(None, [self.wait, other.wait]), default=None)


def check_run(client: MlflowClient, run_id: str, record: list[list[object]], outcome: Outcome) -> None:
    """Add to an outcome what was logged to a run, and what the store has of it."""
    run = client.get_run(run_id)
    points = Counter(
        (name, point.step, point.timestamp, point.value)
        for name in run.data.metrics
        for point in client.get_metric_history(run_id, name)
    )
    steps = Counter((name, step) for name, step, _, _ in points.elements())
    images = Counter(
        int(item.path.split("+step+")[1].split("+")[0])
        for item in client.list_artifacts(run_id, "images")
        if item.path.endswith(".png") and "+step+" in item.path
    )
    artifacts = set(_artifacts(client, run_id))
    last_tags: dict[str, str] = {}
    for _, _, kind, logged in record:
        if kind == "log_metrics":
            values, step, timestamp = logged  # type: ignore[misc]
            for name, value in values.items():
                _count(outcome, "points", points[name, step, timestamp, value], f"{name} of epoch {step}")
        elif kind == "log_params":
            for name, value in logged[0].items():  # type: ignore[index]
                _count(outcome, "parameters", int(run.data.params.get(name) == str(value)), name)
        elif kind == "set_tags":
            last_tags |= logged[0]  # type: ignore[index]
        elif kind == "restart":
            last_tags.pop(tags.ERROR, None)
        elif kind == "log_text":
            _count(outcome, "artifacts", int(logged[1] in artifacts), logged[1])  # type: ignore[index]
        elif kind == "log_image":
            _count(outcome, "images", images[logged[1]], f"image {logged[1]}")  # type: ignore[index]
    for name, value in last_tags.items():
        if is_key(value) or name == tags.HEARTBEAT:
            continue  # its place is taken by an id; written by the thread as well
        is_later = name == "step" and run.data.tags.get(name, "").isdigit() and value.isdigit()
        is_same = run.data.tags.get(name) == value or (is_later and int(run.data.tags[name]) > int(value))
        _count(outcome, "tags", int(is_same), f"tag {name}")
    outcome.doubled += [f"{name} of epoch {step}" for (name, step), count in steps.items() if count > 1]


def _artifacts(client: MlflowClient, run_id: str, folder: str | None = None) -> Iterator[str]:
    for item in client.list_artifacts(run_id, folder):
        if item.is_dir:
            yield from _artifacts(client, run_id, item.path)
        else:
            yield item.path


def _count(outcome: Outcome, kind: str, times: int, what: object) -> None:
    outcome.logged[kind] += 1
    outcome.stored[kind] += min(times, 1)
    if times == 0:
        outcome.lost.append(str(what))
    if times > 1:
        outcome.doubled.append(str(what))
