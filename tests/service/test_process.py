"""A real server, started by the command, for one person and with passwords; how it ends."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
import requests
from mlflow.tracking import MlflowClient
from processes import ROOT

from tinybench.core.errors import ConfigError
from tinybench.service import process
from tinybench.service.process import build_environment, users_database
from tinybench.service.settings import ServerSettings

PASSWORD = "kR4-vq9Zt_wm2Xp"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(folder: Path, *arguments: str, **variables: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start `tinybench server` in a folder; yield its address once it says that it serves, and the process."""
    port = free_port()
    command = [sys.executable, "-m", "tinybench", "server", "--port", str(port), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    output = folder / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen(command, cwd=folder, env=environment, text=True, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 120
        while "(end with Ctrl-C)" not in output.read_text():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture(scope="module")
def one_person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, int]]:
    folder = tmp_path_factory.mktemp("one person")
    with running(folder) as (address, process):
        yield address, folder, process.pid


def test_it_answers_without_a_password_and_says_so(one_person):
    address, folder, _ = one_person
    assert requests.get(f"{address}/health", timeout=10).text == "OK"
    assert requests.get(f"{address}/version", timeout=10).text == "3.17.2"
    output = (folder / "output.txt").read_text()
    assert "Serving sqlite:///mlflow.db and mlartifacts to everybody on this machine, without a password." in output
    assert f"Open {address} " in output
    assert "cors-allowed-origins" not in output  # no option of this command


def test_runs_and_artifacts_are_kept_in_the_folder(one_person, tmp_path):
    address, folder, _ = one_person
    client = MlflowClient(address)
    run = client.create_run("0")
    client.log_metric(run.info.run_id, "loss", 0.5)
    client.log_text(run.info.run_id, "hello", "notes/a.txt")
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    (stored,) = (folder / "mlartifacts").rglob("a.txt")
    assert stored.read_text() == "hello"
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_no_process_executes_jobs(one_person):
    _, _, pid = one_person
    commands = [" ".join(child.cmdline()) for child in psutil.Process(pid).children(recursive=True)]
    assert commands
    assert not [command for command in commands if "huey" in command or "job_runner" in command]


def test_another_host_name_is_refused(one_person):
    """A web page elsewhere cannot reach the server by a name of its own that leads here."""
    address, _, _ = one_person
    answer = requests.get(
        f"{address}/api/2.0/mlflow/experiments/get?experiment_id=0", headers={"Host": "evil.example"}, timeout=10
    )
    assert answer.status_code == 403


