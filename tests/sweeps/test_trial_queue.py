"""Slots: each is filled once, whatever becomes of the processes that fill them."""

from __future__ import annotations

import subprocess
import sys
import time

from optuna.trial import TrialState
from small_study import TEXT, taken

from tinybench.sweeps import optuna_storage, samplers, slots, space_file
from tinybench.sweeps.deadline import Deadline
from tinybench.sweeps.slots import ERROR, INTERRUPTED, RETRY_OF, SLOT, TrialCounts
from tinybench.sweeps.study import Study
from tinybench.sweeps.trial_queue import TrialQueue


def test_a_plan_gives_every_slot_one_trial_and_not_more(made, queue):
    queue.fill()
    queue.fill()
    assert [trial.user_attrs[SLOT] for trial in made.trials()] == [0, 1, 2, 3]
    assert made.counts() == TrialCounts(0, 0, 0, 0, 4)


def test_values_to_try_first_come_first_and_others_are_drawn(made, queue):
    queue.fill()
    assert samplers.suggest_values(taken(queue), made.space) == {"transfer.lr": 1e-3, "head.dropout": 0.25}
    drawn = samplers.suggest_values(taken(queue), made.space)
    assert 1e-4 <= drawn["transfer.lr"] <= 1e-1
    assert drawn != {"transfer.lr": 1e-3, "head.dropout": 0.25}


def test_the_same_seed_draws_the_same(storage_url, made, monkeypatch):
    monkeypatch.setenv(samplers.WORKER_VARIABLE, "0")
    other = Study.create(optuna_storage.connect(storage_url + "2"), "small", space_file.read(TEXT, "small"), {})
    drawn = []
    for each in (made, other):
        TrialQueue(each).fill()
        drawn.append([samplers.suggest_values(taken(TrialQueue(each)), each.space) for _ in range(4)])
    assert drawn[0] == drawn[1]


def test_what_is_taken_is_gone(made, queue):
    queue.fill()
    numbers = [taken(queue).number for _ in range(4)]
    assert numbers == [0, 1, 2, 3]
    assert queue.take() is None


def test_ends_are_counted_by_kind(made, queue):
    queue.fill()
    first, second, third = (taken(queue) for _ in range(3))
    queue.tell(first, [0.5], TrialState.COMPLETE)
    second.report(0.2, 1)
    queue.tell(second, None, TrialState.PRUNED)
    third.set_user_attr(ERROR, "NaN")
    queue.tell(third, None, TrialState.FAIL)
    assert made.counts() == TrialCounts(1, 1, 1, 0, 1)
    assert not made.is_finished()
    queue.tell(taken(queue), [0.7], TrialState.COMPLETE)
    assert made.is_finished()
    assert [trial.number for trial in made.best_trials()] == [3]


def test_a_trial_that_died_is_given_out_again_with_its_values_and_counts_once(made, queue):
    queue.fill()
    died = taken(queue)
    drawn = samplers.suggest_values(died, made.space)
    queue.tell(died, None, TrialState.FAIL)  # without a reason, as the storage marks one that is silent
    queue.fill()
    again = made.trials()[-1]
    assert again.user_attrs == {SLOT: 0, RETRY_OF: died.number}
    while (trial := queue.take()) is not None:
        if trial.user_attrs[SLOT] == 0:
            assert samplers.suggest_values(trial, made.space) == drawn
        queue.tell(trial, [0.1], TrialState.COMPLETE)
    assert made.is_finished()
    assert [trial.user_attrs[SLOT] for trial in made.counted_trials()] == [0, 1, 2, 3]
    assert died.number not in [trial.number for trial in made.counted_trials()]


def test_silence_is_death(made, queue, monkeypatch):
    queue.fill()
    trial = taken(queue)  # whose worker dies before it gives a sign of life
    made.storage.grace_period = 1
    made.storage.heartbeat_interval = 1
    time.sleep(2.2)
    queue.fill()
    assert made.trials()[trial.number].state == TrialState.FAIL
    assert made.counts().waiting == 4


def test_more_trials_can_be_asked_for(made, queue):
    queue.fill()
    while (trial := queue.take()) is not None:
        queue.tell(trial, [0.1], TrialState.COMPLETE)
    assert made.is_finished()
    made.budget = 6
    assert not made.is_finished()
    queue.fill()
    assert made.counts().waiting == 2


