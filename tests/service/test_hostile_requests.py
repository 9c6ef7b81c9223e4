"""Hostile requests to a real `tinybench server --auth`: no file outside, no script, no error of ours, no end.

What MLflow 3.17.2 itself gets wrong is pinned by the lists `BAD_PATH` and `ANSWERED_500`. A test fails
when a newer MLflow gets it right, so that its line can be removed.
"""

from __future__ import annotations

import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
import requests
from raw_server import PASSWORD, TeamServer

SECRET = b"this file is outside of the destination"
PROXY = "/api/2.0/mlflow-artifacts/artifacts"
UP = "../" * 6
JSON = {"Content-Type": "application/json"}
GET = b"GET /api/2.0/mlflow/experiments/search HTTP/1.1\r\nHost: 127.0.0.1\r\n"
INERT = ("text/plain", "application/octet-stream", "application/json")
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"
NO_REQUESTS = (b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"1e999999")
CLIMBS = {
    "plain": "{up}outside/secret.txt",
    "encoded dots": "%2e%2e/%2e%2e/%2e%2e/%2e%2e/outside/secret.txt",
    "encoded slashes": "..%2f..%2f..%2f..%2foutside%2fsecret.txt",
    "all encoded": "%2e%2e%2f%2e%2e%2f%2e%2e%2f%2e%2e%2foutside%2fsecret.txt",
    "doubly encoded": "%252e%252e%252f%252e%252e%252f%252e%252e%252f%252e%252e%252foutside%252fsecret.txt",
    "triply encoded": "%25252e%25252e%25252f%25252e%25252e%25252foutside%25252fsecret.txt",
    "backslashes": "..\\..\\..\\..\\outside\\secret.txt",
    "encoded backslashes": "..%5c..%5c..%5c..%5coutside%5csecret.txt",
    "doubly encoded backslashes": "..%255c..%255c..%255coutside%255csecret.txt",
    "absolute": "/{outside}/secret.txt",
    "encoded absolute": "%2f{encoded}%2fsecret.txt",
    "doubly encoded absolute": "%252f{doubly}%252fsecret.txt",
    "file address": "file://{outside}/secret.txt",
    "encoded file address": "file%3a%2f%2f{encoded}%2fsecret.txt",
    "parameters": "..;/..;/..;/..;/outside/secret.txt",
    "overlong dots": "%c0%ae%c0%ae/%c0%ae%c0%ae/%c0%ae%c0%ae/outside/secret.txt",
    "full-width dots": "%ef%bc%8e%ef%bc%8e/%ef%bc%8e%ef%bc%8e/outside/secret.txt",
    "end of string": "{up}outside/secret.txt%00.png",
    "drive": "C:%5coutside%5csecret.txt",
    "dots": "....//....//....//....//outside/secret.txt",
}


BAD_PATH = b"must not resolve to other names"
"""In MLflow's answer 500 to an upload whose path has empty parts, where 400 is meant."""
ANSWERED_500 = {
    *(("runs/log-batch", number) for number in range(len(NO_REQUESTS))),
    *((path, number) for path in ("runs/create", "experiments/search") for number in (3, 5, 6, 7)),
    *(("users/create", number) for number in (5, 6)),
}
"""Paths and numbers of bodies that MLflow answers by 500, where 400 is meant."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    started = TeamServer(tmp_path_factory.mktemp("hostile")).start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def run(server: TeamServer) -> tuple[str, str]:
    """An experiment of a user who may do everything in it, and a run whose artifacts have links that lead outside."""
    (server.folder / "outside").mkdir()
    server.call("users/create", username="user", password=PASSWORD)
    experiment = server.call("experiments/create", name="hostile")["experiment_id"]
    grant = {"resource_type": "experiment", "resource_id": experiment, "permission": "MANAGE"}
    server.call("users/permissions/grant", version=3, username="user", **grant)
    run_id = server.call("runs/create", user="user", experiment_id=experiment)["run"]["info"]["run_id"]
    folder = server.artifacts / experiment / run_id / "artifacts"
    folder.mkdir(parents=True)
    (folder / "honest.txt").write_text("honest")
    (folder / "link").symlink_to(server.folder / "outside")
    (folder / "file-link").symlink_to(server.folder / "outside" / "secret.txt")
    return experiment, run_id


@pytest.fixture(autouse=True)
def secret(server: TeamServer, run: tuple[str, str]) -> Path:
    """A file outside of the destination."""
    path = server.folder / "outside" / "secret.txt"
    path.write_bytes(SECRET)
    return path


def climb(server: TeamServer, name: str) -> str:
    outside = str(server.folder / "outside")
    encoded = quote(outside.lstrip("/"), safe="")
    return CLIMBS[name].format(up=UP, outside=outside, encoded=encoded, doubly=quote(encoded, safe=""))


def outside_files(server: TeamServer) -> dict[str, bytes]:
    """Every file that is neither in the destination nor the server's own."""
    return {
        str(path): path.read_bytes()
        for path in server.folder.rglob("*")
        if path.is_file() and server.artifacts not in path.parents and not path.name.startswith(("server", "log"))
    }


