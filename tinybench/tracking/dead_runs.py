"""Find runs that are marked RUNNING although the process that wrote them is gone, and mark them KILLED."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from mlflow.entities import Run as MlflowRun
from mlflow.tracking import MlflowClient

from tinybench.tracking import process_identity, store, tags
from tinybench.tracking.experiments import list_experiment_ids

_SILENT_SECONDS = 600.0  # without a sign of life, after which a run of another host counts as dead
_SECONDS = re.compile(r"[0-9]{1,10}")  # until the year 2286
_PROCESS = re.compile(r"\S+ \S+ \S+ \d+ \d+")  # as `describe_process` writes it


@dataclass(frozen=True)
class DeadRun:
    """A run whose process is gone.

    Attributes:
        run: The run.
        reason: How that is known, in one sentence.
        ended_at: When it was last alive, in milliseconds since 1970.
    """

    run: MlflowRun
    reason: str
    ended_at: int


def list_dead(client: MlflowClient, *, include_unknown: bool = False) -> list[DeadRun]:
    """Return the dead runs of a store, parents before their children.

    Args:
        client: A client of the store.
        include_unknown: Whether runs that tinybench did not make count as dead, too.
    """
    experiments = list_experiment_ids(client)
    if not experiments:
        return []
    query = "attributes.status = 'RUNNING'"
    running = store.pages(lambda token: client.search_runs(experiments, query, page_token=token))
    dead = filter(None, (judge_run(run, include_unknown=include_unknown) for run in running))
    return sorted(dead, key=lambda item: (tags.PARENT_RUN in item.run.data.tags, item.run.info.start_time))


def mark_killed(client: MlflowClient, dead: DeadRun) -> bool:
    """Mark a dead run KILLED at the time when it was last alive, with the reason as a tag.

    Returns:
        False if it ended, was resumed or gave a sign of life since it was judged: then it stays as it is.
    """
    run = client.get_run(dead.run.info.run_id)
    is_changed = any(run.data.tags.get(tag) != dead.run.data.tags.get(tag) for tag in (tags.PROCESS, tags.HEARTBEAT))
    if is_changed or run.info.status != "RUNNING":
        return False
    client.set_tag(dead.run.info.run_id, tags.ERROR, dead.reason)
    client.set_terminated(dead.run.info.run_id, "KILLED", dead.ended_at)
    return True


def judge_run(run: MlflowRun, *, include_unknown: bool = False) -> DeadRun | None:
    """Return why a run that is marked RUNNING is dead; None if it lives, or if that cannot be known."""
    process = run.data.tags.get(tags.PROCESS, "")
    if not _PROCESS.fullmatch(process):
        now = time.time_ns() // 1_000_000
        reason = "tinybench did not make it, and whether its process lives is not known."
        return DeadRun(run, reason, now) if include_unknown else None
    heartbeat = _seconds(run.data.tags.get(tags.HEARTBEAT, ""))
    points = [metric.timestamp for metric in run.data._metric_objs]
    ended_at = max(run.info.start_time, int(heartbeat * 1000), *points)
    host, *_, number, _ = process.split(" ")
    if process_identity.is_same_machine(process) and process_identity.is_same_boot(process):
        if process_identity.is_alive(process):
            return None
        return DeadRun(run, f"Its process, {number} on {host}, is gone.", ended_at)
    silent = time.time() - heartbeat
    if silent < _SILENT_SECONDS:
        return None
    return DeadRun(run, f"Its process on {host} has given no sign of life for {silent / 60:.0f} minutes.", ended_at)


def _seconds(text: str) -> float:
    """Return the time of a heartbeat, in seconds since 1970; 0 for a text that is no time."""
    return float(text) if _SECONDS.fullmatch(text) else 0.0
