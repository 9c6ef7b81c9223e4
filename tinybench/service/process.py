"""Run MLflow's server in a process of its own until it is told to end."""

from __future__ import annotations

import configparser
import json
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import requests

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.service.metrics_page import TOKEN_VARIABLE
from tinybench.service.settings import DEFAULT_ADMIN, ServerSettings
from tinybench.tracking import store
from tinybench.web import log_format

_START_SECONDS = 120
_APPLICATION = "tinybench"  # the entry point of `access.create_app`
_PROTOCOL = "tinybench.service.request_protocol:RequestProtocol"
_COUNTER_FILE = re.compile(r"(counter|summary|histogram|gauge_[a-z]+)_\d+\.db")
_IGNORED_WARNING = "ignore:starlette.middleware.wsgi is deprecated"  # of MLflow, at each start
_UNSAFE_VARIABLES = (  # of MLflow, which `settings.check` does not know of
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE",
    "MLFLOW_SERVER_ENABLE_CUSTOM_SCORERS",
    "MLFLOW_ENABLE_WORKSPACES",
)
_UMASK = 0o077  # with users: who may read is asked by the server, and its database has hashes of passwords
_SHUTDOWN_SECONDS = 30  # for requests under way: a client that never finishes must not keep the server
_TOUCH_SECONDS = 6 * 60 * 60
_POOL = 5  # connections to a database that a worker keeps
_THREADS = 40  # of a worker, each of which may need a connection
_CONNECTIONS = 60  # to the runs' database, of all workers: Postgres allows 100, and users and models need some
_AUTH_CACHE_SECONDS = 30  # MLflow takes 0.2 s to check a password: it is checked once in this time

DEFAULT_PERMISSION = "NO_PERMISSIONS"
"""What a user may do with a run or model for which no role says anything."""


def run(settings: ServerSettings, on_ready: Callable[[], None]) -> int:
    """Run the server until it ends; SIGTERM and SIGINT end it after the requests under way.

    Args:
        settings: The settings, checked by `settings.check` and `start_checks.check`.
        on_ready: Called once the server answers.

    Returns:
        The exit code of the server; 0 if it was told to end.

    Raises:
        ConfigError: A package of the extra `server` is missing.
        TrackingError: The server ends or does not answer within two minutes.
    """
    _require_extra(settings)
    if settings.auth and _APPLICATION not in entry_points(group="mlflow.app").names:
        raise TrackingError(
            "This installation of tinybench is older than its code: install it again (pip install -e .)."
        )
    with TemporaryDirectory(prefix="tinybench-server-") as folder:
        environment = build_environment(settings, Path(folder))
        if settings.metrics_folder is not None:
            _remove_old_counters(settings.metrics_folder)
        umask = _UMASK if settings.auth else -1
        if settings.auth:
            _hide_users(settings.backend_store_uri)
        with _running(build_command(settings, Path(folder)), environment, umask) as server:
            try:
                _wait_until_ready(settings, server.process)
            except TrackingError:
                if server.is_ending:
                    return 0
                raise
            store.use_write_ahead_log(settings.backend_store_uri)
            on_ready()
            code = _wait_until_end(server.process, Path(folder))
            if server.is_ending:
                return 0
            if code == 0:  # MLflow does not pass on how uvicorn ended
                raise TrackingError("MLflow's server has ended by itself: see its messages above, or the system's log.")
            return code


def build_command(settings: ServerSettings, folder: Path) -> list[str]:
    """Return the command of MLflow's server; what is secret is in its environment instead.

    Args:
        settings: The settings.
        folder: A folder for the configuration of the log.
    """
    log_config = folder / "log.json"
    log_config.write_text(json.dumps(log_format.build_config(settings.log_format)), "utf-8")
    command = [sys.executable, "-m", "tinybench.service.launcher", str(log_config), "server"]
    command += ["--host", settings.host, "--port", str(settings.port), "--workers", str(settings.workers)]
    inherited = shlex.split(os.environ.get("MLFLOW_UVICORN_OPTS", ""))
    uvicorn = [*inherited, "--log-config", str(log_config), "--no-access-log", "--http", _PROTOCOL]
    uvicorn += ["--timeout-graceful-shutdown", str(_SHUTDOWN_SECONDS)]
    command += ["--uvicorn-opts", shlex.join(uvicorn)]
    if settings.auth:
        command += ["--app-name", _APPLICATION]
    if settings.allowed_hosts:
        command += ["--allowed-hosts", ",".join(settings.allowed_hosts)]
    if settings.metrics_folder is not None:
        command += ["--expose-prometheus", str(settings.metrics_folder)]
    return command