def targets(experiment: str, run_id: str, path: str) -> list[tuple[str, str]]:
    """Every request that takes a path: method and target."""
    folder = f"{PROXY}/{experiment}/{run_id}/artifacts"
    in_query = quote(path, safe="%/")
    return [
        *((method, f"{PROXY}/{path}") for method in ("GET", "PUT", "DELETE")),
        *((method, f"{folder}/{path}") for method in ("GET", "PUT", "DELETE")),
        ("GET", f"{PROXY}?path={in_query}"),
        ("GET", f"{PROXY}?path={experiment}/{run_id}/artifacts/{in_query}"),
        ("GET", f"/get-artifact?run_uuid={run_id}&path={in_query}"),
        ("GET", f"/model-versions/get-artifact?name=x&version=1&path={in_query}"),
        ("GET", f"/api/2.0/mlflow/artifacts/list?run_id={run_id}&path={in_query}"),
        ("GET", f"/ajax-api/2.0/mlflow/artifacts/list?run_id={run_id}&path={in_query}"),
        ("POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run_id}&path={in_query}"),
        ("POST", f"/api/2.0/mlflow-artifacts/mpu/create/{experiment}/{run_id}/artifacts/{path}"),
        ("GET", f"/static-files/{path}"),
    ]


@pytest.mark.parametrize("user", ["user", "admin"])
@pytest.mark.parametrize("name", CLIMBS)
def test_no_path_leads_out_of_the_destination(server, run, name, user):
    before = outside_files(server)
    failures = []
    for method, target in targets(*run, climb(server, name)):
        body = b"planted" if method in ("PUT", "POST") else None
        answer = server.send(method, target, body, user=user)
        assert SECRET not in answer.body, (method, target)
        assert b"secret.txt" not in answer.body or answer.status >= 300, (method, target)
        is_known = answer.status == 501 or (
            method in ("PUT", "POST") and BAD_PATH in answer.body
        )  # 501: of uploads in parts
        if answer.status >= 500 and not is_known:
            failures.append((method, target, answer.status, answer.body[:300]))
    assert outside_files(server) == before
    assert failures == []


@pytest.mark.parametrize("name", ["link/secret.txt", "file-link", "link"])
@pytest.mark.parametrize("user", ["user", "admin"])
def test_no_link_leads_out_of_the_destination(server, run, secret, name, user):
    experiment, run_id = run
    folder = f"{PROXY}/{experiment}/{run_id}/artifacts"
    for method, target in targets(*run, name):
        if run_id in target and method in ("GET", "POST"):
            answer = server.send(method, target, b"planted" if method == "POST" else None, user=user)
            assert SECRET not in answer.body, target
            assert b"secret.txt" not in answer.body or answer.status >= 300, target
    assert SECRET not in server.send("GET", f"{folder}/{name}", user=user).body
    server.send("PUT", f"{folder}/{name}", b"planted", user=user)
    assert outside_files(server) == {str(secret): SECRET}


def test_nothing_is_deleted_through_a_link(server, run, secret):
    experiment, run_id = run
    answer = server.send("DELETE", f"{PROXY}/{experiment}/{run_id}/artifacts/link/secret.txt", user="user")
    assert answer.status == 403
    assert secret.exists()


