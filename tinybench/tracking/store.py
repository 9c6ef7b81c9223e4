"""Connect to a tracking store, and tell an error that passes from one that does not."""

from __future__ import annotations

import errno
import math
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import mlflow
import requests
import sqlalchemy
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from tinybench.core import waiting
from tinybench.core.errors import TrackingError
from tinybench.core.redaction import redact
from tinybench.tracking import locked_database, new_database

STORE_ERRORS = (
    MlflowException,
    SQLAlchemyError,
    requests.RequestException,
    OSError,
    ValueError,
    OverflowError,
    ImportError,
)
"""What a call of a store may raise; a half-sent answer of a server is a ValueError of the JSON parser."""

_PERMANENT_ERRORS = (
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "BAD_REQUEST",
    "INVALID_STATE",
)
_PASSING_DATABASE_ERRORS = re.compile(
    r"\.(?:InterfaceError|InternalError|DatabaseError|OperationalError|InFailedSqlTransaction|SerializationFailure"
    r"|DeadlockDetected|QueryCanceled|LockNotAvailable|AdminShutdown|CrashShutdown|CannotConnectNow"
    r"|TooManyConnections|IdleInTransactionSessionTimeout)\)"
    r"|QueuePool limit|transaction is rolled back|Connection is closed|closed automatically"
)
"""Of an error of a server's database that it reports as a bad request, although the same request will do later."""
_UNSTORABLE = (UnicodeEncodeError, OverflowError)  # a value that no store takes
_FILE_ERRORS = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError, ImportError)
"""Of an artifact: its place can never hold it, or cannot be reached for want of a package."""
_UNKNOWN_PLACE = "Could not find a registered artifact repository"  # of artifacts: a scheme that MLflow does not know
_PROXY_ERROR = "API request to endpoint"  # how MLflow reports an answer that no MLflow server gave
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_MANY_ERRORS = re.compile(r"too many (\d{3}) error responses")  # of urllib3, after MLflow's retries
_REFUSED = re.compile(r"(?:failed with error code |^)(401|403)\b(?: Client Error)?")
_REFUSALS = {
    "401": "it does not accept the login: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
    "403": "it does not allow this login to do that: ask its administrator for another role.",
}
_DISK_FULL = 507
_LOCKED = "database is locked"
_TOO_LARGE = (413, 414)  # HTTP statuses of what a proxy will not take however often it is sent
_PING_TIMEOUT_SECONDS = 5
_DATABASE_SERVERS = ("postgresql", "mysql")
_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks", "databricks-uc", "uc")
_EXPECTED = "give http://HOST:PORT, sqlite:///FILE or postgresql://USER@HOST/DATABASE."
_NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "9p", "fuse", "lustre", "gpfs", "ceph", "beegfs", "afs")


_DATABASE_PASSWORD = re.compile(r"^([\w+]+://[^:/@]*):.*@")
_SECRET_QUERY = re.compile(r"(?i)([?&][^=&]*(?:password|token|secret|key)=)[^&]*")


class UnreachableError(TrackingError):
    """A store that does not answer now, and may answer later.

    Attributes:
        reason: Why it does not answer, in one sentence.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def prepare_client() -> None:
    """Let MLflow's calls fail within seconds instead of minutes, and print nothing; call it before the first call."""
    os.environ.setdefault(_RETRIES, "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")


def default_uri() -> str:
    """Return the address of the store that MLflow uses unless it is told another."""
    return str(mlflow.get_tracking_uri())


def identity(uri: str) -> str:
    """Return the address by which a store is known here: without what is secret; of a file, its whole path."""
    path = sqlite_path(uri)
    if path is not None:
        return f"sqlite:///{path.resolve()}"
    uri = _SECRET_QUERY.sub(r"\1", uri)
    if not uri.startswith("http"):  # SQLAlchemy takes a password with any character but @
        return _DATABASE_PASSWORD.sub(r"\1@", uri).rstrip("/")
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]  # a login may be a token without a name
    return urlunsplit(parts._replace(netloc=host)).rstrip("/")


def display(uri: str) -> str:
    """Return an address for the terminal, without its password."""
    return redact(uri)


