"""What MLflow's server could not use is refused before it starts, in a line."""

from __future__ import annotations

import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from servers import in_a_thread

from tinybench.core.errors import TinybenchError
from tinybench.service import start_checks
from tinybench.service.settings import ServerSettings


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def new(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a database that is not there yet."""
    return f"sqlite:///{tmp_path_factory.mktemp('database')}/mlflow.db"


def _refuse(uri: str, destination: str = "mlartifacts", **settings) -> str:
    """Return the one line with which a server is refused."""
    with pytest.raises(TinybenchError) as caught:
        start_checks.check(ServerSettings(uri, destination, port=_free_port(), **settings))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_that_cannot_be_written_to_is_told_at_once(monkeypatch: pytest.MonkeyPatch):
    message = _refuse("sqlite:////proc/mlflow.db")
    assert message.startswith("Invalid value for `--backend-store-uri`: cannot write to the folder /proc: ")
    monkeypatch.chdir("/proc")
    assert _refuse("sqlite:///mlflow.db") == message


def test_a_folder_is_no_database(tmp_path: Path):
    assert "expected sqlite:///FILE, got the folder" in _refuse(f"sqlite:///{tmp_path}")


def test_a_new_and_an_old_database_are_taken(tmp_path: Path):
    start_checks.check_database(f"sqlite:///{tmp_path}/new.db")
    assert list(tmp_path.iterdir()) == []
    with closing(sqlite3.connect(tmp_path / "old.db")) as database:
        database.execute("CREATE TABLE runs (id TEXT)")
        database.execute("BEGIN EXCLUSIVE")  # as another server may hold it
        start_checks.check_database(f"sqlite:///{tmp_path}/old.db")


def test_a_file_of_something_else_is_no_database(tmp_path: Path):
    (tmp_path / "junk.db").write_text("this is a text, and long enough to be none of SQLite's files\n" * 20)
    assert _refuse(f"sqlite:///{tmp_path}/junk.db").endswith("junk.db is no SQLite database. Give another file.")
    (tmp_path / "empty.db").touch()  # SQLite takes it as a new one
    start_checks.check_database(f"sqlite:///{tmp_path}/empty.db")


def test_a_folder_of_counters_that_cannot_be_made_is_told(new: str, tmp_path: Path):
    message = _refuse(new, str(tmp_path), metrics_folder=Path("/proc/x"))
    assert message.startswith("Invalid value for `--metrics-folder`: cannot make the folder /proc/x: ")


@pytest.mark.parametrize("destination", ["/proc/x/y", "file:///proc/x/y"])
def test_artifacts_that_cannot_be_written_are_told(new: str, destination: str):
    message = _refuse(new, destination)
    assert message.startswith("Invalid value for `--artifacts-destination`: cannot make the folder /proc/x/y: ")
    assert "cannot write to the folder /proc:" in _refuse(new, "/proc")


def test_a_file_is_no_folder_of_artifacts(new: str, tmp_path: Path):
    (tmp_path / "file").touch()
    assert "cannot make the folder" in _refuse(new, str(tmp_path / "file/artifacts"))
    assert "cannot write to the folder" in _refuse(new, str(tmp_path / "file"))


def test_a_trial_leaves_nothing(new: str, tmp_path: Path):
    settings = ServerSettings(new, str(tmp_path / "a/b"), port=_free_port(), metrics_folder=tmp_path / "c/d")
    assert start_checks.check(settings) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("uri", "package"),
    [
        ("mysql://u@db/x", "mysqlclient"),
        ("mysql+pymysql://u@db/x", "pymysql"),
        ("postgresql+pg8000://u@db/x", "pg8000"),
    ],
)
def test_a_driver_that_is_missing_is_named(uri: str, package: str, monkeypatch: pytest.MonkeyPatch):
    for module in ("MySQLdb", "pymysql", "pg8000"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Nothing(), *sys.meta_path])
    assert f"needs a package that is missing: install it by pip install {package}." in _refuse(uri)


class _Nothing:
    """Finds no driver of a database, whatever is installed."""

    def find_spec(self, name: str, *_: object) -> None:
        if name in ("MySQLdb", "pymysql", "pg8000"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """An S3 store that answers with statuses by bucket."""
    statuses: dict[str, int] = {}

    async def answer(scope, receive, send):
        if scope["type"] == "http":
            status = statuses[scope["path"].strip("/")]
            await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "planted-key")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with in_a_thread(answer, lifespan="off") as (host, port):
        monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://{host}:{port}")
        yield statuses


def test_a_bucket_is_asked_for(new: str, s3: dict[str, int]):
    s3 |= {"there": 200, "missing": 404, "forbidden": 403, "broken": 500}
    assert start_checks.check_artifacts("s3://there/path") == []
    assert "`--artifacts-destination`: there is no bucket missing." in _refuse(new, "s3://missing/path")
    for name, status in (("forbidden", 403), ("broken", 500)):
        (notice,) = start_checks.check_artifacts(f"s3://{name}/path")
        assert f"S3 answers {status}" in notice
    assert "expected s3://BUCKET/PATH, got s3:///path." in _refuse(new, "s3:///path")


def test_s3_without_credentials_is_refused(new: str, s3: dict[str, int], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/no/such/file")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    assert "Unable to locate credentials" in _refuse(new, "s3://there/path")


def test_an_s3_store_that_does_not_answer_is_told(new: str, s3: dict[str, int], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:9")
    (notice,) = start_checks.check(ServerSettings(new, "s3://there/path", port=_free_port()))
    assert notice.startswith("Uploads fail until S3 answers: Could not connect to the endpoint URL")
