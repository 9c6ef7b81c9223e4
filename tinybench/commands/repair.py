"""Mark runs whose process is gone as KILLED, and say how each can be resumed."""

from __future__ import annotations

from dataclasses import dataclass

from tinybench.commands.runs import is_resumable
from tinybench.core.redaction import redact
from tinybench.tracking import dead_runs, tags
from tinybench.tracking.dead_runs import DeadRun
from tinybench.tracking.tracker import Tracker


@dataclass(frozen=True)
class RepairedRun:
    """A run that was marked KILLED.

    Attributes:
        run_id: Its id.
        name: Its name.
        reason: Why it counts as dead.
        resume: The command that resumes it; empty if nothing can be resumed, or if its parent run is to be resumed.
    """

    run_id: str
    name: str
    reason: str
    resume: str


def repair(uri: str | None = None, *, include_unknown: bool = False, dry_run: bool = False) -> list[RepairedRun]:
    """Mark the dead runs of a store as KILLED, after what they left on this machine has been sent.

    Args:
        uri: The tracking store; MLflow's default if None.
        include_unknown: Whether running runs that tinybench did not make are marked, too.
        dry_run: Whether to change nothing.

    Raises:
        TrackingError: The store cannot be reached.
    """
    tracker = Tracker.at(uri)
    if not dry_run:
        tracker.send_left_behind()
    repaired = []
    for dead in dead_runs.list_dead(tracker.client, include_unknown=include_unknown):
        if not dry_run and not dead_runs.mark_killed(tracker.client, dead):
            continue
        run = dead.run.info
        repaired.append(RepairedRun(run.run_id, run.run_name, dead.reason, _resume_command(dead, uri)))
    return repaired


def _resume_command(dead: DeadRun, uri: str | None) -> str:
    run_tags = dead.run.data.tags
    address = f" --uri {redact(uri)}" if uri else ""
    if tags.STUDY in run_tags and tags.TRIAL not in run_tags:
        return f"tinybench sweep --resume {run_tags[tags.STUDY]}"
    return f"tinybench resume {dead.run.info.run_id}{address}" if is_resumable(dead.run) else ""
