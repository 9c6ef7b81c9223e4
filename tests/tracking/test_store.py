"""Addresses of stores, connections to them, and which of their errors pass."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import requests
from mlflow.exceptions import MlflowException, RestException, get_error_code
from servers import https_server
from sqlalchemy.exc import OperationalError

from tinybench.core.errors import TrackingError
from tinybench.tracking import store as store_module
from tinybench.tracking.journal.journal import Journal
from tinybench.tracking.store import (
    UnreachableError,
    check_address,
    connect,
    default_uri,
    describe_error,
    display,
    empty_write_ahead_log,
    identity,
    is_permanent,
    pages,
    ping,
    require_exists,
    sqlite_path,
    use_write_ahead_log,
)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        yield listening.getsockname()[1]


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize(
    ("uri", "known_as"),
    [
        ("http://tracking:5000", "http://tracking:5000"),
        ("http://tracking:5000/", "http://tracking:5000"),
        ("https://user:pass@tracking/mlflow/", "https://tracking/mlflow"),
        ("https://token@tracking/mlflow/", "https://tracking/mlflow"),
        (
            "postgresql://user:p#s/w?rd@host/db?sslmode=require&password=x",
            "postgresql://user@host/db?sslmode=require&password=",
        ),
        ("postgresql://user:p@ss:word@host:5432/db", "postgresql://user@host:5432/db"),
        ("postgresql://host/db?host=/tmp/x", "postgresql://host/db?host=/tmp/x"),
        ("sqlite:////tmp/../tmp/a.db", "sqlite:////tmp/a.db"),
    ],
)
def test_a_store_is_known_without_its_password(uri: str, known_as: str) -> None:
    assert identity(uri) == known_as
    assert identity(known_as) == known_as


def test_a_sqlite_store_is_known_by_its_whole_path(tmp_path: Path) -> None:
    assert identity("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"
    assert sqlite_path("sqlite:///mlflow.db") == Path("mlflow.db")
    assert sqlite_path(f"sqlite:///{tmp_path}/a.db") == tmp_path / "a.db"
    assert sqlite_path("postgresql://host/db") is None


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://me:hunter2@db/mlflow",
        "postgresql://me:p#ss/hunter2?x@db:5432/mlflow",
        "postgresql://me:pa/hunter2@db/mlflow",
        "postgresql+psycopg://me:hunter2@/mlflow?host=/tmp",
        "postgresql://db/mlflow?user=me&password=hunter2",
        "postgresql://db/mlflow?sslpassword=hunter2&user=me",
        "mysql://me:a:hunter2@db/mlflow",
        "https://hunter2@tracking:5000",
        "https://me:hunter2@tracking:5000",
        "https://tracking:5000/?token=hunter2",
        "https://tracking:5000/mlflow?api_key=hunter2&x=1",
    ],
)
def test_no_password_gets_to_the_disk(uri: str) -> None:
    known_as = identity(uri)
    assert "hunter2" not in known_as
    assert identity(known_as) == known_as
    journal = Journal.create(known_as)
    journal.close()
    assert b"hunter2" not in (journal.folder / "about").read_bytes()


def test_a_password_is_not_shown() -> None:
    assert display("http://user:secret@tracking:5000") == "http://user:***@tracking:5000"


def test_the_default_store_is_that_of_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert default_uri() == "http://tracking:5000"


def test_a_new_sqlite_store_is_created_and_logs_ahead(tmp_path: Path) -> None:
    client = connect(f"sqlite:///{tmp_path}/new.db")
    assert [experiment.name for experiment in client.search_experiments()] == ["Default"]
    with closing(sqlite3.connect(tmp_path / "new.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_everything_written_gets_into_the_main_file(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (x)")
    use_write_ahead_log(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as database:
        database.execute("INSERT INTO t VALUES (1)")
        database.commit()
        assert (tmp_path / "a.db-wal").stat().st_size > 0
        empty_write_ahead_log(f"sqlite:///{path}")
        assert (tmp_path / "a.db-wal").stat().st_size == 0
    (tmp_path / "copy.db").write_bytes(path.read_bytes())
    with closing(sqlite3.connect(tmp_path / "copy.db")) as database:
        assert database.execute("SELECT x FROM t").fetchall() == [(1,)]


def test_a_file_of_somebody_else_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (x)")
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    use_write_ahead_log(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "lustre", "9p"])
def test_on_a_network_file_system_there_is_no_write_ahead_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (x)")
    real = Path.read_text
    mounts = f"/dev/sda / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\nproc {tmp_path}/deeper proc rw 0 0\n"
    monkeypatch.setattr(Path, "read_text", lambda file, *given: mounts if str(file) == "/proc/mounts" else real(file))
    use_write_ahead_log(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_what_is_no_file_has_no_write_ahead_log(tmp_path: Path) -> None:
    for uri in (f"sqlite:///{tmp_path}/none.db", "http://tracking:5000"):
        use_write_ahead_log(uri)
        empty_write_ahead_log(uri)
    assert [*tmp_path.iterdir()] == []


def test_a_server_that_is_not_there_may_come_later() -> None:
    with pytest.raises(UnreachableError, match=r"it does not answer\. Check the address and that its server runs"):
        connect(f"http://user:secret@127.0.0.1:{closed_port()}")


def test_a_port_that_swallows_packets_costs_no_minutes(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_PING_TIMEOUT_SECONDS", 0.3)
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="it gives no answer in time"):
        connect(f"http://127.0.0.1:{silent_port}")
    assert time.monotonic() - began < 2


def test_a_database_server_that_is_not_there_may_come_later() -> None:
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="Connection refused") as raised:
        connect(f"postgresql://user:secret@127.0.0.1:{closed_port()}/db")
    assert time.monotonic() - began < 5, "MLflow alone would try for 102 seconds"
    assert "secret" not in str(raised.value)


def test_a_database_port_that_swallows_packets_costs_no_minutes(
    silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_PING_TIMEOUT_SECONDS", 1)
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="timeout"):
        connect(f"postgresql://127.0.0.1:{silent_port}/db")
    assert time.monotonic() - began < 5


def test_a_database_without_its_driver_is_told_at_once() -> None:
    began = time.monotonic()
    with pytest.raises(
        TrackingError, match=r"No module named 'psycopg2'. Install the driver of this database"
    ) as raised:
        connect("postgresql+psycopg2://user:secret@127.0.0.1:1/db")
    assert not isinstance(raised.value, UnreachableError)
    assert "secret" not in str(raised.value)
    assert time.monotonic() - began < 5


def test_an_address_that_can_be_no_store() -> None:
    with pytest.raises(TrackingError) as raised:
        connect("nonsense://x")
    assert not isinstance(raised.value, UnreachableError)


@pytest.mark.parametrize("uri", ["sqlite:///", "sqlite://", "sqlite:///:memory:", "sqlite:///file::memory:"])
def test_a_database_in_memory_is_no_store(uri: str) -> None:
    with pytest.raises(TrackingError, match=r"is a database in memory.*: give sqlite:///FILE"):
        check_address(uri)


@pytest.mark.parametrize("uri", ["foo", "", "htp://x", "file:///tmp/mlruns", "/tmp/mlflow.db", "mlflow.db", "c:/x"])
def test_what_is_no_address_of_a_store(uri: str) -> None:
    with pytest.raises(TrackingError, match="is no address of a tracking store: give http://HOST:PORT, sqlite:///FILE"):
        check_address(uri)


@pytest.mark.parametrize("uri", ["http://", "https:///path", "http://:5000"])
def test_an_address_that_names_no_server(uri: str) -> None:
    with pytest.raises(TrackingError, match="names no server: give http://HOST:PORT"):
        check_address(uri)


def test_a_file_that_cannot_be_created(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "mlflow.db", tmp_path / "file" / "deep" / "mlflow.db"):
        with pytest.raises(TrackingError, match=f"Cannot create {path}: {tmp_path}/file cannot be written"):
            check_address(f"sqlite:///{path}")
    with pytest.raises(TrackingError, match=r"is a folder: give sqlite:///FILE"):
        check_address(f"sqlite:///{tmp_path}")


@pytest.mark.parametrize(
    "uri",
    ["http://host", "HTTPS://me:x@host:1/a", "sqlite:///new/deep/a.db", "postgresql+psycopg://h/d", "databricks://x"],
)
def test_an_address_that_can_be_one_is_not_asked(uri: str, tmp_path: Path) -> None:
    check_address(uri)
    assert [*tmp_path.iterdir()] == []


def test_a_store_that_must_exist_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"There is no store sqlite:///none\.db: check the path"):
        require_exists("sqlite:///none.db")
    assert [*tmp_path.iterdir()] == []
    (tmp_path / "mlflow.db").touch()
    require_exists("sqlite:///mlflow.db")
    require_exists("http://127.0.0.1:9")


def test_a_ping_of_a_file_asks_nobody(tmp_path: Path) -> None:
    ping(f"sqlite:///{tmp_path}/none.db")
    assert [*tmp_path.iterdir()] == []


def test_pages_are_read_to_the_last() -> None:
    class Page(list[int]):
        token: str | None

    contents = {None: ([1, 2], "a"), "a": ([], "b"), "b": ([3], "")}

    def search(token: str | None) -> Page:
        page = Page(contents[token][0])
        page.token = contents[token][1]
        return page

    assert [*pages(search)] == [1, 2, 3]


def http_error(status: int, text: str = "") -> requests.HTTPError:
    response = requests.Response()
    response.status_code, response._content = status, text.encode()
    return requests.HTTPError(f"{status}", response=response)


def proxy_error(status: int) -> MlflowException:
    """What MLflow raises for an answer that no MLflow server gave."""
    text = f"API request to endpoint /api/2.0/mlflow/runs/get failed with error code {status} != 200."
    return MlflowException(text, error_code=get_error_code(status))


def bad_request(message: str) -> RestException:
    """What MLflow's server answers for an error of its database that is not one of the connection."""
    return RestException({"error_code": "BAD_REQUEST", "message": message})


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MlflowException("x", error_code=1000), True),  # INVALID_PARAMETER_VALUE
        (RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no run"}), True),
        (RestException({"error_code": "RESOURCE_ALREADY_EXISTS", "message": "there"}), True),
        (RestException({"error_code": "INVALID_STATE", "message": "deleted"}), True),
        (RestException({"error_code": "BAD_REQUEST", "message": "bad"}), True),
        (
            bad_request("(psycopg2.errors.StringDataRightTruncation) value too long for type character varying(250)"),
            True,
        ),
        (bad_request("(psycopg2.errors.UniqueViolation) duplicate key value violates unique constraint"), True),
        (bad_request("(sqlite3.IntegrityError) NOT NULL constraint failed: metrics.key"), True),
        (bad_request("(psycopg2.DatabaseError) error with status PGRES_TUPLES_OK and no message"), False),
        (bad_request("(psycopg2.InterfaceError) connection already closed"), False),
        (bad_request("(psycopg2.errors.InFailedSqlTransaction) current transaction is aborted"), False),
        (bad_request("QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00"), False),
        (bad_request("Can't reconnect until invalid transaction is rolled back."), False),
        (bad_request("This result object does not return rows. It has been closed automatically."), False),
        (RestException({"error_code": "INTERNAL_ERROR", "message": "database"}), False),
        (RestException({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "busy"}), False),
        (RestException({"error_code": "PERMISSION_DENIED", "message": "log in"}), False),
        (FileNotFoundError("the journal lost the file"), True),
        (FileExistsError("a folder is there"), True),
        (NotADirectoryError("a file is there"), True),
        (OSError(36, "File name too long"), True),
        (ModuleNotFoundError("No module named 'boto3'"), True),
        (OverflowError("int too large"), True),
        (UnicodeEncodeError("utf-8", "\udce9", 0, 1, "surrogates not allowed"), True),
        (OSError(28, "No space left on device"), False),
        (requests.ConnectionError("refused"), False),
        (http_error(400), False),
        (http_error(400, '{"error_code": "INVALID_PARAMETER_VALUE"}'), True),
        (http_error(413), True),
        (http_error(401), False),
        (http_error(404), False),
        (http_error(429), False),
        (http_error(502), False),
        (proxy_error(502), False),
        (proxy_error(429), False),
        (proxy_error(400), False),
        (proxy_error(413), True),
        (OperationalError("SELECT 1", {}, Exception("server closed the connection")), False),
        (ValueError("Expecting value"), False),
    ],
)
def test_only_what_a_store_refuses_for_ever_is_permanent(error: Exception, expected: bool) -> None:
    assert is_permanent(error) is expected


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (requests.ReadTimeout("x"), "it gives no answer in time."),
        (MlflowException("Timeout: Read timed out"), "it gives no answer in time."),
        (requests.ConnectionError("x"), "it does not answer."),
        (MlflowException("Max retries exceeded with url: /x"), "it does not answer."),
        (MlflowException("Max retries exceeded with url: /x (Caused by ResponseError('too many 500 error responses'))"),
         "it answers with status 500; the log of the server says why."),
        (MlflowException("API request to endpoint /x failed with error code 403 != 200. Response body: 'no'"),
         "it does not allow this login to do that: ask its administrator for another role."),
        (MlflowException("API request to endpoint /x failed with error code 401 != 200. Response body: 'no'"),
         "it does not accept the login: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."),
        (requests.HTTPError("403 Client Error: FORBIDDEN for url: https://h/x"),
         "it does not allow this login to do that: ask its administrator for another role."),
        (MlflowException("Max retries exceeded (Caused by SSLError(SSLCertVerificationError(1, '[SSL: "
                         "CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer')))"),
         "its certificate is not trusted here: set MLFLOW_TRACKING_SERVER_CERT_PATH to the file of the authority that "
         "has signed it."),
        (requests.exceptions.SSLError("certificate verify failed: IP address mismatch, certificate is not valid for 1"),
         "its certificate is for another name: use the address that the certificate names."),
        (http_error(507), "the disk of its artifacts is full."),
        (MlflowException("\n\nfirst line\nsecond line"), "first line."),
        (MlflowException("advice\n(sqlite3.OperationalError) disk I/O error\nmore"),
         "(sqlite3.OperationalError) disk I/O error."),
        (MlflowException("advice\n(sqlite3.OperationalError) database is locked\nmore"),
         "another process has locked the database, perhaps a database browser with changes that are not written."),
        (MlflowException("no http://user:secret@host"), "no http://user:***@host."),
        (ValueError(""), "ValueError."),
    ],
)  # fmt: skip
def test_an_error_is_told_in_one_line(error: Exception, text: str) -> None:
    assert describe_error(error) == text


def test_mlflow_fails_within_seconds_unless_the_user_chose_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    store_module.prepare_client()
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"


@pytest.mark.parametrize("before", [None, "5"])
def test_a_creating_request_is_sent_once(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", raising=False)
    if before:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", before)
    with suppress(ValueError), store_module.without_retries():
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
        raise ValueError("half a body")
    assert os.environ.get("MLFLOW_HTTP_REQUEST_MAX_RETRIES") == before


def test_a_server_whose_certificate_is_unknown_answers(tmp_path: Path) -> None:
    """Whether its certificate is trusted is for MLflow to say, which has settings for that."""
    with https_server(tmp_path) as address:
        with pytest.raises(requests.exceptions.SSLError):
            requests.get(address, timeout=5)
        ping(address)
    with pytest.raises(requests.exceptions.ConnectionError):
        ping(address)
