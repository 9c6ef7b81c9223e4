"""The clock of a study with a time budget, over several drivers."""

from __future__ import annotations

import time

from optuna.trial import TrialState
from small_study import TEXT, taken

from tinybench.sweeps import optuna_storage, space_file
from tinybench.sweeps.deadline import Deadline
from tinybench.sweeps.driver_lease import DriverLease
from tinybench.sweeps.study import Study
from tinybench.sweeps.trial_queue import TrialQueue


def test_the_clock_begins_with_the_first_trial_and_anew_with_a_resume(storage_url):
    space = space_file.read(TEXT.replace("trials = 4", "minutes = 1"), "timed")
    timed = Study.create(optuna_storage.connect(storage_url), "timed", space, {})
    TrialQueue(timed).fill()
    assert Deadline(timed).seconds_left() is None
    taken(TrialQueue(timed))
    assert 55 < Deadline(timed).seconds_left() <= 60
    timed.set_user_attr("deadline", time.time() - 1)
    assert Deadline(timed).is_over()
    Deadline(timed).stop_clock()
    assert not Deadline(timed).is_over()
    TrialQueue(timed).fill()
    taken(TrialQueue(timed))
    assert Deadline(timed).seconds_left() > 55


def test_a_resume_has_what_is_left_of_the_time_unless_more_is_given(storage_url):
    space = space_file.read(TEXT.replace("trials = 4", "minutes = 1"), "timed")
    timed = Study.create(optuna_storage.connect(storage_url), "timed", space, {})
    DriverLease(timed, "one").acquire()
    TrialQueue(timed).fill()
    TrialQueue(timed).tell(taken(TrialQueue(timed)), [0.1], TrialState.COMPLETE)
    timed.set_user_attr("deadline", time.time() + 20)
    DriverLease(timed, "one").acquire()  # its last sign of life
    timed.set_user_attr("driver", timed.user_attrs["driver"] | {"process": 2**22 + 1})  # killed
    timed.set_user_attr("deadline", time.time() - 3600)  # long ago
    DriverLease(timed, "two").acquire()
    Deadline(timed).stop_clock()
    assert not Deadline(timed).is_over()
    TrialQueue(timed).fill()
    taken(TrialQueue(timed))
    assert 15 < Deadline(timed).seconds_left() <= 20
    timed.set_user_attr("deadline", time.time() - 1)
    DriverLease(timed, "two").release()
    DriverLease(timed, "three").acquire()
    Deadline(timed).stop_clock()
    assert Deadline(timed).is_over()
    Deadline(timed).stop_clock(minutes=2)
    assert not Deadline(timed).is_over()
