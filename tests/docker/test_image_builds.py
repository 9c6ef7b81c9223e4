"""The images are built and run for real: with buildah, on a Debian that debootstrap makes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import buildah
import compose_file
import mlflow
import postgres_process
import proxy_process
import pytest
import requests

pytestmark = [pytest.mark.image, pytest.mark.timeout(5400)]


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    buildah.require()
    builder = buildah.Buildah(tmp_path_factory.mktemp("images"))
    builder.make_base()
    yield builder
    builder.close()


@pytest.fixture(scope="module")
def server_image(builder):
    return builder.build("server")


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    """The services of the compose file for a client that calls the server by its address, without the proxy."""
    folder = tmp_path_factory.mktemp("services")
    script = shutil.copy(compose_file.FOLDER / "prepare.sh", tmp_path_factory.mktemp("prepared"))
    subprocess.run([script, "127.0.0.1"], check=True, capture_output=True, timeout=60)
    return compose_file.Services(folder, Path(script).parent / "secrets", {"TINYBENCH_HOST": "127.0.0.1"})


@pytest.fixture(scope="module")
def server(builder, server_image, services):
    """The server of the compose file in a container of its image; its process and its container."""
    settings = services.services["mlflow"]
    variables = {name: services.by_network(str(value)) for name, value in settings["environment"].items()}
    services.secrets.chmod(0o755)  # Docker mounts the files alone; here their folder is mounted
    variables["MLFLOW_SERVER_ALLOWED_HOSTS"] = f"127.0.0.1:{services.ports[5000]}"
    volumes = {services.secrets: "/run/secrets:ro"}
    for name in ("artifacts", "tmp"):
        (services.folder / name).mkdir()
        os.chown(services.folder / name, 10001, 10001)
        volumes[services.folder / name] = f"/{name}"
    with postgres_process.running(services), builder.container(server_image) as container:
        since = buildah.now()
        command = [*builder.inspect(server_image)["Entrypoint"], *map(services.by_network, settings["command"])]
        log = services.folder / "server.log"
        with container.running(command, log, volumes, **variables) as running:
            check = [services.by_network(word) for word in settings["healthcheck"]["test"][1:]]
            compose_file.wait_until(lambda: running.is_over() or container.run(check).returncode == 0, log, 300)
            assert not running.is_over(), log.read_text()[-5000:]
            yield running, container, since
        assert "Traceback" not in log.read_text()


@pytest.fixture
def session(services):
    session = requests.Session()
    session.trust_env = False
    session.auth = ("admin", (services.secrets / "admin_password").read_text().strip())
    return session


def test_the_server_answers(server, services, session):
    uri = f"http://127.0.0.1:{services.ports[5000]}"
    assert session.get(f"{uri}/health", timeout=30).text == "OK"
    address = f"{uri}/api/2.0/mlflow/experiments/get?experiment_id=0"
    assert session.get(address, timeout=30).status_code == 200
    session.auth = None
    assert session.get(address, timeout=30).status_code == 401


def test_the_server_runs_as_its_own_user(server):
    running, _, _ = server
    process = running.process()
    for one in (process, *process.children(recursive=True)):
        assert one.uids().effective == 10001
        assert one.gids().effective == 10001


def test_the_training_image_trains_by_mlflow_run(builder, server, services, session, monkeypatch, tmp_path):
    image = builder.build("train")
    uri = f"http://127.0.0.1:{services.ports[5000]}"
    login = {
        "MLFLOW_TRACKING_URI": uri, "MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": session.auth[1]
    }  # fmt: skip
    command = "mlflow run . --env-manager local -P recipe=quickstart -P transfer_epochs=1 -P finetune_epochs=1"
    tmp_path.chmod(0o1777)
    with builder.container(image) as container:
        done = container.run(command.split(), {tmp_path: "/tmp"}, seconds=1800, **login)
        assert done.returncode == 0, done.stdout[-5000:]
        refused = container.run(["touch", "/opt/tinybench/bin/x"])
        assert refused.returncode != 0
    for name, value in login.items():
        monkeypatch.setenv(name, value)
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(runs) == 3
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert 0 <= parent.data.metrics["test/accuracy"] <= 1
    assert sum(len(client.get_metric_history(run.info.run_id, "train/loss")) for run in runs if run != parent) == 2
    assert {file.path for file in client.list_artifacts(parent.info.run_id)}


def test_the_server_wrote_nothing_outside_its_volumes(server):
    """So it runs with a root file system that is read only; the training before has used it."""
    _, container, since = server
    assert container.changed_files(since) == []


def test_no_image_has_the_configuration_of_pip(builder, server_image, server):
    _, container, _ = server
    assert not (container.root / "etc/pip.conf").exists() or not (container.root / "etc/pip.conf").read_text()
    described = json.dumps(builder("inspect", "--type", "image", server_image))
    for name, value in buildah.pip_config().items():
        if "index" in name or "links" in name:
            assert not any(word in described for word in value.split()), name


def test_the_proxy_image(builder, tmp_path):
    base = builder("from", "--pull-never", buildah.BASE)
    builder("copy", base, proxy_process.find_caddy(), "/usr/bin/caddy")
    if setcap := shutil.which("setcap"):
        # As in Caddy's image
        subprocess.run([setcap, "cap_net_bind_service=+ep", Path(builder("mount", base), "usr/bin/caddy")], check=True)
    builder("commit", "--quiet", "--rm", base, "localhost/caddy:test")
    image = builder.build("proxy", "localhost/caddy:test")
    ports = {name: compose_file.free_port() for name in ("HTTP", "HTTPS", "HEALTH")}
    variables = {f"TINYBENCH_LISTEN_{name}": str(port) for name, port in ports.items()}
    with builder.container(image) as container:
        assert "security.capability" not in os.listxattr(container.root / "usr/bin/caddy")
        command = builder.inspect(image)["Cmd"]
        with container.running(command, tmp_path / "log", {}, TINYBENCH_HOST="localhost", **variables) as running:
            assert running.process().uids().effective == 10002

            def answers() -> bool:
                try:
                    return requests.get(f"http://127.0.0.1:{ports['HEALTH']}/", timeout=5).ok
                except requests.ConnectionError:
                    return running.is_over()

            compose_file.wait_until(answers, tmp_path / "log")
            assert not running.is_over(), (tmp_path / "log").read_text()
            compose_file.wait_until((container.root / "data/caddy/pki").exists, tmp_path / "log")
