"""What is kept: seen with its size and age, removed oldest first, and never from under a process that uses it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinybench.core import cache

ROOT = Path(__file__).parents[2]
LONG_AGO = 1_700_000_000

LEASE = "with cache.lease(entry): wait()"
LOCK = "with cache.entry_lock(entry): wait()"
HOLD = "cache.lease_until_exit(entry); cache.lease_until_exit(entry); wait()"


def entry(name: str, size: int = 100, used: int = 0, kind: str = "features") -> Path:
    """An entry of so many bytes, used so many seconds after long ago."""
    folder = cache.entry_folder(kind, name)
    (folder / "part").mkdir(parents=True)
    (folder / "file").write_bytes(bytes(size // 2))
    (folder / "part" / "file").write_bytes(bytes(size - size // 2))
    os.utime(folder, (LONG_AGO + used, LONG_AGO + used))
    return folder


def names(found: list[cache.CacheEntry]) -> list[str]:
    return [each.folder.name for each in found]


def kept() -> list[str]:
    return sorted(names(cache.list_entries()))


@contextmanager
def another(what: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that does something with an entry, until it is told to end or killed."""
    code = (
        "import sys; from pathlib import Path; from tinybench.core import cache\n"
        "entry = Path(sys.argv[1])\n"
        "def wait():\n    print('there', flush=True); sys.stdin.read()\n"
        f"{what}"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def test_nothing_is_kept_at_first() -> None:
    assert cache.list_entries() == []
    assert cache.prune(0) == []
    assert cache.kind_bytes("features") == 0


def test_the_root_is_made(own_folders: Path) -> None:
    assert cache.root_folder() == own_folders / "cache"
    assert cache.root_folder().is_dir()


def test_entries_are_listed_least_recently_used_first_with_sizes() -> None:
    entry("young", 300, used=30)
    entry("old", 100, used=10)
    entry("between", 200, used=20, kind="data")
    found = cache.list_entries()
    assert [(each.kind, each.folder.name, each.bytes, each.last_used - LONG_AGO) for each in found] == [
        ("features", "old", 100, 10),
        ("data", "between", 200, 20),
        ("features", "young", 300, 30),
    ]
    assert not any(each.in_use for each in found)
    assert (cache.kind_bytes("features"), cache.kind_bytes("data")) == (400, 200)


def test_an_entry_says_what_it_is() -> None:
    cache.write_description(entry("told", used=1), "resnet50 at pooling", {"view": {}}, "openvino")
    entry("untold", used=2)
    (entry("garbled", used=3) / "about.json").write_text("{")
    entry("images", used=4, kind="data")
    words = {each.folder.name: each.description for each in cache.list_entries()}
    assert words == {
        "told": "resnet50 at pooling",
        "untold": "unfinished",
        "garbled": "unfinished",
        "images": "decoded images",
    }


def test_what_is_being_built_or_removed_is_no_entry() -> None:
    for name in ("abc.partial", "abc.removed"):
        cache.entry_folder("data", name).mkdir(parents=True)
    cache.entry_folder("data", "abc.lock").write_text("")
    entry("abc", kind="data")
    assert kept() == ["abc"]


SIZES = st.lists(st.integers(0, 1000), max_size=5)


@settings(max_examples=40)
@given(SIZES, st.randoms(use_true_random=False), st.integers(0, 3000))
def test_pruning_removes_the_least_recently_used_until_the_rest_fits(sizes: list[int], order, most: int) -> None:
    ages = [*range(len(sizes))]
    order.shuffle(ages)
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"TINYBENCH_CACHE": folder}):
        for number, (size, age) in enumerate(zip(sizes, ages, strict=True)):
            entry(f"n{number}", size, age, cache.KINDS[number % 2])
        by_age = [f"n{ages.index(age)}" for age in sorted(ages)]
        removed = names(cache.prune(most))
        assert names(cache.list_entries()) == by_age[len(removed) :]
        assert removed == by_age[: len(removed)]
        left = [sizes[int(name[1:])] for name in by_age[len(removed) :]]
        assert sum(left) <= most
        if removed:
            assert sum(left) + sizes[int(removed[-1][1:])] > most, "one too many was removed"


def test_removing_leaves_the_lock_file_alone() -> None:
    folder = entry("gone")
    with cache.lease(folder):
        pass
    assert [each.folder for each in cache.prune(0)] == [folder]
    assert [path.name for path in folder.parent.iterdir()] == ["gone.lock"]
    assert not (cache.root_folder() / "leases" / "features" / "gone").exists()


def test_what_is_not_there_is_gone_already() -> None:
    entry("other")
    assert cache.remove(cache.entry_folder("features", "absent"))
    assert kept() == ["other"]


def test_pruning_to_nothing_clears_all_but_what_is_in_use() -> None:
    used = entry("used", used=1)
    entry("unused", used=2)
    entry("images", used=3, kind="data")
    with cache.lease(used):
        assert names(cache.prune(0)) == ["unused", "images"]
        assert kept() == ["used"]
    assert names(cache.prune(0)) == ["used"]


def test_kinds_are_kept_apart() -> None:
    features, images = entry("same", 500), entry("same", 700, kind="data")
    with cache.lease(features):
        assert [each.kind for each in cache.list_entries() if each.in_use] == ["features"]
        assert [each.folder for each in cache.prune(0)] == [images]
    entry("same", 700, kind="data")
    assert cache.prune(500, ("features",)) == []
    assert [each.kind for each in cache.prune(499, ("features",))] == ["features"]
    assert [each.kind for each in cache.list_entries()] == ["data"]