def build_environment(settings: ServerSettings, folder: Path) -> dict[str, str]:
    """Return the environment of MLflow's server.

    Args:
        settings: The settings.
        folder: A folder that only this user can read, for the configuration of the users' database.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TINYBENCH_") and name not in _UNSAFE_VARIABLES
    }
    environment = inherited | {
        "MLFLOW_BACKEND_STORE_URI": settings.backend_store_uri,
        "MLFLOW_REGISTRY_STORE_URI": settings.backend_store_uri,
        "MLFLOW_ARTIFACTS_DESTINATION": settings.artifacts_destination,
        "MLFLOW_SERVE_ARTIFACTS": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # seven processes that can run code
        "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
        "MLFLOW_SERVER_ENABLE_GRAPHQL_AUTH": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_CONFIGURE_LOGGING": "false",  # the log of this service has one format
        "PYTHONWARNINGS": ",".join(filter(None, (os.environ.get("PYTHONWARNINGS"), _IGNORED_WARNING))),
    }
    if settings.allowed_hosts:
        environment.setdefault("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", ",".join(_list_origins(settings)))
    if not settings.is_sqlite:
        # MLflow's 15 connections of a worker are too few for clients that all came to one worker: status 400
        environment.setdefault("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", str(_POOL))
        overflow = max(10, min(_THREADS, _CONNECTIONS // settings.workers) - _POOL)
        environment.setdefault("MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW", str(overflow))
    if settings.metrics_token is not None:
        environment[TOKEN_VARIABLE] = settings.metrics_token
    if not settings.auth:
        return environment
    config = configparser.ConfigParser(interpolation=None)
    config["mlflow"] = {
        "default_permission": DEFAULT_PERMISSION,
        "database_uri": users_database(settings.backend_store_uri),
        "admin_username": settings.admin_username or DEFAULT_ADMIN,
        "grant_default_workspace_access": "false",
        "auth_cache_ttl_seconds": str(_AUTH_CACHE_SECONDS),
    }
    path = folder / "auth.ini"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        config.write(file)
    return environment | {
        "MLFLOW_AUTH_CONFIG_PATH": str(path),
        "MLFLOW_AUTH_ADMIN_PASSWORD": str(settings.admin_password),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": settings.secret_key or secrets.token_hex(32),
    }


def _require_extra(settings: ServerSettings) -> None:
    """Raise if a package of the extra `server` is missing, which MLflow would tell by a traceback."""
    needed = {"flask_wtf": settings.auth, "prometheus_flask_exporter": settings.metrics_folder is not None}
    missing = [name for name, is_needed in needed.items() if is_needed and find_spec(name) is None]
    if missing:
        raise ConfigError(f"The package {missing[0]} is missing: install it by pip install 'tinybench[server]'.")


def _list_origins(settings: ServerSettings) -> list[str]:
    """Return the origins of the server's own page, which MLflow refuses under other names than localhost."""
    hosts = [host for host in settings.allowed_hosts if "*" not in host]
    return [
        origin for host in hosts for origin in (f"https://{host}", f"http://{host}", f"http://{host}:{settings.port}")
    ]


def users_database(backend_store_uri: str) -> str:
    """Return the database of users: that of the runs; beside a SQLite file, a file of its own."""
    path = store.sqlite_path(backend_store_uri)
    return backend_store_uri if path is None else f"sqlite:///{path.with_name(f'{path.stem}-users.db')}"


def _hide_users(backend_store_uri: str) -> None:
    """Let nobody else read a SQLite file of users that an earlier version made: it has the hashes of passwords."""
    path = store.sqlite_path(users_database(backend_store_uri))
    if path is not None and path.is_file():
        path.chmod(0o600)


def _remove_old_counters(folder: Path) -> None:
    """Remove the counters of processes of an earlier server: they would be added to those of this one for ever."""
    for file in folder.glob("*.db"):
        if _COUNTER_FILE.fullmatch(file.name):
            file.unlink(missing_ok=True)


def _wait_until_end(process: subprocess.Popen[bytes], folder: Path) -> int:
    """Return the exit code of a process; meanwhile keep the files that its new workers read.

    Systems remove files of the temporary folder that nobody has touched for some days.
    """
    while True:
        try:
            return process.wait(_TOUCH_SECONDS)
        except subprocess.TimeoutExpired:
            for path in (folder, *folder.iterdir()):
                os.utime(path)


def _wait_until_ready(settings: ServerSettings, process: subprocess.Popen[bytes]) -> None:
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    address = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}/health"
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise TrackingError("MLflow's server did not start: see its messages above.")
        try:
            if requests.get(address, timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise TrackingError(f"MLflow's server did not answer on {address} within {_START_SECONDS} seconds.")


class _Server:
    """The process of MLflow's server, in a session of its own: a Ctrl-C at the terminal reaches it once, through us."""

    def __init__(self, command: list[str], environment: dict[str, str], umask: int) -> None:
        self.is_ending = False
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, start_new_session=True, umask=umask
        )

    def end(self, number: int, frame: FrameType | None) -> None:
        """Have the server answer the requests under way and end; a handler of signals."""
        self.is_ending = True
        self.process.terminate()


@contextmanager
def _running(command: list[str], environment: dict[str, str], umask: int) -> Iterator[_Server]:
    """Start the server and pass SIGTERM and SIGINT on to it; leave no process behind."""
    server = _Server(command, environment, umask)
    before = {number: signal.signal(number, server.end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield server
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        with suppress(ProcessLookupError):  # also the workers of a server that has died
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
