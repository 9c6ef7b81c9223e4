"""A fuzz of the whole API by schemathesis: the services of docker/compose.yaml as processes, through the proxy.

The team server is asked as nobody, as a contributor and as an administrator, with valid and invalid data for every
operation. MLflow's own errors 5xx are listed and counted; ours, files outside of the artifacts, programs that are run,
responses to nobody and a server that ends are failures.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import compose_file
import fuzzed_server
import postgres_process
import proxy_process
import psutil
import pytest
import requests
from fuzzed_server import NOBODY, SECRET, Responses
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from team_content import Content
from team_server import ADMIN

from tinybench.service import process
from tinybench.service.settings import ServerSettings
from tinybench.service.users import Users

schemathesis = pytest.importorskip("schemathesis")

HOST = "localhost"
CONTRIBUTOR = ("cat", "a-password-of-the-cat")
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2"))
"""Valid and as many invalid requests of each user to each operation."""
NOT_ASKED = {
    "GET /api/3.0/mlflow/gateway/supported-models": "it reads a list from the internet",
    "POST /api/3.0/mlflow/demo/generate": "it takes half a minute to make traces",
}
"""What administrators are not asked to do, and why."""
HIDDEN = "GET /metrics"
"""To it the proxy answers 404."""
PASSWORDS = ("a-password-of-nobody", "another-one-of-nobody", CONTRIBUTOR[1], ADMIN[1])
"""What requests have as passwords."""
LAST = ("DELETE", "/delete", "/roles/", "/users/", "/remove")
"""In what takes away from those who ask, or from what they ask for."""


@dataclass
class Fuzzed:
    """A team server, and how to ask it."""

    uri: str
    services: compose_file.Services
    document: dict[str, Any]
    responses: Responses
    sessions: dict[str, requests.Session]
    root: Path
    audit: Path
    pid: int = 0
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def send(self, case: Any, operation: str, paths: list[str], is_open: bool) -> None:
        """Send a case as every user, and note the responses."""
        number = next(self.numbers)
        case.path = paths[number % len(paths)]
        wanted = case.as_transport_kwargs(self.uri)
        for user, session in self.sessions.items():
            if user == ADMIN[0] and operation in NOT_ASKED:
                continue
            request = requests.Request(
                **{key: value for key, value in wanted.items() if key not in ("cookies", "headers")},
                headers=dict(wanted["headers"]) | {"X-Request-ID": f"{user}-{number}"},
            )
            try:
                prepared = session.prepare_request(request)
            except (requests.exceptions.InvalidHeader, UnicodeError):  # no client sends it
                return
            tail = str(prepared.url).partition("?")[1:]
            prepared.url = self.uri + case.formatted_path + "".join(tail)  # with the dots that a client would take out
            try:
                response = session.send(prepared, timeout=60, allow_redirects=False)
            except requests.RequestException as error:
                self.responses.problems.append(f"{user}: {operation} {prepared.path_url[:300]}: no response: {error!r}")
                continue
            self.responses.add(operation, user, is_open, response)


def make_document(folder: Path) -> dict[str, Any]:
    """Return the OpenAPI document of the server's application."""
    folder.mkdir()
    wanted = ServerSettings(
        f"sqlite:///{folder}/mlflow.db", str(folder / "artifacts"), auth=True, admin_password=ADMIN[1]
    )
    environment = process.build_environment(wanted, folder) | {"_MLFLOW_SGI_NAME": "uvicorn"}
    environment["prometheus_multiproc_dir"] = str(folder / "metrics")
    script = compose_file.ROOT / "tests/service/server_openapi.py"
    result = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout)


def make_session(authority: str, login: tuple[str, str] | None) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.verify, session.auth = authority, login
    return session


