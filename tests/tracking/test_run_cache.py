"""Finished runs are read once, also those that come late, and forgotten when they are deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_boards import MadeStore
from stores import fresh

from tinybench.tracking import run_cache
from tinybench.tracking.run_cache import RunCache
from tinybench.tracking.tracker import Tracker


@pytest.fixture
def made(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeStore:
    monkeypatch.setenv("TINYBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(run_cache, "_STRETCH", 3)
    return MadeStore(fresh(tmp_path_factory))


@pytest.fixture
def cache(made: MadeStore) -> Iterator[RunCache]:
    cache = RunCache(Tracker.at(made.uri))
    yield cache
    cache.close()


def ids(cache: RunCache) -> set[str]:
    cache.update()
    runs = cache.list_runs()
    assert [run.started for run in runs] == sorted(run.started for run in runs)
    return {run.run_id for run in runs}


def test_finished_runs_are_known_with_what_they_have(made: MadeStore, cache: RunCache):
    run, phase = made.add("net", 4, None, metrics={"test/accuracy": 0.5})
    assert ids(cache) == {run, phase}
    stored = {each.run_id: each for each in cache.list_runs()}[run]
    assert stored.params["model"] == "net"
    assert stored.metrics == {"test/accuracy": 0.5}
    assert stored.tags["tinybench.kind"] == "training"
    assert stored.experiment_id == made.experiment
    assert stored.ended == stored.started + 1500


def test_runs_that_come_later_or_late_are_found(made: MadeStore, cache: RunCache):
    known = {run_id for seed in range(5) for run_id in made.add("net", seed, None)}
    assert ids(cache) == known
    later = {*made.add("later", 0, None)}
    made.clock = 1_600_000_000_000
    early = {*made.add("early", 0, None)}
    made.clock = 1_700_000_000_500
    between = {*made.add("between", 0, None)}
    assert ids(cache) == known | later | early | between


def test_runs_that_have_not_finished_are_not_kept(made: MadeStore, cache: RunCache):
    run = made.client.create_run(made.experiment).info.run_id
    assert ids(cache) == set()
    made.client.set_terminated(run)
    assert ids(cache) == {run}


def test_deleted_runs_and_experiments_are_forgotten(made: MadeStore, cache: RunCache):
    first, second = made.add("a", 0, None), made.add("b", 0, None)
    assert ids(cache) == {*first, *second}
    made.client.delete_run(first[0])
    assert ids(cache) == {first[1], *second}
    made.client.restore_run(first[0])
    assert ids(cache) == {*first, *second}
    made.client.delete_experiment(made.experiment)
    assert ids(cache) == set()


def test_what_is_derived_is_computed_once(made: MadeStore, cache: RunCache):
    calls: list[int] = []

    def compute() -> bytes:
        calls.append(1)
        return b"content"

    assert [cache.derive("run", "name", compute) for _ in range(3)] == [b"content"] * 3
    assert cache.derive("run", "other", lambda: b"") == b""
    assert cache.derive("run", "other", lambda: b"back") == b"back"
    assert len(calls) == 1


def test_another_process_reads_the_same(made: MadeStore, cache: RunCache):
    made.add("a", 0, None)
    assert len(ids(cache)) == 2
    other = RunCache(Tracker.at(made.uri))
    assert len(other.list_runs()) == 2
    other.close()


def test_a_damaged_file_is_made_anew(made: MadeStore, tmp_path: Path):
    made.add("a", 0, None)
    first = RunCache(Tracker.at(made.uri))
    assert len(ids(first)) == 2
    first.close()
    (file,) = (tmp_path / "cache" / "runs").glob("*.db")
    file.write_bytes(b"no database at all" * 500)
    again = RunCache(Tracker.at(made.uri))
    assert len(ids(again)) == 2
    again.close()


def test_without_a_place_for_the_file_runs_are_read_each_time(made: MadeStore, tmp_path: Path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TINYBENCH_CACHE", str(tmp_path / "file"))
    made.add("a", 0, None)
    cache = RunCache(Tracker.at(made.uri))
    assert len(ids(cache)) == 2
    cache.close()


def test_a_process_that_reads_the_store_does_not_lock_out_another(made: MadeStore, cache: RunCache, monkeypatch):
    made.add("a", 0, None)
    other = RunCache(Tracker.at(made.uri))
    search = cache._search

    def search_while_another_writes(*arguments):
        for run in search(*arguments):
            other.derive(run.info.run_id, "name", lambda: b"content")
            yield run

    monkeypatch.setattr(cache, "_search", search_while_another_writes)
    assert len(ids(cache)) == 2
    other.close()
