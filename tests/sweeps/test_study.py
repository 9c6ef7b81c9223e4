"""A study has one name, one space, and its state in the storage."""

from __future__ import annotations

import json

import optuna
import pytest
from small_study import TEXT

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.sweeps import optuna_storage
from tinybench.sweeps.deadline import Deadline
from tinybench.sweeps.driver_lease import DriverLease
from tinybench.sweeps.study import Study


def test_a_name_is_taken_once(storage_url, made):
    with pytest.raises(ConfigError, match="go on with it by --resume small"):
        Study.create(optuna_storage.connect(storage_url), "small", made.space, {})


def test_a_study_is_found_with_its_space(storage_url, made):
    found = Study.load(optuna_storage.connect(storage_url), "small")
    assert found.space == made.space
    with pytest.raises(TrackingError, match=r"No study 'smal' in .*, which holds small\. Did you mean 'small'\?"):
        Study.load(optuna_storage.connect(storage_url), "smal")


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 101])
def test_a_name_that_is_no_folder_is_refused(storage_url, made, name):
    with pytest.raises(ConfigError, match="Invalid value for `--study`"):
        Study.create(optuna_storage.connect(storage_url), name, made.space, {})


def test_a_study_that_earlier_code_began_is_gone_on_with(storage_url, made):
    """What is stored, key by key: a database outlives the code that made it."""
    storage = optuna_storage.connect(storage_url)
    stored = optuna.create_study(study_name="earlier", storage=storage, directions=["maximize"])
    source = {"text": TEXT, "name": "small", "overrides": {"head.l2": "0.5"}}
    holder = {"who": "another machine, process 5", "at": 0.0, "host": "another machine", "process": 5, "left": 30.0}
    values = {"space": json.dumps(source), "parent_run": "abc", "budget": 7, "deadline": 1.0, "seconds_left": 90.0}
    for key, value in (values | {"driver": holder}).items():
        stored.set_user_attr(key, value)
    found = Study.load(storage, "earlier")
    assert (found.space.base.head.l2, found.parent_run, found.budget) == (0.5, "abc", 7)
    assert Deadline(found).is_over()
    DriverLease(found).acquire()
    assert found.user_attrs["seconds_left"] == 30.0
    assert found.user_attrs["driver"].keys() == holder.keys()
    made.parent_run, made.budget = "abc", 7
    DriverLease(made).acquire()
    Deadline(made).stop_clock(1)
    assert made.user_attrs.keys() == {*values, "driver"}