def test_an_honest_file_is_read(server, run):
    experiment, run_id = run
    answer = server.send("GET", f"{PROXY}/{experiment}/{run_id}/artifacts/honest.txt", user="user")
    assert (answer.status, answer.body) == (200, b"honest")


@pytest.mark.parametrize(
    "location",
    [
        "file://{outside}",
        "{outside}",
        "mlflow-artifacts:/../outside",
        "mlflow-artifacts:/%2e%2e/outside",
        "../outside",
    ],
)
def test_an_experiment_does_not_open_a_folder_of_the_server(server, run, secret, location):
    wanted = {"name": location, "artifact_location": location.format(outside=secret.parent)}
    answer = server.send(
        "POST", "/api/2.0/mlflow/experiments/create", json.dumps(wanted).encode(), user="user", headers=JSON
    )
    assert answer.status < 500
    if answer.status == 200:
        experiment = answer.json()["experiment_id"]
        created = server.call("runs/create", user="user", experiment_id=experiment)["run"]["info"]["run_id"]
        target = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={created}&path=planted.txt"
        assert server.send("POST", target, b"planted", user="user").status < 500
        planted = [*server.folder.rglob("planted.txt")]
        for path in planted:
            path.unlink()
        assert [path for path in planted if server.artifacts not in path.parents] == []


def test_scripts_come_back_as_data(server, run):
    _, run_id = run
    server.call("runs/update", user="user", run_id=run_id, run_name=SCRIPT)
    server.call("runs/set-tag", user="user", run_id=run_id, key="mlflow.note.content", value=SCRIPT)
    server.call("runs/set-tag", user="user", run_id=run_id, key="class", value=SCRIPT)
    server.call("runs/log-parameter", user="user", run_id=run_id, key="p", value=SCRIPT)
    named = server.call("experiments/create", name=SCRIPT)["experiment_id"]
    server.call("experiments/set-experiment-tag", experiment_id=named, key="mlflow.note.content", value=SCRIPT)
    model = "model <b>bold<b>"
    server.call("registered-models/create", name=model, description=SCRIPT)
    for path in (
        f"runs/get?run_id={run_id}",
        f"experiments/get?experiment_id={named}",
        f"experiments/get-by-name?experiment_name={quote(SCRIPT)}",
        f"registered-models/get?name={quote(model)}",
        "registered-models/search",
        f"runs/get?run_id={quote(SCRIPT)}",
        f"experiments/get?experiment_id={quote(SCRIPT)}",
    ):
        for prefix in ("/api", "/ajax-api"):
            answer = server.send("GET", f"{prefix}/2.0/mlflow/{path}")
            assert answer.headers.get_content_type() == "application/json", path
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            answer.json()
            assert answer.status < 500
    assert server.call(f"runs/get?run_id={run_id}", method="GET")["run"]["info"]["run_name"] == SCRIPT


def test_errors_do_not_echo_scripts_as_a_page(server, run):
    for target in (
        f"/{quote(SCRIPT)}",
        f"/api/2.0/mlflow/{quote(SCRIPT)}",
        f"/get-artifact?run_uuid={quote(SCRIPT)}&path=x",
    ):
        for user in ("admin", None):
            answer = server.send("GET", target, user=user)
            assert answer.status < 500
            assert b"<script>alert" not in answer.body or answer.headers.get_content_type() != "text/html", target


def test_a_page_among_the_artifacts_does_not_run_in_the_page_of_the_server(server, run):
    experiment, run_id = run
    page = f"<html><body>{SCRIPT}</body></html>".encode()
    for name in ("page.html", "picture.svg"):
        sent = server.send("PUT", f"{PROXY}/{experiment}/{run_id}/artifacts/{name}", page, user="user")
        assert sent.status == 200
        for target in (
            f"{PROXY}/{experiment}/{run_id}/artifacts/{name}",
            f"/get-artifact?run_uuid={run_id}&path={name}",
        ):
            answer = server.send("GET", target, user="user")
            assert answer.status == 200
            is_download = answer.headers.get("Content-Disposition", "").startswith("attachment")
            is_inert = answer.headers.get_content_type() in (
                "text/plain",
                "application/octet-stream",
                "application/json",
            )
            assert is_download or is_inert, (target, [*answer.headers.items()])
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