def test_what_stays_because_it_is_in_use_counts() -> None:
    used = entry("used", 600, used=1)
    entry("old", 100, used=2)
    entry("young", 100, used=3)
    with cache.lease(used):
        assert names(cache.prune(700)) == ["old"]


def test_a_lease_notes_that_an_entry_is_used_now() -> None:
    folder = entry("old", used=1)
    entry("young", used=2)
    with cache.lease(folder):
        assert names(cache.list_entries()) == ["young", "old"]
        assert abs(cache.list_entries()[1].last_used - time.time()) < 60
        assert [each.in_use for each in cache.list_entries()] == [False, True]


def test_a_lease_can_be_taken_before_there_is_an_entry() -> None:
    folder = cache.entry_folder("features", "later")
    with cache.lease(folder):
        entry("later")
        assert cache.prune(0) == []
    assert names(cache.prune(0)) == ["later"]


def test_an_entry_stays_until_the_last_lease_ends() -> None:
    folder = entry("shared")
    with cache.lease(folder):
        with cache.lease(folder):
            assert not cache.remove(folder)
        assert not cache.remove(folder)
        assert cache.list_entries()[0].in_use
    assert not cache.list_entries()[0].in_use
    assert cache.remove(folder)


def test_a_lease_ends_when_its_block_raises() -> None:
    folder = entry("unlucky")
    with pytest.raises(KeyboardInterrupt), cache.lease(folder):
        raise KeyboardInterrupt
    assert cache.remove(folder)


def test_a_lease_of_another_process_keeps_an_entry_until_that_process_is_killed() -> None:
    folder = entry("theirs")
    entry("free", used=1)
    with another(LEASE, folder) as process:
        assert [each.in_use for each in sorted(cache.list_entries(), key=lambda each: each.folder)] == [False, True]
        assert names(cache.prune(0)) == ["free"]
        assert not cache.remove(folder)
        assert kept() == ["theirs"]
        process.kill()  # kill -9: nothing of its own is run
        process.wait(20)
        assert len([*(cache.root_folder() / "leases" / "features" / "theirs").iterdir()]) == 1, (
            "its lease is left behind"
        )
        assert not cache.list_entries()[0].in_use
        assert names(cache.prune(0)) == ["theirs"]


def test_one_process_ending_does_not_end_the_lease_of_another() -> None:
    folder = entry("shared")
    with another(LEASE, folder) as first, another(LEASE, folder) as second:
        first.kill()
        first.wait(20)
        assert not cache.remove(folder)
        second.communicate("", timeout=20)
        assert cache.remove(folder)


def test_an_entry_that_another_process_changes_stays() -> None:
    folder = entry("changing")
    with another(LOCK, folder) as process:
        assert not cache.remove(folder)
        assert cache.prune(0) == []
        assert (folder / "file").exists()
        process.kill()
        process.wait(20)
        assert cache.remove(folder)


def test_an_entry_that_this_process_changes_stays() -> None:
    folder = entry("changing")
    with cache.entry_lock(folder):
        assert not cache.remove(folder)
    assert cache.remove(folder)


def test_what_is_held_is_kept_as_long_as_the_process_lives() -> None:
    folder = entry("held", used=1)
    with another(HOLD, folder) as process:
        assert len([*(cache.root_folder() / "leases" / "features" / "held").iterdir()]) == 1, "held twice is held once"
        assert abs(cache.list_entries()[0].last_used - time.time()) < 60
        assert not cache.remove(folder)
        process.communicate("", timeout=20)
        assert process.returncode == 0
        assert cache.remove(folder)


def test_the_budget_is_as_given_or_half_of_what_is_free_or_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    entry("ours", 600)
    entry("images", 5000, kind="data")
    free = shutil.disk_usage(cache.root_folder()).free
    monkeypatch.setattr(shutil, "disk_usage", lambda _: mock.Mock(free=1000))
    assert free > 0
    assert cache.size_budget(123) == 123
    assert cache.size_budget(0) == 0
    assert cache.size_budget(None) == (1000 + 600) // 2
    assert cache.size_budget(None, ("data",)) == (1000 + 5000) // 2
    assert cache.size_budget(None, cache.KINDS) == (1000 + 5600) // 2


def test_what_a_killed_removal_left_is_in_nobodys_way() -> None:
    folder = entry("again")
    folder.rename(folder.with_name("again.removed"))  # as far as `remove` comes before it is killed
    entry("again")
    assert names(cache.prune(0)) == ["again"]
    assert not folder.exists()


def test_holding_that_fails_is_no_error_and_can_be_tried_again() -> None:
    folder = entry("held")
    (cache.root_folder() / "leases").write_text("in the way")
    cache.lease_until_exit(folder)
    (cache.root_folder() / "leases").unlink()
    with ExitStack() as stack:
        cache.lease_until_exit(folder)
        stack.callback(lambda: cache._process_leases.pop(folder).close())
        assert not cache.remove(folder)


CHURN = """
import itertools, threading
threading.Thread(target=wait, daemon=True).start()
other = entry.with_name("other")
for number in itertools.count():
    part = entry / f"{number % 50}.part"
    part.write_bytes(bytes(100))
    part.replace(part.with_suffix(".npy"))
    other.mkdir()
    (other / "file").write_bytes(bytes(100))
    cache.remove(other)
"""


def test_entries_can_be_listed_while_another_process_writes_and_removes() -> None:
    with another(CHURN, entry("busy")):
        until = time.monotonic() + 3
        while time.monotonic() < until:
            assert "busy" in names(cache.list_entries())