def test_with_passwords_nobody_else_is_served_and_no_password_is_shown(tmp_path: Path):
    secret = tmp_path / "admin.txt"
    secret.write_text(f"{PASSWORD}\n")
    (tmp_path / "mlflow-users.db").touch(0o644)  # as an earlier version made it
    with running(tmp_path, "--auth", "--admin-password-file", str(secret), "--workers", "2") as (address, process):
        search = f"{address}/api/2.0/mlflow/experiments/search?max_results=1"
        assert requests.get(f"{address}/health", timeout=10).ok
        assert requests.get(search, timeout=10).status_code == 401
        assert requests.get(search, auth=("admin", "wrong-password"), timeout=10).status_code == 401
        assert requests.get(search, auth=("admin", PASSWORD), timeout=10).ok
        children = psutil.Process(process.pid).children(recursive=True)
        arguments = [" ".join(child.cmdline()) for child in [psutil.Process(process.pid), *children]]
        assert not [line for line in arguments if PASSWORD in line]
        upload = f"{address}/api/2.0/mlflow-artifacts/artifacts/a/b.txt"
        assert requests.put(upload, data=b"secret", auth=("admin", PASSWORD), timeout=10).ok
        written = [*tmp_path.glob("mlflow*.db*"), *(tmp_path / "mlartifacts").rglob("*"), tmp_path / "mlartifacts"]
        assert {"mlflow.db", "mlflow-users.db", "b.txt"} <= {path.name for path in written}
        assert [path for path in written if path.stat().st_mode & 0o077] == []  # others of this machine do not log in
    assert PASSWORD not in (tmp_path / "output.txt").read_text()
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_under_way_is_answered_before_the_end(tmp_path: Path, number: signal.Signals):
    with running(tmp_path) as (address, process):
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            path = "/api/2.0/mlflow-artifacts/artifacts/under/way.txt"
            connection.sendall(f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345".encode())
            time.sleep(0.5)
            process.send_signal(number)
            time.sleep(0.5)
            assert process.poll() is None
            connection.sendall(b"67890")
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert process.wait(30) == 0
    assert (tmp_path / "mlartifacts/under/way.txt").read_text() == "1234567890"


def test_a_server_that_is_killed_leaves_no_process_and_no_password(tmp_path: Path):
    (tmp_path / "admin.txt").write_text(PASSWORD)
    (tmp_path / "tmp").mkdir()
    words = ("--auth", "--admin-password-file", "admin.txt", "--workers", "2")
    with running(tmp_path, *words, TMPDIR=str(tmp_path / "tmp")) as (address, process):
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 4
        assert list((tmp_path / "tmp").rglob("auth.ini"))
        process.kill()
        _, alive = psutil.wait_procs(children, 30)
        assert alive == []
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{address}/health", timeout=10)
    assert list((tmp_path / "tmp").rglob("auth.ini")) == []
    assert "tinybench server was killed" in (tmp_path / "output.txt").read_text()


def test_a_server_that_is_killed_after_its_terminal_has_gone_leaves_no_process(tmp_path: Path):
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tinybench", "server", "--port", str(port)],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    wait_until_it_answers(port)
    children = psutil.Process(process.pid).children(recursive=True)
    for stream in (process.stdout, process.stderr):
        assert stream is not None
        stream.close()
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(children, 40)
    assert alive == []


def test_a_server_that_dies_is_an_error(tmp_path: Path):
    with running(tmp_path) as (_, process):
        for child in psutil.Process(process.pid).children(recursive=True):
            if "uvicorn" in child.cmdline():
                child.kill()
        assert process.wait(60) not in (None, 0)
    assert "has ended by itself" in (tmp_path / "output.txt").read_text()


def test_a_client_that_never_finishes_does_not_keep_the_server(tmp_path: Path):
    command = process.build_command(ServerSettings("sqlite:///mlflow.db", "artifacts"), tmp_path)
    assert "--timeout-graceful-shutdown 30" in command[command.index("--uvicorn-opts") + 1]


def wait_until_it_answers(port: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            if requests.get(f"http://127.0.0.1:{port}/health", timeout=2).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError("it does not answer")


def fail(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `tinybench server` with arguments with which it does not start."""
    command = [sys.executable, "-m", "tinybench", "server", "--port", str(free_port()), *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_a_folder_that_is_not_there_is_told():
    done = fail("--backend-store-uri", "sqlite:///no/such/mlflow.db")
    assert done.returncode == 2
    assert "the folder" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_database_that_is_not_there_is_told_in_a_line_without_its_password(tmp_path: Path):
    (tmp_path / "password").write_text("hush-hush")
    command = [sys.executable, "-m", "tinybench", "server", "--backend-store-uri", "postgresql://me@127.0.0.1:9/x"]
    command += ["--database-password-file", str(tmp_path / "password")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2 or done.returncode == 1
    assert "hush" not in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "Cannot use postgresql://me:***@127.0.0.1:9/x" in done.stderr


def test_a_port_that_is_taken_is_told(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "tinybench", "server", "--port", str(taken.getsockname()[1])]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 2
    assert "Invalid value for `--port`" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_the_configuration_of_users_is_for_this_user_alone(tmp_path: Path):
    settings = ServerSettings("postgresql://me:hu%25sh@db/x", "artifacts", auth=True, admin_password=PASSWORD)
    environment = build_environment(settings, tmp_path)
    (file,) = tmp_path.iterdir()
    assert environment["MLFLOW_AUTH_CONFIG_PATH"] == str(file)
    assert file.stat().st_mode & 0o077 == 0
    assert "default_permission = NO_PERMISSIONS" in file.read_text()
    assert "database_uri = postgresql://me:hu%25sh@db/x" in file.read_text()


def test_the_web_page_may_send_requests_under_every_name_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    settings = ServerSettings("sqlite:///mlflow.db", "artifacts", allowed_hosts=("mlflow.lab", "*.example"))
    origins = build_environment(settings, tmp_path)["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"]
    assert origins == "https://mlflow.lab,http://mlflow.lab,http://mlflow.lab:5000"
    monkeypatch.setenv("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", "https://another")
    assert build_environment(settings, tmp_path)["MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"] == "https://another"


@pytest.mark.parametrize(("workers", "connections"), [(1, 40), (2, 30), (4, 15), (8, 15)])
def test_each_thread_has_a_connection_as_far_as_postgres_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, connections: int
):
    names = ("MLFLOW_SQLALCHEMYSTORE_POOL_SIZE", "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW")
    settings = ServerSettings("postgresql://db/x", "artifacts", workers=workers)
    environment = build_environment(settings, tmp_path)
    assert sum(int(environment[name]) for name in names) == connections
    monkeypatch.setenv(names[1], "3")
    assert build_environment(settings, tmp_path)[names[1]] == "3"
    assert not {*names} & {*build_environment(ServerSettings("sqlite:///mlflow.db", "artifacts"), tmp_path)} - {
        names[1]
    }


@pytest.mark.parametrize("name", ["MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE", "MLFLOW_ENABLE_WORKSPACES"])
def test_a_variable_that_would_open_the_server_is_not_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setenv(name, "true")
    assert name not in build_environment(ServerSettings("sqlite:///mlflow.db", "artifacts"), tmp_path)


def test_a_missing_package_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "find_spec", lambda name: None)
    settings = ServerSettings("sqlite:///mlflow.db", "artifacts", auth=True, admin_password=PASSWORD)
    with pytest.raises(ConfigError, match=r"flask_wtf is missing: install it by pip install 'tinybench\[server\]'"):
        process.run(settings, lambda: None)


def test_users_are_beside_a_sqlite_file():
    assert users_database("sqlite:////data/mlflow.db") == "sqlite:////data/mlflow-users.db"
    assert users_database("postgresql://db/x") == "postgresql://db/x"
