"""The services of docker/compose.yaml as processes, with its commands, variables, secrets and health checks.

Docker itself is not needed: a real Postgres, MLflow's server and a real Caddy run on this machine.
"""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import compose_file
import mlflow
import postgres_process
import proxy_process
import pytest
import requests
from mlflow.exceptions import MlflowException

HOST = "mlflow.lab"


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    script = shutil.copy(compose_file.FOLDER / "prepare.sh", folder)
    subprocess.run([script, HOST], check=True, capture_output=True, timeout=60)
    return folder / "secrets"


@pytest.fixture(scope="module")
def services(tmp_path_factory, secrets):
    variables = {"TINYBENCH_HOST": HOST, "TINYBENCH_WORKERS": "2"}
    variables["TINYBENCH_HTTPS_PORT"] = str(compose_file.free_port())
    return compose_file.Services(tmp_path_factory.mktemp("services"), secrets, variables)


@pytest.fixture(scope="module")
def server(services):
    """MLflow's server on Postgres; its log."""
    with postgres_process.running(services):
        with services.running("mlflow") as log:
            yield log
        assert services.exit_codes["mlflow"] == 0, "SIGTERM ends the server cleanly"


@pytest.fixture(scope="module")
def proxy(services, server):
    """Caddy in front of the server; the address and the certificate of its authority."""
    with proxy_process.running(services) as authority:
        yield f"https://{HOST}:{services.ports[8443]}", authority


@pytest.fixture
def client(services, secrets, proxy, monkeypatch):
    """A client of a colleague's machine: it knows the name of the server, its authority and the password."""
    uri, authority = proxy
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *more, **named: resolve("127.0.0.1" if host == HOST else host, *more, **named),
    )
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", authority)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", (secrets / "admin_password").read_text().strip())
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    session = requests.Session()
    session.trust_env = False
    session.verify = authority
    session.auth = ("admin", (secrets / "admin_password").read_text().strip())
    return mlflow.MlflowClient(uri), session, uri


def test_a_run_and_an_artifact_over_tls(client, tmp_path):
    tracking, _, _ = client
    run = tracking.create_run(tracking.create_experiment("team"))
    tracking.log_metric(run.info.run_id, "test/accuracy", 0.75)
    (tmp_path / "note.txt").write_text("written through the proxy")
    tracking.log_artifact(run.info.run_id, str(tmp_path / "note.txt"))
    assert tracking.get_run(run.info.run_id).data.metrics == {"test/accuracy": 0.75}
    file = tracking.download_artifacts(run.info.run_id, "note.txt", str(tmp_path))
    assert Path(file).read_text() == "written through the proxy"


def test_the_artifact_is_in_the_volume(client, services, tmp_path):
    tracking, _, _ = client
    run = tracking.create_run("0")
    (tmp_path / "in-volume.txt").write_text("x")
    tracking.log_artifact(run.info.run_id, str(tmp_path / "in-volume.txt"))
    assert list((services.folder / "artifacts").rglob("in-volume.txt"))


def test_a_wrong_password_and_none_are_refused(client, monkeypatch):
    tracking, session, uri = client
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "not the password")
    with pytest.raises(MlflowException, match="401"):
        tracking.search_experiments()
    session.auth = None
    for path in ("/", "/api/2.0/mlflow/experiments/search", "/ajax-api/2.0/mlflow/experiments/search"):
        assert session.get(uri + path, timeout=30).status_code == 401, path


def test_a_stranger_does_not_trust_the_certificate(client):
    _, session, uri = client
    session.verify = True
    with pytest.raises(requests.exceptions.SSLError):
        session.get(uri + "/health", timeout=30)


def test_old_tls_is_refused(client, services):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", services.ports[8443]), timeout=30) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname=HOST)


def test_http_is_sent_to_https(client, services):
    _, session, _ = client
    answer = session.get(f"http://{HOST}:{services.ports[8080]}/x", allow_redirects=False, timeout=30)
    assert answer.status_code == 308
    assert answer.headers["location"].startswith("https://")


def test_headers(client):
    _, session, uri = client
    headers = session.get(uri + "/", timeout=30).headers
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors" in headers["content-security-policy"]
    assert "caddy" not in headers.get("server", "").lower()


def test_a_browser_may_write_from_its_own_page_and_no_other(client):
    _, session, uri = client
    address = uri + "/ajax-api/2.0/mlflow/experiments/create"
    for origin, status in ((uri, 200), ("https://elsewhere.example", 403)):
        answer = session.post(address, json={"name": f"by {origin}"}, headers={"Origin": origin}, timeout=30)
        assert answer.status_code == status, answer.text


def test_another_host_name_is_refused(client, services):
    _, session, _ = client
    answer = session.get(
        f"http://127.0.0.1:{services.ports[5000]}/api/2.0/mlflow/experiments/get?experiment_id=0",
        headers={"Host": "elsewhere.example"},
        timeout=30,
    )
    assert answer.status_code == 403


def test_counters_are_not_for_the_public(client):
    _, session, uri = client
    for path in ("/metrics", "/metrics/", "/metrics/x", "/%6detrics", "//metrics", "/METRICS"):
        assert session.get(uri + path, timeout=30).status_code == 404, path


