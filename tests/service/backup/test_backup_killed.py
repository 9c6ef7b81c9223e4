"""A backup or a restore that is killed at any moment leaves nothing that looks complete."""

from __future__ import annotations

import pytest
from backed_up import backup, listed, restore, small_store
from processes import python

from tinybench.core.errors import ConfigError

COMMAND = """
import os, sys

folder, last, *words = sys.argv[1:]
changes = 0

def count(event, arguments):
    global changes
    is_written = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if is_written or event in ("os.rename", "os.mkdir", "os.remove"):
        if str(arguments[0]).startswith(folder):
            changes += 1
            if changes == int(last):
                os.kill(os.getpid(), 9)

sys.addaudithook(count)
from tinybench.cli import root
root.cli.main(words, standalone_mode=False)
print(changes)
"""


def run(folder, last, *words):
    """Run a command that is killed before its change number `last` of a folder; return exit code and changes."""
    process = python(COMMAND, str(folder), str(last), *map(str, words))
    output, errors = process.communicate(timeout=300)
    assert process.returncode in (0, -9), errors
    return process.returncode, int(output.split()[-1]) if process.returncode == 0 else last


@pytest.mark.slow
def test_a_killed_backup_is_no_backup(tmp_path, tmp_path_factory):
    uri, artifacts = small_store(tmp_path_factory, tmp_path)
    words = ("server", "--backend-store-uri", uri, "--artifacts-destination", artifacts, "backup")
    code, changes = run(tmp_path / "whole", 0, *words, tmp_path / "whole")
    assert code == 0
    assert changes > 20
    folder = tmp_path / "backups"
    for last in (2, 4, 6, changes // 2, changes - 4, changes - 1, changes):
        assert run(folder, last, *words, folder)[0] == -9
        if (folder / "objects").is_dir():
            assert listed(folder) == ["No complete backup."]
            with pytest.raises(ConfigError, match=r"holds no complete backup"):
                restore(folder, f"sqlite:///{tmp_path}/new.db", tmp_path / "new")
    backup(uri, artifacts, folder)
    assert len(listed(folder)) == 1
    assert not [path for path in folder.rglob("*") if path.name.endswith(".part") or "incomplete" in path.name]
    assert restore(folder, f"sqlite:///{tmp_path}/new.db", tmp_path / "new")[0] == 0


@pytest.mark.slow
def test_a_killed_restore_is_no_store(tmp_path, tmp_path_factory):
    uri, artifacts = small_store(tmp_path_factory, tmp_path)
    backup(uri, artifacts, tmp_path / "backups")
    words = ("server", "restore", tmp_path / "backups", "--backend-store-uri")
    _, changes = run(
        tmp_path / "0", 0, *words, f"sqlite:///{tmp_path}/0/new.db", "--artifacts-destination", tmp_path / "0/a"
    )
    for last in (5, changes // 2, changes - 3):  # the last: before the database gets its name
        target = tmp_path / str(last)
        options = (f"sqlite:///{target}/new.db", "--artifacts-destination", target / "a")
        assert run(target, last, *words, *options)[0] == -9
        assert not (target / "new.db").exists()
        with pytest.raises(ConfigError, match=r"is what a restore left that was killed. Delete it, then try again."):
            restore(tmp_path / "backups", f"sqlite:///{target}/new.db", target / "a")
    assert "unproved" not in listed(tmp_path / "backups")[0], "the first one was not killed"


def test_two_backups_at_once_wait_for_each_other(tmp_path, tmp_path_factory, monkeypatch):
    from tinybench.service.backup import backup_folder

    uri, artifacts = small_store(tmp_path_factory, tmp_path)
    backup(uri, artifacts, tmp_path / "backups")
    monkeypatch.setattr(backup_folder, "_LOCK_SECONDS", 0.2)
    with (
        backup_folder.BackupFolder(tmp_path / "backups").locked(),
        pytest.raises(ConfigError, match=r"Another backup is being written to"),
    ):
        backup(uri, artifacts, tmp_path / "backups")
    backup(uri, artifacts, tmp_path / "backups")
    assert len(listed(tmp_path / "backups")) == 2


def test_what_others_can_read(tmp_path, tmp_path_factory):
    """Backups hold the hashes of passwords: nobody else reads them."""
    backup(*small_store(tmp_path_factory, tmp_path), tmp_path / "backups")
    assert (tmp_path / "backups").stat().st_mode & 0o077 == 0
    for path in (tmp_path / "backups").rglob("*"):
        if path.name != ".lock":
            assert path.stat().st_mode & 0o077 == 0, path