def connect(uri: str) -> MlflowClient:
    """Return a client of a store that answers.

    A SQLite file is switched to write-ahead logging, so that reading it does not wait for writing. One that does not
    exist is created.

    Raises:
        UnreachableError: The store does not answer now.
        TrackingError: There can be no store at the address.
    """
    check_address(uri)
    prepare_client()
    locked_database.watch(sqlite_path(uri))
    try:
        with waiting.tell_if_slow(f"waiting for {redact(uri)}"):
            ping(uri)
            create_database(uri)
            client = MlflowClient(uri)
            client.search_experiments(max_results=1)  # a database is opened by the first call
    except ImportError as error:
        raise TrackingError(f"Cannot use {redact(uri)}: {error}. Install the driver of this database.") from error
    except (MlflowException, SQLAlchemyError, requests.RequestException, OSError) as error:
        raise _classify(uri, error) from error
    use_write_ahead_log(uri)
    return client


def create_database(uri: str) -> None:
    """Create the file of a SQLite store, the complete one or none, unless it exists; nothing for another store."""
    path = sqlite_path(uri)
    if path is not None:
        new_database.create_database(path)


def check_address(uri: str) -> None:
    """Raise a TrackingError at once if there can be no store at an address: MLflow would try for minutes."""
    scheme = uri.partition(":")[0].partition("+")[0].lower()
    if scheme not in (*_SCHEMES, *(plugin.name for plugin in entry_points(group="mlflow.tracking_store"))):
        raise TrackingError(f"{redact(uri)!r} is no address of a tracking store: {_EXPECTED}")
    if scheme in ("http", "https") and not urlsplit(uri).hostname:
        raise TrackingError(f"{redact(uri)!r} names no server: {_EXPECTED}")
    if scheme == "sqlite":
        _check_file(uri)


def _check_file(uri: str) -> None:
    path = sqlite_path(uri)
    if path is None or path.name == "" or ":memory:" in uri:
        raise TrackingError(f"{uri!r} is a database in memory, which ends with its process: give sqlite:///FILE.")
    if path.is_dir():
        raise TrackingError(f"{uri!r} is a folder: give sqlite:///FILE.")
    if not path.exists():
        folder = next(folder for folder in path.absolute().parents if folder.exists())
        if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
            raise TrackingError(f"Cannot create {path}: {folder} cannot be written. Choose another file.")


def require_exists(uri: str) -> None:
    """Raise a TrackingError if a store is a SQLite file that is not there: opening it would create it."""
    check_address(uri)
    path = sqlite_path(uri)
    if path is not None and not path.is_file():
        raise TrackingError(f"There is no store {uri}: check the path.")


def ping(uri: str) -> None:
    """Raise soon if a server does not answer: MLflow's own calls would retry for longer, those of a database 102 s.

    Raises:
        RequestException: An MLflow server does not answer.
        SQLAlchemyError: A database server does not answer.
        ImportError: The driver of the database is not installed.
    """
    if uri.startswith("http"):
        with suppress(requests.exceptions.SSLError):  # the server answers; MLflow decides about its certificate
            requests.get(f"{uri.rstrip('/')}/health", timeout=_PING_TIMEOUT_SECONDS, stream=True).close()
    elif uri.startswith(_DATABASE_SERVERS):
        timeout = {"connect_timeout": math.ceil(_PING_TIMEOUT_SECONDS)}
        sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool, connect_args=timeout).connect().close()


@contextmanager
def without_retries() -> Iterator[None]:
    """Have MLflow send a request once: what it creates may be there although the answer was an error."""
    before = os.environ.get(_RETRIES)
    os.environ[_RETRIES] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_RETRIES]
        else:
            os.environ[_RETRIES] = before


def pages(search: Callable[[str | None], Any]) -> Iterator[Any]:
    """Yield the items of all pages of a search, which takes the token of a page."""
    token: str | None = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return


def is_permanent(error: BaseException) -> bool:
    """Return whether a store will refuse the same call for ever, and not only now."""
    if isinstance(error, MlflowException) and isinstance(error.__cause__, _UNSTORABLE):
        return True
    if _UNKNOWN_PLACE in str(error):
        return True
    if isinstance(error, (*_UNSTORABLE, *_FILE_ERRORS)) or getattr(error, "errno", None) == errno.ENAMETOOLONG:
        return True
    if isinstance(error, requests.HTTPError) and error.response is not None:  # of an artifact
        status, text = error.response.status_code, error.response.text
        return status in _TOO_LARGE or (status == 400 and '"error_code"' in text)
    if str(error).startswith(_PROXY_ERROR):
        return any(f"failed with error code {status} " in str(error) for status in _TOO_LARGE)
    if not isinstance(error, MlflowException) or error.error_code not in _PERMANENT_ERRORS:
        return False
    return error.error_code != "BAD_REQUEST" or _PASSING_DATABASE_ERRORS.search(str(error)) is None


