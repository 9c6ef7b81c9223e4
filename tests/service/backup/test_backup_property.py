"""Whatever runs hold and files are called, a restored store is the same."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import stores
from backed_up import backup, restore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NAMES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/\0"), min_size=1, max_size=12)
PATHS = st.lists(NAMES.filter(lambda name: name not in (".", "..")), min_size=1, max_size=3).map("/".join)
FILES = st.dictionaries(PATHS, st.binary(max_size=200), max_size=6)
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
POINTS = st.lists(st.tuples(NAMES, st.floats(allow_nan=False), st.integers(0, 2**60)), max_size=8)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return stores.fresh(tmp_path_factory).removeprefix("sqlite:///")


def write_run(database: Path, number: int, tags: dict[str, str], points: list[tuple[str, float, int]]) -> None:
    with closing(sqlite3.connect(database)) as store, store:
        store.execute("INSERT INTO runs (run_uuid, experiment_id, status) VALUES (?, 0, 'FINISHED')", (f"r{number}",))
        store.executemany(f"INSERT INTO tags VALUES (?, ?, 'r{number}')", tags.items())
        columns = "key, value, timestamp, step, is_nan, run_uuid"
        store.executemany(f"INSERT OR IGNORE INTO metrics ({columns}) VALUES (?, ?, ?, 0, 0, 'r{number}')", points)


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as store:
        return sorted(line for line in store.iterdump() if line.startswith("INSERT"))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.dictionaries(NAMES, TEXTS, max_size=4), POINTS), max_size=3), FILES)
def test_round_trip(empty, runs, files):
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copy(empty, folder / "live.db")
        (folder / "live").mkdir()
        for number, (tags, points) in enumerate(runs):
            write_run(folder / "live.db", number, tags, points)
        for path, content in files.items():
            target = folder / "live" / path
            if not any(parent.is_file() for parent in target.parents) and not target.is_dir():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
        backup(f"sqlite:///{folder}/live.db", folder / "live", folder / "backups")
        code, printed = restore(folder / "backups", f"sqlite:///{folder}/new.db", folder / "new")
        assert code == 0, printed
        assert tree(folder / "new") == tree(folder / "live")
        assert rows(folder / "new.db") == rows(folder / "live.db")