@pytest.fixture
def fuzzed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fuzzed]:
    """Postgres, the server and the proxy, with a file beside them that nobody may read."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text(SECRET)
    script = shutil.copy(compose_file.FOLDER / "prepare.sh", tmp_path)
    subprocess.run([script, HOST], check=True, capture_output=True, timeout=60)
    secrets, audit = tmp_path / "secrets", tmp_path / "audit.log"
    (secrets / "admin_password").write_text(ADMIN[1])
    port = str(compose_file.free_port())
    variables = {"TINYBENCH_HOST": HOST, "TINYBENCH_WORKERS": "2", "TINYBENCH_HTTPS_PORT": port}
    (tmp_path / "volumes").mkdir()
    services = compose_file.Services(tmp_path / "volumes", secrets, variables)
    environment = {
        "TINYBENCH_LOG_FORMAT": "json",
        "AUDIT_LOG": str(audit),
        "TMPDIR": str(services.folder / "tmp"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": f"{Path(__file__).parent / 'audit'}:{compose_file.ROOT}",
    }
    document = make_document(tmp_path / "document")
    with ExitStack() as stack:
        stack.enter_context(postgres_process.running(services))
        stack.enter_context(services.running("mlflow", **environment))
        authority = stack.enter_context(proxy_process.running(services))
        uri = f"https://{HOST}:{port}"
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", authority)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN[0])
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN[1])
        Users(uri).add(CONTRIBUTOR[0], "contributor", CONTRIBUTOR[1])
        content = Content(uri, make_session(authority, ADMIN))
        text = json.dumps(document).replace("$outside", str(tmp_path / "outside"))
        hidden = [SECRET.encode(), *(file.read_bytes().strip() for file in secrets.iterdir())]
        responses = Responses(hidden, str(services.folder).encode())
        logins = {NOBODY: None, "contributor": CONTRIBUTOR, "admin": ADMIN}
        sessions = {user: make_session(authority, login) for user, login in logins.items()}
        filled = content.fill(json.loads(text), fresh=False)
        (pid,) = (child.pid for child in psutil.Process().children() if "server" in child.cmdline())
        yield Fuzzed(uri, services, filled, responses, sessions, tmp_path, audit, pid)
    assert services.exit_codes["mlflow"] == 0


def order(operation: Any) -> tuple[bool, str]:
    return any(word in operation.label for word in LAST), operation.label


def fuzz(fuzzed: Fuzzed, seconds: Counter[str]) -> None:
    """Send valid and invalid requests to every operation."""
    graphql = fuzzed.document.pop("x-graphql")
    schemathesis.serializer.alias("application/x-protobuf", "application/octet-stream")
    api = schemathesis.openapi.from_dict(fuzzed.document)
    operations = sorted((result.ok() for result in api.get_all_operations()), key=order)
    operations += [result.ok() for result in schemathesis.graphql.from_file(graphql).get_all_operations()]
    for operation in operations:
        raw = fuzzed.document["paths"].get(operation.path, {}).get(operation.method.lower(), {})
        paths, is_open = raw.get("x-paths", ["/graphql"]), raw.get("x-open", False) or operation.label == HIDDEN
        began = time.monotonic()
        for mode in schemathesis.GenerationMode:
            try:
                _send_examples(fuzzed, operation, mode, paths, is_open)
            except Unsatisfiable:  # it takes no data, so none is invalid
                continue
        seconds[operation.label] = round(time.monotonic() - began, 1)


def _send_examples(fuzzed: Fuzzed, operation: Any, mode: Any, paths: list[str], is_open: bool) -> None:
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        fuzzed.send(case, operation.label, paths, is_open)

    send()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_fuzz_of_the_whole_api(fuzzed: Fuzzed, capsys: pytest.CaptureFixture[str]):
    volumes = fuzzed.services.folder
    allowed = [volumes / "artifacts", volumes / "tmp"]
    changing = [*allowed, volumes / "data", volumes / "mlflow.log", volumes / "proxy.log", fuzzed.audit]
    tree, offset = fuzzed_server.list_tree(fuzzed.root, changing), fuzzed.audit.stat().st_size
    processes = fuzzed_server.list_processes(fuzzed.pid)
    began, seconds = time.monotonic(), Counter[str]()
    fuzz(fuzzed, seconds)
    for session in fuzzed.sessions.values():
        assert session.get(f"{fuzzed.uri}/health", timeout=30).text == "OK"
    trespasses = fuzzed_server.find_trespasses(fuzzed_server.read_audit(fuzzed.audit, offset), allowed)
    errors = fuzzed_server.read_errors(volumes / "mlflow.log")
    with capsys.disabled():
        print(report(fuzzed.responses, errors, time.monotonic() - began, seconds))
    assert fuzzed.responses.problems == []
    assert [error.text for error in errors if error.is_ours] == []
    assert trespasses == []
    logs = [(volumes / name).read_text("utf-8", "replace") for name in ("mlflow.log", "proxy.log")]
    assert [secret for secret in (*PASSWORDS, SECRET) if any(secret in log for log in logs)] == []
    assert fuzzed_server.list_tree(fuzzed.root, changing) == tree
    assert fuzzed_server.list_processes(fuzzed.pid) == processes


def report(responses: Responses, errors: list[Any], took: float, seconds: Counter[str]) -> str:
    """Return the numbers of responses by user and status, and the errors 5xx by operation."""
    lines = [f"\n{sum(responses.statuses.values())} responses in {took:.0f} s; slowest: {responses.slowest}"]
    for user in sorted({user for user, _ in responses.statuses}):
        counts = {status: count for (name, status), count in sorted(responses.statuses.items()) if name == user}
        lines.append(f"{user}: " + ", ".join(f"{count} of {status}" for status, count in counts.items()))
    lines.append(f"slowest operations: {seconds.most_common(5)}")
    lines += [f"problems: {len(responses.problems)}", *responses.problems[:50]]
    lines.append("5xx:")
    lines += [f"  {count} x {cause}" for cause, count in sorted(fuzzed_server.attribute(responses, errors).items())]
    return "\n".join(lines)
