"""docker/kubernetes.md gives MLflow the settings that `tinybench server` gives it."""

from __future__ import annotations

import configparser
import re

import compose_file
import yaml

from tinybench.service import process
from tinybench.service.settings import ServerSettings

TEXT = (compose_file.FOLDER / "kubernetes.md").read_text("utf-8")
SETTINGS = ServerSettings(
    "postgresql://tinybench:PASSWORD@postgres.example.org:5432/tinybench",
    "s3://BUCKET/artifacts",
    host="0.0.0.0",
    workers=4,
    auth=True,
    admin_password="-",
    secret_key="-",
    allowed_hosts=("mlflow.example.org",),
)


def block(language: str) -> str:
    (found,) = re.findall(rf"^   ```{language}\n(.*?)^   ```", TEXT, re.MULTILINE | re.DOTALL)
    return "\n".join(line.removeprefix("   ") for line in found.splitlines())


VALUES = yaml.safe_load(block("yaml"))


def test_the_environment(tmp_path, monkeypatch):
    for name in [*process.os.environ]:
        monkeypatch.delenv(name)
    expected = process.build_environment(SETTINGS, tmp_path)
    given = {item["name"]: item.get("value") for item in VALUES["env"]}
    given["MLFLOW_BACKEND_STORE_URI"] = None
    given["MLFLOW_ARTIFACTS_DESTINATION"] = VALUES["mlflow"]["artifactsDestination"]
    for name in ("MLFLOW_REGISTRY_STORE_URI", "MLFLOW_CONFIGURE_LOGGING", "PYTHONWARNINGS"):
        del expected[name]  # the same as the database by default; of the log, which the chart leaves to MLflow
    assert set(expected) <= set(given)
    origins = "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS"
    assert given.pop(origins) in expected.pop(origins).split(",")
    secret_or_path = {"MLFLOW_BACKEND_STORE_URI", "MLFLOW_AUTH_CONFIG_PATH", "MLFLOW_AUTH_ADMIN_PASSWORD"}
    secret_or_path |= {"MLFLOW_FLASK_SERVER_SECRET_KEY"}
    for name in set(expected) - secret_or_path:
        assert given[name] == expected[name], name


def test_the_login(tmp_path):
    process.build_environment(SETTINGS, tmp_path)
    expected, given = configparser.ConfigParser(interpolation=None), configparser.ConfigParser(interpolation=None)
    expected.read(tmp_path / "auth.ini")
    given.read_string(block("ini"))
    assert dict(given["mlflow"]) == dict(expected["mlflow"])


def test_the_command_line(tmp_path):
    options = [f"--{name.replace('_', '-')}" for name in VALUES["server"]["value_options"]]
    line = [
        word
        for pair in zip(options, map(str, VALUES["server"]["value_options"].values()), strict=True)
        for word in pair
    ]
    command = process.build_command(SETTINGS, tmp_path)
    of_the_log = command.index("--uvicorn-opts")
    del command[of_the_log : of_the_log + 2]
    assert sorted(line) == sorted(command[command.index("server") + 1 :])


def test_the_user_is_that_of_the_image():
    user = compose_file.read({"TINYBENCH_HOST": "x"})["services"]["mlflow"]["user"]
    assert user == "{runAsUser}:{fsGroup}".format(**VALUES["podSecurityContext"])
