"""Slots: each is filled once, whatever becomes of the processes that fill them."""

from __future__ import annotations

import platform
import subprocess
import sys
import time

import pytest
from optuna.trial import TrialState
from small_study import TEXT

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.sweeps import optuna_storage, samplers, slots, space_file, study
from tinybench.sweeps.slots import ERROR, INTERRUPTED, RETRY, SLOT, Counts


def taken(made):
    trial = made.take()
    assert trial is not None
    return trial


def test_a_plan_gives_every_slot_one_trial_and_not_more(made):
    made.plan()
    made.plan()
    assert [trial.user_attrs[SLOT] for trial in made.trials()] == [0, 1, 2, 3]
    assert made.counts() == Counts(0, 0, 0, 0, 4)


def test_values_to_try_first_come_first_and_others_are_drawn(made):
    made.plan()
    assert made.draw(taken(made)) == {"transfer.lr": 1e-3, "head.dropout": 0.25}
    drawn = made.draw(taken(made))
    assert 1e-4 <= drawn["transfer.lr"] <= 1e-1
    assert drawn != {"transfer.lr": 1e-3, "head.dropout": 0.25}


def test_the_same_seed_draws_the_same(storage_url, made, monkeypatch):
    monkeypatch.setenv(samplers.WORKER, "0")
    other = study.create(optuna_storage.connect(storage_url + "2"), "small", space_file.read(TEXT, "small"), {})
    drawn = []
    for each in (made, other):
        each.plan()
        drawn.append([each.draw(taken(each)) for _ in range(4)])
    assert drawn[0] == drawn[1]


def test_what_is_taken_is_gone(made):
    made.plan()
    numbers = [taken(made).number for _ in range(4)]
    assert numbers == [0, 1, 2, 3]
    assert made.take() is None


def test_ends_are_counted_by_kind(made):
    made.plan()
    first, second, third = (taken(made) for _ in range(3))
    made.end(first, [0.5], TrialState.COMPLETE)
    second.report(0.2, 1)
    made.end(second, None, TrialState.PRUNED)
    third.set_user_attr(ERROR, "NaN")
    made.end(third, None, TrialState.FAIL)
    assert made.counts() == Counts(1, 1, 1, 0, 1)
    assert not made.settled()
    made.end(taken(made), [0.7], TrialState.COMPLETE)
    assert made.settled()
    assert [trial.number for trial in made.best()] == [3]


def test_a_trial_that_died_is_given_out_again_with_its_values_and_counts_once(made):
    made.plan()
    died = taken(made)
    drawn = made.draw(died)
    made.end(died, None, TrialState.FAIL)  # without a reason, as the storage marks one that is silent
    made.plan()
    again = made.trials()[-1]
    assert again.user_attrs == {SLOT: 0, RETRY: died.number}
    while (trial := made.take()) is not None:
        if trial.user_attrs[SLOT] == 0:
            assert made.draw(trial) == drawn
        made.end(trial, [0.1], TrialState.COMPLETE)
    assert made.settled()
    assert [trial.user_attrs[SLOT] for trial in made.counted()] == [0, 1, 2, 3]
    assert died.number not in [trial.number for trial in made.counted()]


def test_silence_is_death(made, monkeypatch):
    made.plan()
    trial = taken(made)  # whose worker dies before it gives a sign of life
    made.storage.grace_period = 1
    made.storage.heartbeat_interval = 1
    time.sleep(2.2)
    made.plan()
    assert made.trials()[trial.number].state == TrialState.FAIL
    assert made.counts().waiting == 4


def test_more_trials_can_be_asked_for(made):
    made.plan()
    while (trial := made.take()) is not None:
        made.end(trial, [0.1], TrialState.COMPLETE)
    assert made.settled()
    made.budget = 6
    assert not made.settled()
    made.plan()
    assert made.counts().waiting == 2


def test_only_one_process_drives(made):
    made.drive("one")
    made.drive("one")
    with pytest.raises(TrackingError, match=r"drives study 'small' \(one\)"):
        made.drive("other")
    made.leave("other")  # which is not its to do
    with pytest.raises(TrackingError, match="drives study"):
        made.drive("other")
    made.leave("one")
    made.drive("other")


def test_who_is_silent_drives_no_more(made, monkeypatch):
    monkeypatch.setattr(study, "_SILENCE", -1.0)
    made.drive("one")
    assert not made.abandoned()  # its process is there
    monkeypatch.setattr(platform, "node", lambda: "another machine")
    assert made.abandoned()
    made.drive("other")


def test_a_driver_whose_process_is_gone_drives_no_more(made):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    made.keep("driver", {"who": "one", "at": time.time(), "host": platform.node(), "process": gone.pid})
    assert made.abandoned()


def test_a_name_is_taken_once(storage_url, made):
    with pytest.raises(ConfigError, match="go on with it by --resume small"):
        study.create(optuna_storage.connect(storage_url), "small", made.space, {})


def test_a_study_is_found_with_its_space(storage_url, made):
    found = study.find(optuna_storage.connect(storage_url), "small")
    assert found.space == made.space
    with pytest.raises(TrackingError, match=r"No study 'smal' .* holds: small"):
        study.find(optuna_storage.connect(storage_url), "smal")


@pytest.mark.parametrize("url", ["sqlite:////no/such/folder/optuna.db", "postgresql://u:secret@127.0.0.1:1/x", "what"])
def test_a_storage_that_is_not_there_is_told_in_one_line(url):
    with pytest.raises(TrackingError) as caught:
        optuna_storage.connect(url)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_without_a_budget_of_trials_some_always_wait(storage_url):
    space = space_file.read(TEXT.replace("trials = 4", "minutes = 1"), "timed")
    timed = study.create(optuna_storage.connect(storage_url), "timed", space, {})
    for _ in range(3):
        timed.plan(spare=2)
    assert timed.counts().waiting == 2
    made = taken(timed)
    timed.plan(spare=2)
    assert timed.counts() == Counts(0, 0, 0, 1, 2)
    timed.end(made, [1.0], TrialState.COMPLETE)
    assert not timed.settled()
    assert not timed.over()


