"""What every sampler and every pruner does: a space with conditions, drawn from within its bounds."""

from __future__ import annotations

import pytest
from optuna.trial import TrialState

from tinybench.sweeps import optuna_storage, samplers, space_file
from tinybench.sweeps.space import PRUNERS, SAMPLERS
from tinybench.sweeps.study import Study
from tinybench.sweeps.trial_queue import TrialQueue

SPACE = """\
recipe = "quickstart"
objective = "val/accuracy"
trials = 14
sampler = "{sampler}"
pruner = "{pruner}"
[space]
transfer.lr = {{ distribution = "log-uniform", low = 1e-4, high = 1e-1 }}
finetune.unfreeze = {{ distribution = "log-integer", low = 1, high = 8 }}
head.dropout = {{ distribution = "uniform", low = 0.0, high = 0.5 }}
optimizer.name = {{ distribution = "categorical", choices = ["adam", "sgd"] }}
optimizer.momentum = {{ distribution = "uniform", low = 0.5, high = 0.9, when = {{ optimizer.name = "sgd" }} }}
"""


def made(storage_url, **named):
    space = space_file.read(SPACE.format(**{"sampler": "tpe", "pruner": "none"} | named), "space")
    found = Study.create(optuna_storage.connect(storage_url), "every", space, {})
    TrialQueue(found).fill()
    return found


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sampler_draws_within_the_space(storage_url, sampler):
    one = made(storage_url, sampler=sampler)
    drawn = []
    while (trial := TrialQueue(one).take()) is not None:
        drawn.append(samplers.suggest_values(trial, one.space))
        TrialQueue(one).tell(trial, [drawn[-1]["head.dropout"]], TrialState.COMPLETE)
    assert len(drawn) == 14
    assert all(1e-4 <= each["transfer.lr"] <= 1e-1 for each in drawn)
    assert all(each["finetune.unfreeze"] in range(1, 9) for each in drawn)
    assert all(("optimizer.momentum" in each) == (each["optimizer.name"] == "sgd") for each in drawn)
    assert len({each["transfer.lr"] for each in drawn}) == 14


@pytest.mark.parametrize("pruner", PRUNERS)
def test_a_pruner_stops_what_is_worse_than_all_others(storage_url, pruner):
    one = made(storage_url, pruner=pruner)
    stopped = 0
    for number in range(14):
        trial = TrialQueue(one).take()
        samplers.suggest_values(trial, one.space)
        good = number < 10
        for epoch in range(1, 31):
            trial.report(0.9 if good else 0.1, epoch)
            if trial.should_prune():
                stopped += 1
                break
        TrialQueue(one).tell(trial, [0.9 if good else 0.1], TrialState.COMPLETE)
    assert (stopped > 0) == (pruner != "none")