def test_without_a_budget_of_trials_some_always_wait(storage_url):
    space = space_file.read(TEXT.replace("trials = 4", "minutes = 1"), "timed")
    timed = Study.create(optuna_storage.connect(storage_url), "timed", space, {})
    for _ in range(3):
        TrialQueue(timed).fill(spare=2)
    assert timed.counts().waiting == 2
    made = taken(TrialQueue(timed))
    TrialQueue(timed).fill(spare=2)
    assert timed.counts() == TrialCounts(0, 0, 0, 1, 2)
    TrialQueue(timed).tell(made, [1.0], TrialState.COMPLETE)
    assert not timed.is_finished()
    assert not Deadline(timed).is_over()


def test_values_that_end_every_process_fail_their_slot_alone(made, queue):
    queue.fill()
    for _ in range(slots.MAX_DEATHS):
        trial = next(each for each in iter(lambda: taken(queue), None) if each.user_attrs[SLOT] == 0)
        samplers.suggest_values(trial, made.space)
        queue.tell(trial, None, TrialState.FAIL)
        queue.fill()
    failed = made.counted_trials()[0]
    assert "died 3 times, as when memory ends" in failed.user_attrs[ERROR]
    assert failed.params == {"transfer.lr": 1e-3, "head.dropout": 0.25}
    assert made.counts().failed == 1
    assert made.counts().finished + made.counts().running + made.counts().waiting == 4


def test_interruptions_are_no_deaths(made, queue):
    queue.fill()
    for _ in range(slots.MAX_DEATHS + 1):
        trial = taken(queue)
        assert trial.user_attrs[SLOT] == 0  # what was given back comes first
        trial.set_user_attr(INTERRUPTED, True)
        queue.tell(trial, None, TrialState.FAIL)
        queue.fill()
    assert made.counts() == TrialCounts(0, 0, 0, 0, 4)


def test_fewer_trials_than_wait_can_be_asked_for(made, queue):
    queue.fill()
    queue.tell(taken(queue), [0.1], TrialState.COMPLETE)
    made.budget = 2
    queue.tell(taken(queue), [0.1], TrialState.COMPLETE)
    assert queue.take() is None
    assert made.is_finished()


def test_trials_that_failed_are_given_out_again_when_that_is_asked_for(made, queue):
    queue.fill()
    while (trial := queue.take()) is not None:
        drawn = samplers.suggest_values(trial, made.space)
        good = trial.user_attrs[SLOT] > 0
        if not good:
            trial.set_user_attr(ERROR, "No data.")
        queue.tell(trial, [0.1] if good else None, TrialState.COMPLETE if good else TrialState.FAIL)
    assert made.is_finished()
    assert queue.retry_failed() == 1
    assert made.counts() == TrialCounts(3, 0, 0, 0, 1)
    trial = taken(queue)
    assert samplers.suggest_values(trial, made.space) == {"transfer.lr": 1e-3, "head.dropout": 0.25} != drawn
    queue.tell(trial, [0.2], TrialState.COMPLETE)
    assert made.counts() == TrialCounts(4, 0, 0, 0, 0)
    assert queue.retry_failed() == 0


WORKER = """
import sys
from optuna.trial import TrialState
from tinybench.sweeps import optuna_storage, samplers
from tinybench.sweeps.study import Study
from tinybench.sweeps.trial_queue import TrialQueue
made = Study.load(optuna_storage.connect(sys.argv[1]), "small")
queue = TrialQueue(made)
print("ready", flush=True)
sys.stdin.readline()
while (trial := queue.take()) is not None:
    drawn = samplers.suggest_values(trial, made.space)
    queue.tell(trial, [drawn["head.dropout"]], TrialState.COMPLETE)
    print(trial.number, flush=True)
"""


def test_four_processes_take_each_trial_once(storage_url, made, queue):
    made.budget = 40
    queue.fill()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, storage_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate()[0].split() for process in processes]
    numbers = [int(number) for words in said for number in words]
    assert sorted(numbers) == list(range(40))
    assert made.counts() == TrialCounts(40, 0, 0, 0, 0)
