"""A backup is read again without restoring it: what is damaged is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from backed_up import backup, listed, small_store, verify

from tinybench.core.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A store of small runs, with its artifacts; no test changes it."""
    return small_store(tmp_path_factory, tmp_path_factory.mktemp("small"))


def test_a_whole_backup_is_said_to_be_whole(small, tmp_path):
    backup(*small, tmp_path / "backups")
    code, (line,) = verify(tmp_path / "backups")
    assert code == 0
    assert "5 objects (7 files, " in line  # three texts, one in all runs, and the database
    assert line.endswith("are as they were stored. Only a restore proves a backup.")
    assert "unproved" in listed(tmp_path / "backups")[0]


def test_a_damaged_and_a_missing_object_are_named_with_their_artifacts(small, tmp_path):
    uri, artifacts = small
    backup(uri, artifacts, tmp_path / "backups")
    objects = {file.stat().st_size: file for file in (tmp_path / "backups" / "objects").iterdir()}
    shared = objects[len("the same in all runs")]
    shared.write_text("the same in no run !!")
    gone = objects[600]
    gone.unlink()
    code, lines = verify(tmp_path / "backups")
    assert code == 1
    (damaged,) = [line for line in lines if f"The object {shared.name} of" in line]
    assert damaged.count("/artifacts/same.txt") == 3
    assert "is damaged: its content has another SHA-256" in damaged
    assert any(f"The object {gone.name} of" in line and "a b+ü.txt is missing" in line for line in lines)
    assert ": 2 of 5 objects" in lines[-1]
    shared.unlink()
    backup(uri, artifacts, tmp_path / "backups")  # as the last line says
    assert verify(tmp_path / "backups")[0] == 0


def test_an_older_backup_can_be_named(small, tmp_path):
    backup(*small, tmp_path / "backups")
    (name,) = [path.name for path in (tmp_path / "backups").iterdir() if path.name.endswith("Z")]
    assert f"Backup {name}: " in verify(tmp_path / "backups", "--backup", name)[1][0]
    with pytest.raises(ConfigError, match="expected a backup such as"):
        verify(tmp_path / "backups", "--backup", "yesterday")
    (tmp_path / "backups" / name / "manifest.json").write_text("{}")
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        verify(tmp_path / "backups")


def test_an_encrypted_backup_is_decrypted(small, tmp_path):
    pyrage = pytest.importorskip("pyrage")
    key = pyrage.x25519.Identity.generate()
    (tmp_path / "key.txt").write_text(f"{key}\n")
    backup(*small, tmp_path / "backups", "--encrypt-to", str(key.to_public()))
    with pytest.raises(ConfigError, match="name the file with the secret key by --identity"):
        verify(tmp_path / "backups")
    assert verify(tmp_path / "backups", "--identity", str(tmp_path / "key.txt"))[0] == 0
    file = max((tmp_path / "backups" / "objects").iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    code, lines = verify(tmp_path / "backups", "--identity", str(tmp_path / "key.txt"))
    assert code == 1
    assert file.name in lines[0]
    assert "the database runs" in lines[0]
