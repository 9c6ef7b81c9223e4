"""The settings of the tracking server, and the refusal of those that are not safe."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from tinybench.core import text_file
from tinybench.core.errors import ConfigError
from tinybench.core.redaction import redact
from tinybench.service import passwords

DEFAULT_ADMIN = "admin"
MIN_TOKEN_LENGTH = 16
_HOST_PATTERN = re.compile(r"[A-Za-z0-9.*:\[\]_-]+")


@dataclass(frozen=True)
class ServerSettings:
    """The settings of a tracking server.

    Attributes:
        backend_store_uri: The database of runs, `sqlite:///FILE` or `postgresql://…`.
        artifacts_destination: Folder or `s3://…` address of the artifacts, which clients read and write through the
            server.
        host: Address to listen on.
        port: Port to listen on.
        workers: Number of processes.
        auth: Whether users must log in.
        admin_username: Name of the first administrator; None for `DEFAULT_ADMIN`, and unless `auth` is set.
        admin_password: Password of the first administrator; None unless `auth` is set.
        secret_key: Signs what the server gives browsers; the same for all workers. None unless `auth` is set.
        allowed_hosts: Names by which browsers and clients address the server; those of this machine if empty.
        metrics_folder: Folder for the counters of the Prometheus page `/metrics`; no such page if None.
        metrics_token: Token that reads this page besides an administrator's password; None if there is none.
        log_format: One of `tinybench.web.log_format.FORMATS`.
    """

    backend_store_uri: str = field(repr=False)  # it may hold a password
    artifacts_destination: str
    host: str = "127.0.0.1"
    port: int = 5000
    workers: int = 1
    auth: bool = False
    admin_username: str | None = None
    admin_password: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    allowed_hosts: tuple[str, ...] = ()
    metrics_folder: Path | None = None
    metrics_token: str | None = field(default=None, repr=False)
    log_format: str = "text"

    @property
    def is_public(self) -> bool:
        """Return whether other machines can reach the server."""
        return not is_loopback(self.host)

    @property
    def is_sqlite(self) -> bool:
        """Return whether the runs are in a SQLite file."""
        return self.backend_store_uri.startswith("sqlite:")


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def read_secret(option: str, file: Path | None, variable: str) -> str | None:
    """Return a secret from a file, such as one of Docker's, or from an environment variable; None if neither is given.

    Raises:
        ConfigError: The file cannot be read or is empty.
    """
    if file is None:
        return os.environ.get(variable) or None
    try:
        text = text_file.read(file).strip("\r\n")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ConfigError(f"Invalid value for `{option}`: cannot read {file}: {reason}.") from error
    if not text:
        raise ConfigError(f"Invalid value for `{option}`: {file} is empty. Write the secret into it.")
    return text


def with_database_password(settings: ServerSettings, password: str | None) -> ServerSettings:
    """Return settings whose database address has a password, which so stays out of the command line."""
    if password is None:
        return settings
    parts = urlsplit(settings.backend_store_uri)
    if not parts.username:
        raise ConfigError(
            "A password of a database is given (--database-password-file or TINYBENCH_DATABASE_PASSWORD), but "
            f"{redact(settings.backend_store_uri)} has no user to log in. Add --backend-store-uri "
            "postgresql://USER@HOST/DATABASE."
        )
    host = parts.netloc.rpartition("@")[2]
    netloc = f"{parts.username}:{quote(password, safe='')}@{host}"
    return replace(settings, backend_store_uri=urlunsplit(parts._replace(netloc=netloc)))


def check(settings: ServerSettings) -> list[str]:
    """Refuse settings that are not safe, and return what the person who starts the server should know.

    Raises:
        ConfigError: The settings admit strangers.
    """
    _check_store(settings)
    for host in settings.allowed_hosts:
        if not _HOST_PATTERN.fullmatch(host):
            raise ConfigError(f"Invalid value for `--allowed-hosts`: expected names such as mlflow.lab, got {host!r}.")
    if not settings.auth:
        _refuse_what_needs_auth(settings)
    if settings.is_public and not settings.auth:
        raise ConfigError(
            f"Invalid value for `--host`: {settings.host} is reached by other machines, and without a password all of "
            "them could read, change and delete every run. Add --auth, or leave out --host."
        )
    if settings.is_public and not settings.allowed_hosts:
        raise ConfigError(
            f"Invalid value for `--host`: {settings.host} needs --allowed-hosts, the names by which others address "
            "this server (for example --allowed-hosts mlflow.lab)."
        )
    _check_metrics(settings)
    notices = []
    if "*" in settings.allowed_hosts:
        notices.append("Any host name is accepted: a web page elsewhere may reach this server by DNS rebinding.")
    if settings.auth:
        _check_auth(settings)
    if settings.is_public:
        notices.append("Passwords travel unencrypted to this port: put a proxy with TLS in front (docs/server.md).")
    if settings.auth and settings.is_sqlite and settings.workers > 4:
        notices.append("SQLite takes one writer at a time: use Postgres for more than a few users.")
    return notices


def _check_store(settings: ServerSettings) -> None:
    scheme = settings.backend_store_uri.partition(":")[0].partition("+")[0]
    if scheme not in ("sqlite", "postgresql", "mysql"):
        raise ConfigError(
            "Invalid value for `--backend-store-uri`: expected sqlite:///FILE or postgresql://USER@HOST/DATABASE, "
            f"got {redact(settings.backend_store_uri)!r}."
        )
    if not settings.artifacts_destination.strip():
        raise ConfigError(
            "Invalid value for `--artifacts-destination`: it is empty, which is the folder in which the server starts. "
            "Name a folder or an s3:// address, or leave it out."
        )


def _refuse_what_needs_auth(settings: ServerSettings) -> None:
    """Raise if somebody who wants a server with a password would get one without."""
    given = {
        "--admin-username (MLFLOW_AUTH_ADMIN_USERNAME)": settings.admin_username,
        "--admin-password-file (MLFLOW_AUTH_ADMIN_PASSWORD)": settings.admin_password,
        "--secret-key-file (MLFLOW_FLASK_SERVER_SECRET_KEY)": settings.secret_key,
    }
    for option, value in given.items():
        if value is not None:
            raise ConfigError(
                f"{option} is given, but without --auth the server asks for no password. Add --auth, or leave it out."
            )


def _check_metrics(settings: ServerSettings) -> None:
    if settings.metrics_token is None:
        return
    if settings.metrics_folder is None:
        raise ConfigError("Invalid value for `--metrics-token-file`: there is no /metrics. Add --metrics-folder.")
    if not settings.auth:
        raise ConfigError(
            "Invalid value for `--metrics-token-file`: without --auth everybody on this machine reads /metrics. Add "
            "--auth, or leave out the token."
        )
    if len(settings.metrics_token) < MIN_TOKEN_LENGTH or not re.fullmatch(r"[!-~]+", settings.metrics_token):
        raise ConfigError(
            f"Invalid value for `--metrics-token-file`: expected at least {MIN_TOKEN_LENGTH} ASCII characters without "
            "spaces. Make one by: "
            'python -c "import secrets; print(secrets.token_urlsafe(24))" > metrics-token.txt'
        )


def _check_auth(settings: ServerSettings) -> None:
    password = settings.admin_password
    if password is None:
        raise ConfigError(
            "Missing password of the administrator: write it into a file and name that by --admin-password-file."
        )
    passwords.check("the administrator's password", password, settings.admin_username or DEFAULT_ADMIN)
    if settings.secret_key is not None and len(settings.secret_key) < 16:
        raise ConfigError("Invalid value for `--secret-key-file`: expected at least 16 characters.")