def test_the_clock_begins_with_the_first_trial_and_anew_with_a_resume(storage_url):
    space = space_file.read(TEXT.replace("trials = 4", "minutes = 1"), "timed")
    timed = study.create(optuna_storage.connect(storage_url), "timed", space, {})
    timed.plan()
    assert timed.seconds_left() is None
    taken(timed)
    assert 55 < timed.seconds_left() <= 60
    timed.keep("deadline", time.time() - 1)
    assert timed.over()
    timed.stop_clock()
    assert not timed.over()
    timed.plan()
    taken(timed)
    assert timed.seconds_left() > 55


def test_a_resume_has_what_is_left_of_the_time_unless_more_is_given(storage_url):
    space = space_file.read(TEXT.replace("trials = 4", "minutes = 1"), "timed")
    timed = study.create(optuna_storage.connect(storage_url), "timed", space, {})
    timed.drive("one")
    timed.plan()
    timed.end(taken(timed), [0.1], TrialState.COMPLETE)
    timed.keep("deadline", time.time() + 20)
    timed.drive("one")  # its last sign of life
    timed.keep("driver", timed.kept("driver") | {"process": 2**22 + 1})  # killed
    timed.keep("deadline", time.time() - 3600)  # long ago
    timed.drive("two")
    timed.stop_clock()
    assert not timed.over()
    timed.plan()
    taken(timed)
    assert 15 < timed.seconds_left() <= 20
    timed.keep("deadline", time.time() - 1)
    timed.leave("two")
    timed.drive("three")
    timed.stop_clock()
    assert timed.over()
    timed.stop_clock(minutes=2)
    assert not timed.over()


def test_values_that_end_every_process_fail_their_slot_alone(made):
    made.plan()
    for _ in range(slots.MOST_DEATHS):
        trial = next(each for each in iter(lambda: taken(made), None) if each.user_attrs[SLOT] == 0)
        made.draw(trial)
        made.end(trial, None, TrialState.FAIL)
        made.plan()
    failed = made.counted()[0]
    assert "died 3 times, as when memory ends" in failed.user_attrs[ERROR]
    assert failed.params == {"transfer.lr": 1e-3, "head.dropout": 0.25}
    assert made.counts().failed == 1
    assert made.counts().done + made.counts().running + made.counts().waiting == 4


def test_interruptions_are_no_deaths(made):
    made.plan()
    for _ in range(slots.MOST_DEATHS + 1):
        trial = taken(made)
        assert trial.user_attrs[SLOT] == 0  # what was given back comes first
        trial.set_user_attr(INTERRUPTED, True)
        made.end(trial, None, TrialState.FAIL)
        made.plan()
    assert made.counts() == Counts(0, 0, 0, 0, 4)


def test_fewer_trials_than_wait_can_be_asked_for(made):
    made.plan()
    made.end(taken(made), [0.1], TrialState.COMPLETE)
    made.budget = 2
    made.end(taken(made), [0.1], TrialState.COMPLETE)
    assert made.take() is None
    assert made.settled()


def test_trials_that_failed_are_given_out_again_when_that_is_asked_for(made):
    made.plan()
    while (trial := made.take()) is not None:
        drawn = made.draw(trial)
        good = trial.user_attrs[SLOT] > 0
        if not good:
            trial.set_user_attr(ERROR, "No data.")
        made.end(trial, [0.1] if good else None, TrialState.COMPLETE if good else TrialState.FAIL)
    assert made.settled()
    assert made.again() == 1
    assert made.counts() == Counts(3, 0, 0, 0, 1)
    trial = taken(made)
    assert made.draw(trial) == {"transfer.lr": 1e-3, "head.dropout": 0.25} != drawn
    made.end(trial, [0.2], TrialState.COMPLETE)
    assert made.counts() == Counts(4, 0, 0, 0, 0)
    assert made.again() == 0


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 101])
def test_a_name_that_is_no_folder_is_refused(storage_url, made, name):
    with pytest.raises(ConfigError, match="Invalid value for `--study`"):
        study.create(optuna_storage.connect(storage_url), name, made.space, {})


def test_a_database_is_not_made_to_look_for_a_study(tmp_path):
    with pytest.raises(TrackingError, match=r"There is no database .*absent.db"):
        optuna_storage.connect(f"sqlite:///{tmp_path}/absent.db", there=True)
    assert not (tmp_path / "absent.db").exists()


def test_two_processes_make_one_database(tmp_path):
    words = [
        sys.executable,
        "-c",
        f"from tinybench.sweeps import optuna_storage; optuna_storage.connect('sqlite:///{tmp_path}/new.db')",
    ]
    both = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[1] for process in both] == ["", ""]


WORKER = """
import sys
from optuna.trial import TrialState
from tinybench.sweeps import store, study
made = study.find(store.connect(sys.argv[1]), "small")
print("ready", flush=True)
sys.stdin.readline()
while (trial := made.take()) is not None:
    drawn = made.draw(trial)
    made.end(trial, [drawn["head.dropout"]], TrialState.COMPLETE)
    print(trial.number, flush=True)
"""


def test_four_processes_take_each_trial_once(storage_url, made):
    made.budget = 40
    made.plan()
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
    assert made.counts() == Counts(40, 0, 0, 0, 0)