def test_a_large_body_is_refused_where_no_artifact_is_sent(client):
    _, session, uri = client
    body = (b"x" * 1_000_000 for _ in range(80))
    try:
        status = session.post(uri + "/api/2.0/mlflow/runs/log-batch", data=body, timeout=60).status_code
    except requests.ConnectionError:
        status = 413  # the proxy closed the connection while the client was still writing
    assert status == 413
    assert session.get(uri + "/health", timeout=30).status_code == 200


def test_the_backup_of_the_team_server(services, server):
    commands = subprocess.run(
        [sys.executable, "-m", "tinybench", "server", "--help"], capture_output=True, text=True, timeout=120
    )
    if "backup" not in commands.stdout:
        pytest.skip("tinybench server backup does not exist")
    path = f"{postgres_process.programs()}:{services.environment('backup')['PATH']}"
    assert not services.is_healthy("backup")
    with services.running("backup", PATH=path):
        assert list((services.folder / "backups").iterdir())


def test_postgres_is_healthy(services, server):
    path = f"{postgres_process.programs()}:/usr/bin:/bin"
    check = [services.here(word) for word in services.services["postgres"]["healthcheck"]["test"][1:]]
    assert subprocess.run(check, env={"PATH": path}, capture_output=True, timeout=60).returncode == 0


@pytest.mark.slow
def test_artifacts_in_s3(tmp_path, secrets, services, server, monkeypatch):
    """The services of the profile s3, with moto in place of SeaweedFS."""
    moto_server = pytest.importorskip("moto.server")
    store = moto_server.ThreadedMotoServer(port=0)
    store.start()
    try:
        host, port = store.get_host_and_port()
        variables = {"TINYBENCH_HOST": "127.0.0.1", "TINYBENCH_ARTIFACTS": "s3://tinybench/artifacts"}
        variables |= {"TINYBENCH_HTTPS_PORT": "443", "TINYBENCH_WORKERS": "1"}
        s3 = compose_file.Services(tmp_path, secrets, variables)
        s3.ports[5432], s3.ports[8333] = services.ports[5432], port
        for _ in range(2):  # the second finds the bucket
            subprocess.run(s3.command("bucket"), env=s3.environment("bucket"), check=True, timeout=120)
        stranger = {name: value for name, value in s3.environment("bucket").items() if "CREDENTIALS" not in name}
        assert subprocess.run(s3.command("bucket"), env=stranger, capture_output=True, timeout=120).returncode != 0
        command = s3.command("mlflow")
        environment = {"MLFLOW_SERVER_ALLOWED_HOSTS": f"127.0.0.1:{s3.ports[5000]}"}
        with s3.running("mlflow", command, **environment):
            monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "admin")
            monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", (secrets / "admin_password").read_text().strip())
            tracking = mlflow.MlflowClient(f"http://127.0.0.1:{s3.ports[5000]}")
            run = tracking.create_run(tracking.create_experiment("in s3"))
            (tmp_path / "note.txt").write_text("in an object store")
            tracking.log_artifact(run.info.run_id, str(tmp_path / "note.txt"))
            file = tracking.download_artifacts(run.info.run_id, "note.txt", str(tmp_path / "data"))
            assert Path(file).read_text() == "in an object store"
        listed = requests.get(f"http://{host}:{port}/tinybench", timeout=30).text
        assert f"{run.info.run_id}/artifacts/note.txt" in listed
        assert not list((tmp_path / "artifacts").rglob("note.txt"))
    finally:
        store.stop()


def test_no_password_is_in_a_log_or_a_command_line(client, server, services, secrets):
    _, session, uri = client
    session.get(uri + "/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=30)
    logs = server.read_text() + (services.folder / "proxy.log").read_text()
    lines = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    for secret in secrets.iterdir():
        assert secret.read_text().strip() not in logs + lines, secret.name


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("admin_password", "missing"),
        ("database_password", "missing"),
        ("secret_key", "missing"),
        ("admin_password", "empty"),
    ],
)
def test_there_is_no_start_without_a_secret(tmp_path, secrets, name, state):
    shutil.copytree(secrets, tmp_path / "secrets")
    (tmp_path / "secrets" / name).unlink()
    if state == "empty":
        (tmp_path / "secrets" / name).touch()
    services = compose_file.Services(tmp_path, tmp_path / "secrets", {"TINYBENCH_HOST": HOST})
    done = subprocess.run(
        services.command("mlflow"), env=services.environment("mlflow"), capture_output=True, text=True, timeout=120
    )
    assert done.returncode not in (0, None)
    assert f"secrets/{name}" in done.stderr
    assert ("No such file" if state == "missing" else "is empty") in done.stderr


def test_postgres_has_no_user_without_a_secret(tmp_path, secrets):
    shutil.copytree(secrets, tmp_path / "secrets")
    (tmp_path / "secrets/database_password").unlink()
    services = compose_file.Services(tmp_path, tmp_path / "secrets", {"TINYBENCH_HOST": HOST})
    with pytest.raises(subprocess.CalledProcessError) as failed, postgres_process.running(services):
        pass
    assert "The secret database_password is missing" in failed.value.stderr