def _memory(server: TeamServer) -> int:
    """Bytes that the server and its workers take."""
    parent = psutil.Process(server.process.pid)
    return sum(process.memory_info().rss for process in (parent, *parent.children(recursive=True)))


def _chunks(size: int) -> Iterator[bytes]:
    chunk = bytes(1 << 20)
    for _ in range(size >> 20):
        yield chunk


@pytest.mark.parametrize("size", [200 << 20, pytest.param(1 << 30, marks=pytest.mark.slow)])
def test_a_large_artifact_in_chunks_is_stored_and_takes_no_memory(server, run, size):
    experiment, run_id = run
    before = _memory(server)
    target = f"{PROXY}/{experiment}/{run_id}/artifacts/large.bin"
    assert server.send("PUT", target, _chunks(size), user="user", timeout=300).status == 200
    stored = server.artifacts / experiment / run_id / "artifacts" / "large.bin"
    assert stored.stat().st_size == size
    assert _memory(server) - before < 150 << 20
    stored.unlink()


@pytest.mark.parametrize("size", [200 << 20, pytest.param(1 << 30, marks=pytest.mark.slow)])
@pytest.mark.parametrize("user", [None, "user"])
def test_a_large_body_where_json_is_expected_ends_nothing(server, run, size, user):
    with suppress(ConnectionError):
        answer = server.send(
            "POST", "/api/2.0/mlflow/runs/log-batch", _chunks(size), user=user, timeout=300,
            headers=JSON,
        )  # fmt: skip
        assert 400 <= answer.status < 500
    assert_answers(server)


def assert_answers(server: TeamServer, seconds: float = 20) -> None:
    """Check that the server still lives and answers a user soon."""
    began = time.monotonic()
    assert requests.get(f"{server.uri}/health", timeout=seconds).ok
    server.call("experiments/search", user="user", max_results=1)
    assert time.monotonic() - began < seconds
    assert server.process.poll() is None


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_connections_that_say_nothing_do_not_stop_the_others(server, run, count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 200:
        if hard < count + 200:
            pytest.skip(f"this system allows {hard} open files")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count + 200, hard))
    with ExitStack() as connections:
        for number in range(count):
            silent = connections.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
            if number % 3 == 1:
                silent.sendall(GET + b"X-Slow: ")  # never ended
            if number % 3 == 2:
                silent.sendall(
                    b"POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n"
                )
        for _ in range(5):
            assert_answers(server)
    assert_answers(server)


@pytest.mark.parametrize(
    "flood",
    [
        b"".join(b"X-%d: %d\r\n" % (number, number) for number in range(20_000)),
        b"X-Long: " + b"a" * (4 << 20) + b"\r\n",
        b"Cookie: " + b"a=b; " * 200_000 + b"\r\n",
        b"Authorization: Basic " + b"QQ" * (1 << 20) + b"\r\n",
    ],
    ids=["many", "long", "cookies", "password"],
)
def test_floods_of_headers_end_nothing(server, run, flood):
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        with suppress(ConnectionError):
            connection.sendall(
                b"GET /api/2.0/mlflow/experiments/search HTTP/1.1\r\nHost: 127.0.0.1\r\n" + flood + b"\r\n"
            )
        answer = connection.recv(4096)
        assert not answer or answer.split(b" ")[1][:1] in (b"2", b"4"), answer[:200]
    assert_answers(server)


@pytest.mark.parametrize("number", range(len(NO_REQUESTS)))
@pytest.mark.parametrize("path", ["runs/create", "runs/log-batch", "users/create", "experiments/search"])
def test_a_body_that_is_no_request_is_refused(server, run, path, number):
    answer = server.send("POST", f"/api/2.0/mlflow/{path}", NO_REQUESTS[number], headers=JSON)
    assert (answer.status == 500) == ((path, number) in ANSWERED_500), answer.body[:300]
    assert answer.status <= 500
    assert b"Traceback" not in answer.body
    assert_answers(server)


def test_the_server_lives_at_the_end_and_its_log_has_no_password(server, run):
    assert_answers(server)
    text = server.log.read_text(errors="replace")
    assert PASSWORD not in text
