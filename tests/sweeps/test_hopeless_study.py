"""A study whose first trials all fail ends with the fifth, also where trials fail faster than the driver looks."""

from __future__ import annotations

from contextlib import closing

import pytest

from tinybench.config.sections import TrackConfig
from tinybench.core.errors import ModelError, TrackingError
from tinybench.sweeps.study import MAX_FIRST_FAILURES
from tinybench.sweeps.study_progress import StudyProgress
from tinybench.sweeps.sweep_callbacks import SweepCallbacks
from tinybench.sweeps.trial_runs import TrialRuns
from tinybench.sweeps.worker import Worker
from tinybench.tracking import run_kinds
from tinybench.tracking.tracker import Tracker


@pytest.fixture
def tracker(tmp_path):
    with closing(Tracker(TrackConfig(uri=f"sqlite:///{tmp_path}/mlflow.db"))) as opened:
        yield opened


@pytest.fixture
def parent(tracker):
    return tracker.open_parent_run("sweep small", run_kinds.STUDY)


def worker(made, tracker, parent, results):
    """A worker whose trainings have these results, and fail once there are no more."""

    def train(*_):
        if not results:
            raise ModelError("There is no such layer.")
        return {"best/val_accuracy": results.pop(), "best/epoch": 1.0, "efficiency/training_seconds": 0.1}

    return Worker(made, TrialRuns(tracker.writer, parent.key), train=train)


def test_workers_take_no_sixth_trial_until_somebody_resumes_the_study(made, queue, tracker, parent):
    made.budget = 12
    queue.fill()
    progress = StudyProgress(made, parent, SweepCallbacks())
    assert worker(made, tracker, parent, []).run() == MAX_FIRST_FAILURES
    progress.update()
    with pytest.raises(
        TrackingError, match=r"All of the first 5 trials failed, the last with: There is no such layer\."
    ):
        progress.check_failures()
    assert worker(made, tracker, parent, []).run() == 1, "a resume tries once more"
    assert (made.counts().finished, made.counts().running) == (6, 0)


def test_a_study_with_a_result_goes_on_whatever_fails_after_it(made, queue, tracker, parent):
    made.budget = 8
    queue.fill()
    assert worker(made, tracker, parent, [0.5]).run() == 8
    assert made.counts().complete == 1
