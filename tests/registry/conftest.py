"""Stores with trained runs and champions, which every test gets a copy of."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pytest
from champions import GOOD, LIMITS, NAME
from stores import elsewhere, fresh

import tinybench
from tinybench.registry import policy, promotion
from tinybench.registry.candidates import CandidateQuery
from tinybench.tracking.model_versions import RegisteredModel
from tinybench.tracking.tracker import Tracker


def copied(store, folder):
    """A copy with what is still in the write-ahead log of the store."""
    made = folder / "mlflow.db"
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as source, closing(sqlite3.connect(made)) as copy:
        source.backup(copy)
    return f"sqlite:///{made}"


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A store with a good run, a better one, and one that learned nothing."""
    store = fresh(tmp_path_factory)
    wanted = {
        "good": {"track.pictures": True},
        "better": {"scratch.epochs": 12},
        "bad": {"scratch.lr": 1e-7, "scratch.epochs": 1},
    }
    with elsewhere(tmp_path_factory):
        runs = {
            name: tinybench.train(**GOOD | {"track.uri": store} | settings).run_id for name, settings in wanted.items()
        }
    mlflow.set_tracking_uri(None)
    return store, runs


@pytest.fixture(scope="session")
def champions(trained, tmp_path_factory):
    """A copy of it with two champions, one after another."""
    store, runs = trained
    made = copied(store, tmp_path_factory.mktemp("champions"))
    for name in ("good", "better"):
        promotion.promote(Tracker.at(made), CandidateQuery(runs[name]), policy.parse(LIMITS))
    mlflow.set_tracking_uri(None)
    return made


@pytest.fixture
def store(trained, tmp_path, request):
    """A copy to be written to: with champions where a test asks for `two`."""
    Path("gates.toml").write_text(LIMITS)
    wanted = "champions" if "two" in request.fixturenames else "trained"
    found = request.getfixturevalue(wanted)
    yield copied(found if wanted == "champions" else found[0], tmp_path)
    mlflow.set_tracking_uri(None)


@pytest.fixture
def runs(trained):
    return trained[1]


@pytest.fixture
def tracker(store):
    return Tracker.at(store)


@pytest.fixture
def two(tracker):
    """The registered model with two champions, one after another."""
    return RegisteredModel(tracker.client, NAME)
