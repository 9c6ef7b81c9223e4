"""What `tinybench clean` removes, and what it never touches."""

from __future__ import annotations

import os
import time
from pathlib import Path

import filelock
import pytest
from click.testing import CliRunner
from mlflow.tracking import MlflowClient
from stores import fresh

from tinybench.cli.root import cli
from tinybench.commands.clean import clean
from tinybench.core import cache, paths
from tinybench.core.errors import TrackingError

OLD = time.time() - 40 * 86400


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


def add_checkpoints(run_id: str, *, old: bool = False) -> Path:
    folder = paths.state_folder() / "runs" / run_id
    (folder / "transfer").mkdir(parents=True)
    (folder / "transfer" / "start.keras").write_bytes(bytes(1000))
    if old:
        for path in (folder / "transfer" / "start.keras", folder / "transfer", folder):
            os.utime(path, (OLD, OLD))
    return folder


def add_run(store: str, status: str) -> str:
    client = MlflowClient(store)
    run_id = str(client.create_run("0").info.run_id)
    client.set_terminated(run_id, status)
    return run_id


def add_entry(name: str, *, old: bool) -> Path:
    entry = cache.entry_folder("features", name)
    entry.mkdir(parents=True)
    (entry / "shard").write_bytes(bytes(500))
    if old:
        os.utime(entry, (OLD, OLD))
    return entry


def test_checkpoints_of_finished_deleted_and_forgotten_runs_are_removed(store: str) -> None:
    deleted = add_run(store, "FAILED")
    MlflowClient(store).delete_run(deleted)
    gone = [
        add_checkpoints(add_run(store, "FINISHED")),
        add_checkpoints(deleted),
        add_checkpoints("of another store", old=True),
    ]
    kept = [add_checkpoints(add_run(store, "KILLED")), add_checkpoints("of another store, and new")]
    assert {leftover.path for leftover in clean(store, dry_run=True)} == {*gone}
    assert all(folder.is_dir() for folder in gone), "a dry run removes nothing"
    removed = clean(store)
    assert sorted(leftover.reason for leftover in removed) == [
        "its run is deleted",
        "its run is finished",
        "not worked on for 40 days",
    ]
    assert [leftover.bytes for leftover in removed] == [1000] * 3
    assert not any(folder.exists() for folder in gone)
    assert all(folder.is_dir() for folder in kept)
    assert not any(folder.with_suffix(".lock").exists() for folder in gone)


def test_a_run_that_a_process_works_on_is_never_touched(store: str) -> None:
    folder = add_checkpoints(add_run(store, "FINISHED"), old=True)
    with filelock.FileLock(folder.with_suffix(".lock")):
        assert clean(store, days=0) == []
    assert folder.is_dir()


def test_cache_entries_that_were_not_used_for_long_are_removed(store: str) -> None:
    old, new, leased = add_entry("old", old=True), add_entry("new", old=False), add_entry("leased", old=True)
    with cache.lease(leased):
        os.utime(leased, (OLD, OLD))
        assert [leftover.path for leftover in clean(store)] == [old]
    assert new.is_dir()
    assert leased.is_dir()


def test_the_command_says_what_it_removes(store: str) -> None:
    add_checkpoints(add_run(store, "FINISHED"))
    words = ["clean", "--uri", store]
    assert "1.0 kB would be removed." in CliRunner().invoke(cli, [*words, "--dry-run"]).output
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert "its run is finished" in result.output
    assert result.output.endswith("1.0 kB removed.\n")
    assert CliRunner().invoke(cli, words).output.startswith("There is nothing to remove; tinybench cache list ")


def test_a_store_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="There is no store"):
        clean(f"sqlite:///{tmp_path}/absent.db", dry_run=True)