def describe_error(error: BaseException) -> str:
    """Return the reason for which a call failed, in one line without passwords."""
    text = str(error)
    if isinstance(error, UnreachableError):
        return error.reason
    if isinstance(error, requests.exceptions.SSLError) or "SSLError" in text or "CERTIFICATE_VERIFY_FAILED" in text:
        return _describe_certificate_error(text)
    if (refused := _REFUSED.search(text)) is not None:
        return _REFUSALS[refused[1]]
    if (many := _MANY_ERRORS.search(text)) is not None:
        return f"it answers with status {many[1]}; the log of the server says why."
    if (
        isinstance(error, requests.HTTPError)
        and error.response is not None
        and error.response.status_code == _DISK_FULL
    ):
        return "the disk of its artifacts is full."
    if isinstance(error, requests.Timeout) or "timed out" in text:
        return "it gives no answer in time."
    if isinstance(error, requests.ConnectionError) or "Max retries exceeded" in text or "Connection aborted" in text:
        return "it does not answer."
    if _LOCKED in text:
        return "another process has locked the database, perhaps a database browser with changes that are not written."
    lines = [line for line in text.splitlines() if line.strip()] or [type(error).__name__]
    database_errors = [line for line in lines if "OperationalError" in line]  # SQLAlchemy adds general advice
    sentence = redact((database_errors or lines)[0])[:500].strip()
    return sentence if sentence.endswith((".", "?", "!", "…")) else f"{sentence}."


def way_out(uri: str, error: BaseException) -> str:
    """Return what to do about a store that does not answer."""
    if sqlite_path(uri) is None:
        return "Check the address and that its server runs."
    return "Close it, then try again." if _LOCKED in str(error) else "Check the address."


def is_refused(error: BaseException) -> bool:
    """Return whether a server refuses the login, or what it may do: the same call fails until that is changed."""
    return _REFUSED.search(str(error)) is not None


def _describe_certificate_error(text: str) -> str:
    if "mismatch" in text or "doesn't match" in text or "is not valid for" in text:
        return "its certificate is for another name: use the address that the certificate names."
    return (
        "its certificate is not trusted here: set MLFLOW_TRACKING_SERVER_CERT_PATH to the file of the authority that "
        "has signed it."
    )


def use_write_ahead_log(uri: str) -> None:
    """Switch a SQLite store on a disk of this machine to write-ahead logging, unless it belongs to somebody else."""
    path = sqlite_path(uri)
    if path is None or not path.is_file() or path.stat().st_uid != os.getuid() or _is_on_network(path):
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=5)) as database:
        database.execute("PRAGMA journal_mode=WAL")


def empty_write_ahead_log(uri: str) -> None:
    """Move everything that was written to a SQLite store into its main file, so that the file alone is the store."""
    path = sqlite_path(uri)
    if path is not None and path.is_file():
        with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=5)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a SQLite store; None for another store."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _is_on_network(path: Path) -> bool:
    """Return whether a file lies on a network file system, where SQLite's write-ahead log does not work."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    except OSError:
        return False
    resolved = str(path.resolve())
    holding = [(folder, kind) for folder, kind in mounts if resolved.startswith(folder.rstrip("/") + "/")]
    _, kind = max(holding, key=lambda mount: len(mount[0]), default=("", ""))
    return kind.startswith(_NETWORK_FILE_SYSTEMS)


def _classify(uri: str, error: Exception) -> TrackingError:
    reason = describe_error(error)
    if is_refused(error):
        return TrackingError(f"Cannot use {redact(uri)}: {reason}")
    message = f"Cannot use {redact(uri)}: {reason} {way_out(uri, error)}"
    return UnreachableError(message, reason) if uri.startswith(("http", *_DATABASE_SERVERS)) else TrackingError(message)
