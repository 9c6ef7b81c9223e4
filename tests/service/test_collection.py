"""What `tinybench server gc` removes, and what it keeps although it was deleted."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import stores
from click.testing import CliRunner
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from planted_store import DAY, OLD, Planted, Uploads, plant
from processes import python

from tinybench.cli.server_commands import server
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.service.collection.collect import Collection, collect
from tinybench.service.collection.contents import open_database, read_contents
from tinybench.service.collection.needed import list_needed
from tinybench.tracking.journal.entry_file import EntryFile
from tinybench.tracking.journal.journal import Journal, journals_folder

KILLED = """
import os, shutil, sys
from sqlalchemy import event
from sqlalchemy.engine import Engine
from tinybench.service.collection.collect import collect

uri, destination, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
steps = 0

def die(*_, **__):
    global steps
    steps += 1
    if steps == last:
        os.kill(os.getpid(), 9)

event.listen(Engine, "commit", die)
for name in ("unlink", "rmdir"):
    def counted(*arguments, _call=getattr(os, name), **options):
        die()
        return _call(*arguments, **options)
    setattr(os, name, counted)
collect(uri, destination, older_than=30 * 86400.0)
print(steps)
"""


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    folder = tmp_path / "artifacts"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    made = plant(stores.fresh(tmp_path_factory), Uploads(tmp_path_factory.mktemp("planted")))
    made.close()
    return made


@pytest.fixture
def planted(template: Planted, destination: Path, tmp_path: Path) -> Iterator[Planted]:
    shutil.copytree(template.uploads.folder, destination, dirs_exist_ok=True)  # with the times of the files
    shutil.copy(template.uri.removeprefix("sqlite:///"), tmp_path / "mlflow.db")
    copied = dataclasses.replace(template, uri=f"sqlite:///{tmp_path}/mlflow.db", uploads=Uploads(destination))
    yield copied
    copied.close()


def collected(planted: Planted, destination: Path, **words: object) -> Collection:
    return collect(planted.uri, str(destination), **{"older_than": 30 * DAY} | words)


def tree(folder: Path) -> dict[str, str]:
    """The hash of every file below a folder, and where every link leads."""
    return {
        str(path.relative_to(folder)): str(path.readlink())
        if path.is_symlink()
        else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def assert_is_clean(planted: Planted, exists: Callable[[str], bool]) -> None:
    """Check that what must go is gone and what must survive is there."""
    assert [name for folder, name in planted.removed.items() if exists(folder)] == []
    assert [name for folder, name in planted.kept.items() if not exists(folder)] == []
    rows = planted.everything()
    assert [id_ for id_ in planted.gone if len(id_) > 9 and id_ in rows] == []  # nothing refers to them either
    assert re.findall(r"experiments \((\d+), ", rows)
    assert not planted.gone & {*re.findall(r"^experiments \((\d+), ", rows, re.M)}
    for id_ in planted.reasons:
        assert f"'{id_}'" in rows or f"({id_}, " in rows or any(folder.endswith(id_) for folder in planted.kept)


def test_a_dry_run_lists_everything_and_changes_nothing(planted, destination):
    files, rows = tree(destination), planted.rows()
    plan = collected(planted, destination, dry_run=True).plan
    assert (tree(destination), planted.rows()) == (files, rows)
    sizes = [item.bytes for item in plan.removed]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 5000
    removed = {item.id for item in plan.removed if item.kind in ("run", "logged model", "experiment")}
    assert removed == planted.gone
    assert {item.folder for item in plan.removed if item.kind == "orphan"} == {
        folder for folder, name in planted.removed.items() if name == "orphan"
    }
    assert [item.id.rpartition("/")[2] for item in plan.removed if item.kind == "upload"] == [".artifact.uploading.old"]
    reasons = {item.id: item.reason for item in plan.kept}
    assert {
        id_: reasons.get(id_, "") for id_, part in planted.reasons.items() if part not in reasons.get(id_, "")
    } == {}
    assert reasons.keys() == planted.reasons.keys()


def test_what_is_needed_survives_and_the_rest_goes(planted, destination):
    result = collected(planted, destination)
    assert (result.removed.failures, result.removed.changed) == ({}, [])
    assert result.removed.bytes == result.plan.bytes > 6000
    assert_is_clean(planted, lambda folder: (destination / folder).exists())
    assert planted.store.get_run(next(iter(planted.reasons))).data.metrics == {"loss": 2.0}
    again = collected(planted, destination)
    assert again.plan.removed == []
    assert {item.id for item in again.plan.kept} == planted.reasons.keys()


@pytest.mark.parametrize("last", [1, 2, 5, 9, 14])
def test_a_second_gc_finishes_one_that_was_killed(planted, destination, last):
    _kill_and_finish(planted, destination, last)


@pytest.mark.slow
@pytest.mark.parametrize("last", [3, 4, 6, 7, 8, *range(10, 14), *range(15, 75, 2)])
def test_a_second_gc_finishes_one_that_was_killed_anywhere(planted, destination, last):
    _kill_and_finish(planted, destination, last)


def _kill_and_finish(planted: Planted, destination: Path, last: int) -> None:
    process = python(KILLED, planted.uri, str(destination), str(last))
    output, errors = process.communicate(timeout=120)
    assert process.returncode == -9 or (last > 20 and int(output) < last), errors
    assert [name for folder, name in planted.kept.items() if not (destination / folder).exists()] == []
    collected(planted, destination)
    assert_is_clean(planted, lambda folder: (destination / folder).exists())
    assert collected(planted, destination).plan.removed == []


def test_models_of_deleted_runs_go_if_asked_for(planted, destination):
    result = collected(planted, destination, with_models=True)
    names = {item.name for item in result.removed.items}
    assert {"its model is active", "model of a deleted run"} <= names
    assert "model of the champion" not in names
    assert planted.store.get_run(next(iter(planted.reasons)))


def test_a_run_that_was_restored_meanwhile_is_left(planted, destination):
    garbage = next(folder for folder, name in planted.removed.items() if name == "garbage")

    def restore(plan: object) -> None:
        planted.store.restore_run(garbage.rpartition("/")[2])

    result = collected(planted, destination, on_plan=restore)
    assert [item.name for item in result.removed.changed] == ["garbage"]
    assert (destination / garbage / "artifacts/predictions/test.npz").is_file()


def test_a_run_that_was_registered_meanwhile_is_left(planted, destination):
    garbage = next(folder for folder, name in planted.removed.items() if name == "garbage")

    def register(plan: object) -> None:
        planted.version("digits", f"runs:/{garbage.rpartition('/')[2]}/model")

    result = collected(planted, destination, on_plan=register)
    assert [item.name for item in result.removed.changed] == ["garbage"]
    assert (destination / garbage / "artifacts/predictions/test.npz").is_file()


def test_what_an_unsent_journal_writes_to_is_kept(planted, destination):
    run = next(id_ for id_ in planted.gone if len(id_) == 32)
    journal = Journal.create("http://tracking:5000", offline=True)  # however the server was addressed
    journal.append({"do": "adopt", "run": "local-" + "1" * 32, "id": run, "tags": {}})
    journal.close()
    kept = {item.id: item.reason for item in collected(planted, destination, dry_run=True).plan.kept}
    assert "an unsent journal of this machine" in kept[run]
    journal.mark_sent(1, {}, {})
    assert run not in {item.id for item in collected(planted, destination, dry_run=True).plan.kept}


def test_a_run_whose_id_the_journal_does_not_know_yet_is_found_by_its_key(planted, destination):
    run = next(id_ for id_ in planted.gone if len(id_) == 32)
    planted.sql(
        "INSERT INTO tags (run_uuid, key, value) VALUES (:r, 'tinybench.entry', :k)", r=run, k="local-" + "2" * 32
    )
    journal = Journal.create("http://tracking:5000", offline=True)
    journal.append({"do": "create", "run": "local-" + "2" * 32, "name": "x", "tags": {}})
    journal.close()
    kept = {item.id for item in collected(planted, destination, dry_run=True).plan.kept}
    assert run in kept


def test_a_damaged_journal_stops_it(planted, destination):
    journal = Journal.create("http://tracking:5000", offline=True)
    for do in ("create", "end"):
        journal.append({"do": do, "run": "local-" + "2" * 32, "name": "x", "tags": {}})
    journal.close()
    content = journal.entries_path.read_bytes()
    journal.entries_path.write_bytes(content.replace(b"create", b"cremate"))
    with pytest.raises(TrackingError, match="cannot be read"):
        collected(planted, destination)


def test_a_journal_of_another_version_stops_it(planted, destination):
    Journal.create("http://tracking:5000", offline=True).close()
    (path,) = journals_folder().glob("*/about")
    path.unlink()
    EntryFile(path).append({"version": 99, "id": "x", "uri": "y", "offline": True})
    with pytest.raises(TrackingError, match="was written by another version of tinybench"):
        collected(planted, destination)


def test_links_lead_nowhere(planted, destination, tmp_path):
    outside = tmp_path / "outside"
    (outside / uuid.uuid4().hex / "artifacts").mkdir(parents=True)
    secret = next(outside.iterdir()) / "artifacts" / "secret.txt"
    secret.write_text("secret")
    garbage = destination / next(folder for folder, name in planted.removed.items() if name == "garbage")
    (garbage / "artifacts" / "link").symlink_to(outside)
    (garbage / "artifacts" / "file").symlink_to(secret)
    (destination / "99").symlink_to(outside)  # as if it were an experiment
    moved = destination / next(folder for folder, name in planted.removed.items() if name == "garbage child")
    shutil.rmtree(moved)
    moved.symlink_to(secret.parent.parent)
    for path in (*outside.rglob("*"), *destination.rglob("*")):
        if path.is_symlink() or path.is_file():
            os.utime(path, (time.time() - OLD,) * 2, follow_symlinks=False)
    assert collected(planted, destination).removed.failures == {}
    assert secret.read_text() == "secret"
    assert not garbage.exists()
    assert not moved.is_symlink()
    assert (destination / "99").is_symlink()  # it is no experiment of the database


def test_a_location_that_leads_out_of_the_destination_is_not_touched(planted, destination, tmp_path):
    victim = tmp_path / "victim" / "artifacts"
    victim.mkdir(parents=True)
    (victim / "file").write_text("here")
    run = planted.run(planted.experiment("hostile"), "hostile", deleted=OLD)
    for uri in ("mlflow-artifacts:/../victim/artifacts", f"mlflow-artifacts:/1/../../victim/{run}/artifacts"):
        planted.sql("UPDATE runs SET artifact_uri = :u WHERE run_uuid = :r", u=uri, r=run)
        kept = {item.id: item.reason for item in collected(planted, destination, dry_run=True).plan.kept}
        assert "not in the destination" in kept[run]


def test_a_destination_of_another_server_is_refused(planted, tmp_path):
    other = tmp_path / "other"
    for _ in range(3):
        Uploads(other).write(f"1/{uuid.uuid4().hex}/artifacts/a", b"x", OLD)
    before = tree(other)
    with pytest.raises(ConfigError, match=r"3 of the 3 folders .* belong to nothing in the database"):
        collected(planted, other)
    assert tree(other) == before
    collected(planted, other, accept_orphans=True)
    assert [path for path in tree(other) if path.endswith("/a")] == []


def test_a_destination_that_was_cleaned_for_another_database_is_refused(planted, destination, tmp_path):
    collected(planted, destination)
    other = SqlAlchemyStore(f"sqlite:///{tmp_path}/other.db", "mlflow-artifacts:/")
    with pytest.raises(ConfigError, match="was cleaned for another database"):
        collect(f"sqlite:///{tmp_path}/other.db", str(destination), older_than=0)
    other.engine.dispose()


@pytest.mark.parametrize(
    ("uri", "folder", "message"),
    [
        ("sqlite:///nothing.db", ".", "there is no file 'nothing.db'"),
        ("sqlite:///empty.db", ".", "has no table of runs"),
        (None, "nothing", "'.*nothing', which does not exist|'nothing', which does not exist"),
        (None, "ftp://host/folder", r"expected a folder or s3://"),
        ("postgresql://me:geheim@127.0.0.1:9/x", ".", r"Cannot use postgresql://me:\*\*\*@127.0.0.1:9/x"),
    ],
)
def test_a_wrong_address_is_told_and_creates_nothing(uri, folder, message, tmp_path, tmp_path_factory):
    (tmp_path / "empty.db").touch()
    with pytest.raises((ConfigError, TrackingError), match=message) as caught:
        collect(uri or stores.fresh(tmp_path_factory), folder, older_than=0)
    assert "geheim" not in str(caught.value)
    assert not (tmp_path / "nothing.db").exists()
    assert not (tmp_path / "nothing").exists()


def test_a_registry_in_another_database_is_refused(planted, destination, monkeypatch):
    monkeypatch.setenv("MLFLOW_REGISTRY_STORE_URI", "sqlite:///registry.db")
    with pytest.raises(ConfigError, match="registered models are in another database"):
        collected(planted, destination)


def test_one_that_fails_does_not_stop_the_others(planted, destination, monkeypatch):
    real = shutil.rmtree

    def failing(path, *arguments, **options):
        if path == failing.name:
            raise PermissionError(13, "Permission denied", path)
        return real(path, *arguments, **options)

    failing.name = next(f for f, name in planted.removed.items() if name == "garbage").rpartition("/")[2]
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", failing)
        result = collected(planted, destination)
    assert list(result.removed.failures) == [f"run {failing.name}"]
    collected(planted, destination)  # its folder is an orphan by now
    assert_is_clean(planted, lambda folder: (destination / folder).exists())


def test_the_command(planted, destination):
    words = ["--backend-store-uri", planted.uri, "--artifacts-destination", str(destination), "gc"]
    planted.sql("UPDATE runs SET name = :n WHERE name = 'garbage'", n="[red]evil\x1b[2J")
    listed = CliRunner().invoke(server, [*words, "--dry-run"])
    assert listed.exit_code == 0, listed.output
    assert "Nothing was removed" in listed.output
    assert "[red]evil?[2J" in listed.output
    assert "needed by version 1 of digits (champion)" in listed.output
    freed = CliRunner().invoke(server, words)
    assert re.search(r"Freed [\d.]+ kB: .*runs", freed.output)
    assert_is_clean(planted, lambda folder: (destination / folder).exists())
    assert "nothing to remove" in CliRunner().invoke(server, words).output
    wrong = CliRunner().invoke(server, [*words, "--older-than", "a week"])
    assert "expected a time such as 30d" in str(wrong.exception)


def test_the_database_password_is_read_from_its_file(tmp_path):
    (tmp_path / "secret").write_text("geheim\n")
    words = [
        "--backend-store-uri",
        "postgresql://me@127.0.0.1:9/x",
        "--database-password-file",
        str(tmp_path / "secret"),
    ]
    result = CliRunner().invoke(server, [*words, "--artifacts-destination", str(tmp_path), "gc"])
    assert "postgresql://me:***@127.0.0.1:9/x" in str(result.exception)


def test_needs_are_told_by_one_function(planted, destination):
    needed = list_needed(read_contents(open_database(planted.uri, str(destination))))
    for id_, part in planted.reasons.items():
        if "version" in part or "images" in part:
            assert part in needed[id_]
