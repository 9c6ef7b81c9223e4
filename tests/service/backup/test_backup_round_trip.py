"""Back up a real store, restore it elsewhere, and let the comparison fail for every kind of loss."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import stores
from backed_up import backup, listed, log_champion, log_small_runs, restore, small_store
from click.testing import CliRunner
from copied_stores import census, default_store, log_foreign_runs

from tinybench.cli import root
from tinybench.cli.server_backup_commands import _restore_command
from tinybench.core.errors import ConfigError, DataError, TrackingError
from tinybench.service.backup import artifact_stores
from tinybench.service.backup.backup_folder import Backup
from tinybench.service.backup.manifest import Index
from tinybench.service.settings import ServerSettings


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store without a server, whose addresses are paths: with a champion, nested foreign runs and users."""
    with stores.elsewhere(tmp_path_factory) as folder:
        made = stores.fresh(tmp_path_factory)
        uri = f"sqlite:///{folder}/mlflow.db"
        shutil.copy(made.removeprefix("sqlite:///"), folder / "mlflow.db")
        with closing(sqlite3.connect(folder / "mlflow.db")) as runs, runs:  # as if the store had been made here
            runs.execute("UPDATE experiments SET artifact_location = ?", (f"{folder}/mlruns/0",))
        log_champion(uri, "digits")
        log_foreign_runs(uri, folder / "files")
        with closing(sqlite3.connect(folder / "mlflow-users.db")) as users, users:
            users.execute("CREATE TABLE users (name TEXT, password_hash TEXT)")
            users.execute("INSERT INTO users VALUES ('ada', 'scrypt:…')")
        yield folder


@pytest.fixture(scope="module")
def taken(store, tmp_path_factory):
    """A backup of it."""
    folder = tmp_path_factory.mktemp("backups") / "new"
    lines = backup(f"sqlite:///{store}/mlflow.db", store / "mlruns", folder)
    return folder, lines


@pytest.fixture
def small(tmp_path, tmp_path_factory):
    """A store of small runs, with its artifacts."""
    return small_store(tmp_path_factory, tmp_path)


def the_backup(folder: Path) -> Path:
    (made,) = [path for path in folder.iterdir() if path.name.endswith("Z")]
    return made


def an_artifact(folder: Path, end: str) -> tuple[str, Path]:
    """The path of an artifact in the only backup of a folder, and its object."""
    artifacts = json.loads((the_backup(folder) / "manifest.json").read_text())["artifacts"]
    path = next(path for path in artifacts if path.endswith(end))
    return path, folder / "objects" / artifacts[path]["object"]


def test_a_restored_store_holds_the_same_and_its_champion_answers_alike(store, taken, tmp_path):
    folder, lines = taken
    assert "It is unproved: never restored. Prove it by:" in lines
    assert listed(folder)[0].endswith("unproved: never restored")
    target = tmp_path / "new"
    code, printed = restore(folder, f"sqlite:///{target}/runs.db", target / "artifacts")
    assert code == 0, printed
    assert any(line.startswith("0 differences: 9 runs, 1,20") for line in printed), printed
    assert any(
        line.startswith("Champion digits, version 1: 30 test images, probabilities differ by") for line in printed
    )
    assert "proved on" in listed(folder)[0]
    before, after = census(f"sqlite:///{store}/mlflow.db"), census(f"sqlite:///{target}/runs.db")
    moved = json.loads(json.dumps(before["versions"]).replace(f"{store}/mlruns", str(target / "artifacts")))
    assert after["runs"] == before["runs"]
    assert after["aliases"] == before["aliases"]
    assert {name: tuple(version) for name, version in moved.items()} == after["versions"]
    with closing(sqlite3.connect(target / "runs-users.db")) as users:
        assert users.execute("SELECT * FROM users").fetchall() == [("ada", "scrypt:…")]
    assert sorted(path.name for path in target.iterdir()) == ["artifacts", "runs-users.db", "runs.db"]


