"""Backups that only the holder of a key can read."""

from __future__ import annotations

import os

import pytest
from backed_up import backup, listed, restore, small_store

from tinybench.core.errors import ConfigError, DataError

pyrage = pytest.importorskip("pyrage", reason="pyrage encrypts")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    uri, artifacts = small_store(tmp_path_factory, tmp_path_factory.mktemp("live"))
    for path in artifacts.rglob("*.txt"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return uri, artifacts


@pytest.fixture
def key(tmp_path):
    """The public key, and the file with the secret one."""
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "key.txt").write_text(f"# public key: {identity.to_public()}\n{identity}\n")
    return str(identity.to_public()), str(tmp_path / "key.txt")


def test_it_is_restored_with_the_key_alone(store, key, tmp_path):
    public, secret = key
    lines = backup(*store, tmp_path / "backups", "--encrypt-to", public)
    assert "--identity key.txt" in lines[-1]
    for path in (path for path in (tmp_path / "backups").rglob("*") if path.is_file()):
        content = path.read_bytes()
        for plain in (b"the same in all runs", b"SQLite format 3", b"same.txt", b"run 1"):
            assert plain not in content, path
    target = (f"sqlite:///{tmp_path}/new.db", tmp_path / "new")
    with pytest.raises(ConfigError, match=r"This backup is encrypted: name the file .* by --identity."):
        restore(tmp_path / "backups", *target)
    (tmp_path / "other.txt").write_text(str(pyrage.x25519.Identity.generate()))
    with pytest.raises(ConfigError, match=r"`--identity`: it cannot read the backup .*another recipient"):
        restore(tmp_path / "backups", *target, "--identity", str(tmp_path / "other.txt"))
    assert not (tmp_path / "new").exists()
    assert restore(tmp_path / "backups", *target, "--identity", secret)[0] == 0
    assert "encrypted  proved on" in listed(tmp_path / "backups")[0]


def test_a_second_one_adds_little_without_the_key(store, key, tmp_path):
    backup(*store, tmp_path / "backups", "--encrypt-to", key[0])
    objects = {path.name for path in (tmp_path / "backups" / "objects").iterdir()}
    backup(*store, tmp_path / "backups", "--encrypt-to", key[0])
    assert {path.name for path in (tmp_path / "backups" / "objects").iterdir()} == objects


def test_another_recipient_gets_objects_of_its_own(store, key, tmp_path):
    backup(*store, tmp_path / "backups", "--encrypt-to", key[0])
    other = pyrage.x25519.Identity.generate()
    secret = tmp_path / "other.txt"
    secret.write_text(str(other))
    backup(*store, tmp_path / "backups", "--encrypt-to", str(other.to_public()))
    code, _ = restore(
        tmp_path / "backups",
        f"sqlite:///{tmp_path}/new.db",
        tmp_path / "new",
        "--identity",
        str(tmp_path / "other.txt"),
    )
    assert code == 0


@pytest.mark.parametrize("place", ["begin", "end"])
def test_a_flipped_byte_is_refused_with_the_objects_name(store, key, tmp_path, place):
    backup(*store, tmp_path / "backups", "--encrypt-to", key[0])
    for file in (tmp_path / "backups" / "objects").iterdir():
        damaged = bytearray(file.read_bytes())
        damaged[150 if place == "begin" else -1] ^= 1  # in the header's checksum, or in the content
        file.write_bytes(damaged)
    with pytest.raises(DataError, match=r"The object [0-9a-f]{64}-[0-9a-f]{16}.age of .* is damaged"):
        restore(tmp_path / "backups", f"sqlite:///{tmp_path}/new.db", tmp_path / "new", "--identity", key[1])
    assert not list(tmp_path.glob("*new.db*"))


@pytest.mark.parametrize("recipient", ["age1nonsense", "AGE-SECRET-KEY-1ABC", "", "ada"])
def test_a_recipient_that_is_none_is_refused(store, tmp_path, recipient):
    with pytest.raises(ConfigError, match=r"Invalid value for `--encrypt-to`: expected a public key of age"):
        backup(*store, tmp_path / "backups", "--encrypt-to", recipient)
    assert not (tmp_path / "backups").exists()
