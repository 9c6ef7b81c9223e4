"""Which backups stay, and that their objects do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tinybench.core.errors import DataError
from tinybench.service.backup import pruning
from tinybench.service.backup.backup_folder import Backup, BackupFolder, write_description
from tinybench.service.backup.manifest import Index, Manifest
from tinybench.service.backup.pruning import KeepPolicy

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)  # a Tuesday


@pytest.fixture
def folder(tmp_path):
    made = BackupFolder(tmp_path / "backups")
    made.create()
    return made


def add(folder: BackupFolder, ago: timedelta, objects: dict[str, int]) -> Backup:
    """A backup with objects, as it lies on disk."""
    name = (NOW - ago).strftime("%Y-%m-%dT%H%M%SZ")
    (folder.path / name).mkdir()
    manifest = Manifest(name, {}, "sqlite", {}, {}, (), {})
    write_description(folder.path / name, manifest, Index(name, {"runs": 1}, 1, (), objects), None)
    for key in objects:
        (folder.objects / key).write_bytes(b"x")
    return Backup(folder.path / name)


def days_kept(folder: BackupFolder, policy: KeepPolicy) -> list[int]:
    return [(NOW - backup.time).days for backup in pruning.choose(folder.list_backups(), policy)]


def test_daily_and_weekly_backups_stay(folder):
    for day in range(40):
        for hour in (0, 6):
            add(folder, timedelta(days=day, hours=hour), {})
    assert days_kept(folder, KeepPolicy(last=3)) == [1, 0, 0]
    assert days_kept(folder, KeepPolicy(daily=4)) == [3, 2, 1, 0]
    # The newest of each of four weeks: this Tuesday, and three Sundays
    assert days_kept(folder, KeepPolicy(weekly=4)) == [16, 9, 2, 0]
    assert days_kept(folder, KeepPolicy(daily=2, weekly=2)) == [2, 1, 0]


def test_a_day_without_a_backup_does_not_count(folder):
    for day in (0, 10, 20, 30):
        add(folder, timedelta(days=day), {})
    assert days_kept(folder, KeepPolicy(daily=3)) == [20, 10, 0]


def test_the_newest_proved_backup_stays(folder):
    backups = [add(folder, timedelta(days=day), {}) for day in range(5)]
    backups[4].write_proof({"proved_at": "2026-01-01"})
    backups[3].write_proof({"proved_at": "2026-01-01"})
    assert days_kept(folder, KeepPolicy(last=1)) == [3, 0]


def test_objects_of_backups_that_stay_are_not_removed(folder):
    add(folder, timedelta(days=2), {"a": 1, "shared": 1})
    add(folder, timedelta(days=1), {"b": 1, "shared": 1})
    newest = add(folder, timedelta(days=0), {"c": 1, "shared": 1})
    (folder.objects / "of a killed backup").write_bytes(b"x")
    removed = pruning.prune(folder, KeepPolicy(last=2))
    assert [backup.name for backup in removed] == ["2026-03-29T120000Z"]
    assert sorted(path.name for path in folder.objects.iterdir()) == ["b", "c", "shared"]
    assert folder.list_backups()[-1] == newest


def test_nothing_is_removed_when_an_index_is_damaged(folder):
    add(folder, timedelta(days=2), {"a": 1})
    damaged = add(folder, timedelta(days=1), {"b": 1})
    add(folder, timedelta(days=0), {"c": 1})
    (damaged.folder / "index.json").write_text("{}")
    with pytest.raises(DataError, match=r"index.json is damaged"):
        pruning.prune(folder, KeepPolicy(last=2))
    assert len(folder.list_backups()) == 3
    assert sorted(path.name for path in folder.objects.iterdir()) == ["a", "b", "c"]


def test_a_proof_is_void_when_the_backup_was_changed(folder):
    backup = add(folder, timedelta(days=0), {"a": 1})
    backup.write_proof({"proved_at": "2026-01-01"})
    assert backup.read_proof() is not None
    checksums = backup.folder / "checksums.txt"
    checksums.write_text(checksums.read_text() + "\n")
    assert backup.read_proof() is None
