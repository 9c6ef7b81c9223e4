"""Decide whether the run that MLFLOW_RUN_ID names was opened for this process, as `mlflow run` does.

The variable may also be a leftover of another command, and its run may be one that somebody else has written or still
writes: such a run is neither written to nor marked FAILED.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mlflow.entities import LifecycleStage

from tinybench.tracking import dead_runs, process_identity, tags

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

VARIABLE = "MLFLOW_RUN_ID"
EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_ID"
UNSET = f"Unset {VARIABLE} to open a new run."
"""The way out of a leftover variable."""

_OPEN = ("RUNNING", "SCHEDULED")
_used: set[str] = set()  # runs that this process has written, of which each is for one parent run


def named_run_id() -> str | None:
    """Return the run that the variable names; None if it names none, or one that this process has used already.

    A program that trains several times under `mlflow run` so writes to the run of MLflow first, and then to new ones,
    as `mlflow.start_run` does.
    """
    run_id = os.environ.get(VARIABLE)
    return run_id if run_id and run_id not in _used else None


def note_used(run_id: str) -> None:
    """Note that this process writes to a run."""
    _used.add(run_id)


def explain_refusal(run: MlflowRun) -> str:
    """Return why this process must not write to a run that the variable names; empty if it may."""
    if run.info.lifecycle_stage == LifecycleStage.DELETED:
        return "is deleted"
    if run.info.status not in _OPEN:
        return f"is {run.info.status} already"
    if tags.PROCESS in run.data.tags:
        is_dead = dead_runs.judge_run(run) is not None
        return "was begun by a tinybench process that is gone" if is_dead else "is written by another tinybench process"
    if _has_metrics(run):
        return "has metrics of another program"
    experiment = os.environ.get(EXPERIMENT_VARIABLE)
    if experiment and experiment != run.info.experiment_id:
        return f"is in experiment {run.info.experiment_id}, while {EXPERIMENT_VARIABLE} says {experiment}"
    return ""


def may_mark_failed(run: MlflowRun) -> bool:
    """Return whether a command that failed may end a run that the variable names: one that only it can end.

    `mlflow run` opens a run for one command. A run that another program opened is ended by that program.
    """
    if run.info.lifecycle_stage == LifecycleStage.DELETED or run.info.status not in _OPEN:
        return False
    if tags.PROCESS in run.data.tags:
        return str(run.data.tags[tags.PROCESS]) == process_identity.describe_process()
    return str(run.data.tags.get(tags.SOURCE_TYPE)) == "PROJECT" and not _has_metrics(run)


def _has_metrics(run: MlflowRun) -> bool:
    return any(not name.startswith("system/") for name in run.data.metrics)  # which MLflow measures by itself
