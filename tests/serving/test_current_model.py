"""The model that is served: what keeps it from being loaded is told as long as it does, and no longer."""

from __future__ import annotations

import time

import pytest

from tinybench.core.errors import TrackingError
from tinybench.serving.current_model import CurrentModel


class Model:
    def warm_up(self):
        pass


def until(wanted):
    end = time.monotonic() + 10
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def store():
    return {"address": "models:/m/1", "error": None}


@pytest.fixture
def current(store):
    def find():
        if store["error"]:
            raise store["error"]
        return store["address"]

    def load(address):
        if address.endswith("broken"):
            raise ValueError("broken")
        return Model()

    made = CurrentModel(find, load, 0.02)
    yield made
    made.close()


def test_a_store_that_is_away_for_a_while_is_told_while_it_is(store, current):
    until(lambda: current.ready)
    first = current.classifier
    store["error"] = TrackingError("The store is away.")
    until(lambda: current.problem == "The store is away.")
    store["error"] = None
    until(lambda: current.problem == "")
    assert current.classifier is first


def test_a_model_that_cannot_be_loaded_leaves_the_old_one_until_there_is_another(store, current):
    until(lambda: current.address == "models:/m/1")
    store["address"] = "models:/m/broken"
    until(lambda: current.problem)
    assert (current.ready, current.address) == (True, "models:/m/1")
    store["address"] = "models:/m/3"
    until(lambda: current.address == "models:/m/3")
    assert current.problem == ""