def test_the_printed_command_proves_the_backup_as_it_is(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = shlex.split(backup(*small, "my backups")[-1])
    assert command[:4] == ["tinybench", "server", "restore", "my backups"]
    assert CliRunner().invoke(root.cli, command[1:], standalone_mode=False).exception is None
    assert "proved on" in listed("my backups")[0]


def test_the_printed_command_of_a_postgres_store_has_its_user_and_no_password(tmp_path):
    settings = ServerSettings("postgresql://ann:hush@db:5432/runs", "artifacts")
    taken = Backup(tmp_path / "2026-01-01T000000Z")
    taken.__dict__["index"] = Index(taken.name, {}, 0, ("age1x",), {})
    command = _restore_command(tmp_path, taken, settings, Path("secrets/db.txt"))
    assert "--backend-store-uri postgresql://ann@db:5432/restored --database-password-file secrets/db.txt" in command
    assert "--identity key.txt" in command


def test_a_second_backup_adds_only_what_is_new(small, tmp_path):
    uri, artifacts = small
    old = 1_600_000_000
    for path in artifacts.rglob("*.txt"):
        os.utime(path, (old, old))
    backup(uri, artifacts, tmp_path / "backups")
    objects = {path.name for path in (tmp_path / "backups" / "objects").iterdir()}
    (artifacts / "small" / "new.txt").write_text("new")
    backup(uri, artifacts, tmp_path / "backups")
    added = {path.name for path in (tmp_path / "backups" / "objects").iterdir()} - objects
    assert len(added) == 1, "the database is the same, and one file is new"
    assert len(listed(tmp_path / "backups")) == 2


def test_an_unchanged_file_is_not_read_again_and_a_changed_one_is(small, tmp_path, monkeypatch):
    uri, artifacts = small
    for path in artifacts.rglob("*.txt"):
        os.utime(path, (1_600_000_000, 1_600_000_000))
    backup(uri, artifacts, tmp_path / "backups")
    changed = next(artifacts.rglob("same.txt"))
    changed.write_text("THE same in all runs")  # of the same size
    os.utime(changed, (1_600_000_001, 1_600_000_001))
    opened = []
    original = artifact_stores.FolderArtifacts.open
    monkeypatch.setattr(
        artifact_stores.FolderArtifacts, "open", lambda place, path: opened.append(path) or original(place, path)
    )
    backup(uri, artifacts, tmp_path / "backups")
    assert opened == [changed.relative_to(artifacts).as_posix()]
    assert restore(tmp_path / "backups", f"sqlite:///{tmp_path}/new.db", tmp_path / "new")[0] == 0
    assert (tmp_path / "new" / opened[0]).read_text() == "THE same in all runs"


def test_one_flipped_byte_of_an_artifact_is_refused_with_its_name(small, tmp_path):
    backup(*small, tmp_path / "backups")
    path, file = an_artifact(tmp_path / "backups", "same.txt")
    flipped = bytearray(file.read_bytes())
    flipped[3] ^= 1
    file.write_bytes(flipped)
    with pytest.raises(DataError, match=r"damaged: its content has another SHA-256") as caught:
        restore(tmp_path / "backups", f"sqlite:///{tmp_path}/new.db", tmp_path / "new")
    assert file.name in str(caught.value)
    assert path.rpartition("/")[2] in str(caught.value)
    assert not list(tmp_path.glob("*new.db*"))
    assert not any((tmp_path / "new").rglob("*.txt"))
    assert "unproved" in listed(tmp_path / "backups")[0]


@pytest.mark.parametrize("name", ["manifest.json", "index.json"])
def test_a_changed_manifest_is_refused(small, tmp_path, name):
    backup(*small, tmp_path / "backups")
    file = the_backup(tmp_path / "backups") / name
    file.write_text(file.read_text().replace("0", "1", 1))
    if name == "index.json":
        assert "index.json is damaged" in listed(tmp_path / "backups")[0]
    else:
        with pytest.raises(DataError, match=r"manifest.json is damaged"):
            restore(tmp_path / "backups", f"sqlite:///{tmp_path}/new.db", tmp_path / "new")


def test_a_missing_object_is_named(small, tmp_path):
    backup(*small, tmp_path / "backups")
    _, file = an_artifact(tmp_path / "backups", "a b+ü.txt")
    file.unlink()
    with pytest.raises(DataError, match=r"is missing. Restore another backup.") as caught:
        restore(tmp_path / "backups", f"sqlite:///{tmp_path}/new.db", tmp_path / "new")
    assert "a b+ü.txt" in str(caught.value)


def test_a_restore_overwrites_nothing(small, tmp_path):
    uri, artifacts = small
    backup(uri, artifacts, tmp_path / "backups")
    before = (tmp_path / "live.db").read_bytes()
    with pytest.raises(ConfigError, match=r"live.db exists. A restore overwrites nothing."):
        restore(tmp_path / "backups", uri, tmp_path / "new")
    with pytest.raises(ConfigError, match=r"with files. A restore overwrites nothing."):
        restore(tmp_path / "backups", f"sqlite:///{tmp_path}/new.db", artifacts)
    assert (tmp_path / "live.db").read_bytes() == before
    assert not (tmp_path / "new").exists()


def test_a_backup_of_a_backup_of_another_kind_or_folder_is_refused(small, tmp_path):
    uri, artifacts = small
    backup(uri, artifacts, tmp_path / "backups")
    with pytest.raises(ConfigError, match=r"the backup is of a sqlite database"):
        restore(tmp_path / "backups", "postgresql://a:geheim@127.0.0.1:9/x", tmp_path / "new")
    with pytest.raises(ConfigError, match=r"is inside the artifacts"):
        backup(uri, artifacts, artifacts / "backups")
    with pytest.raises(ConfigError, match=r"with other files"):
        backup(uri, artifacts, tmp_path)
    with pytest.raises(ConfigError, match=r"there is no folder"):
        backup(uri, tmp_path / "none", tmp_path / "backups")
    with pytest.raises(TrackingError, match=r"No database"):
        backup(f"sqlite:///{tmp_path}/none.db", artifacts, tmp_path / "backups")
    assert not (tmp_path / "none.db").exists()
    assert len(listed(tmp_path / "backups")) == 1


def test_runs_with_files_elsewhere_are_not_left_out_in_silence(small, tmp_path):
    uri, artifacts = small
    log_small_runs(uri, str(tmp_path / "other"), count=1)
    with pytest.raises(TrackingError, match=r"1 runs or models have files outside of .*, such as .*/other/"):
        backup(uri, artifacts, tmp_path / "backups")
    lines = backup(uri, artifacts, tmp_path / "backups", "--leave-out-elsewhere")
    assert "Note: 1 runs or models have files elsewhere, which were left out." in lines
    code, lines = restore(tmp_path / "backups", f"sqlite:///{tmp_path}/new.db", tmp_path / "new")
    assert code == 0
    assert "Note, from the backup: 1 runs or models have files elsewhere, which were left out." in lines


def test_what_a_backup_lacks_is_said(small, tmp_path):
    uri, artifacts = small
    (artifacts / "small" / "secret.txt").symlink_to("/etc/passwd")
    (artifacts / "small" / "folder").symlink_to("/etc")
    with default_store(uri) as client:
        model = client.create_logged_model("0", "m")
        client.create_registered_model("name")
        client.create_model_version("name", f"{artifacts}/small/{model.model_id}")
    lines = backup(uri, artifacts, tmp_path / "backups", "--leave-out-elsewhere")
    assert "Note: 1 registered versions have lost their files, such as name/1." in lines
    assert "Note: 2 symbolic links were left out, such as small/secret.txt." in lines
    assert restore(tmp_path / "backups", f"sqlite:///{tmp_path}/new.db", tmp_path / "new")[0] == 0
    assert not (tmp_path / "new" / "small" / "folder").exists()
    assert not (tmp_path / "new" / "small" / "secret.txt").exists()


@pytest.mark.slow
def test_a_champion_that_predicts_otherwise_leaves_the_backup_unproved(store, tmp_path):
    """Its stored predictions are other ones; every hash is right."""
    shutil.copytree(store / "mlruns", tmp_path / "mlruns")
    file = next((tmp_path / "mlruns").rglob("predictions/test.npz"))
    with np.load(file) as arrays:
        stored = dict(arrays)
    np.savez(file, **stored | {"logits": stored["logits"][:, ::-1]})
    with closing(sqlite3.connect(store / "mlflow.db")) as live, closing(sqlite3.connect(tmp_path / "m.db")) as copy:
        live.backup(copy)
        for table, column in (("runs", "artifact_uri"), ("logged_models", "artifact_location")):
            copy.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (f"{store}/", f"{tmp_path}/"))
        copy.execute(
            "UPDATE model_versions SET storage_location = replace(storage_location, ?, ?)",
            (f"{store}/", f"{tmp_path}/"),
        )
        copy.commit()
    backup(f"sqlite:///{tmp_path}/m.db", tmp_path / "mlruns", tmp_path / "backups")
    code, lines = restore(tmp_path / "backups", f"sqlite:///{tmp_path}/new.db", tmp_path / "new")
    assert code == 1
    assert lines[-1] == "The store is restored, but the backup stays unproved: a champion does not predict as it did."
    assert "unproved" in listed(tmp_path / "backups")[0]
    assert (tmp_path / "new.db").exists()
