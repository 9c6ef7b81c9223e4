"""A real server with passwords, two processes and a JSON log: who reads /metrics, what is logged, and what never is."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from service_processes import ServiceProcess, leaks

ADMIN = "Quarry-Lantern-77-osprey"
ANN = "Walnut-Ferry-31-amber"
TOKEN = "Kestrel-9041-metrics-token"
S3_KEY, S3_SECRET, S3_PASSWORD = "AKIAHUSHHUSHHUSH1234", "S3+hush/secret/key+0815", "Endpoint-Hush-4711"
SIGNING_KEY = "Signing-Hush-key-22222"
WRONG, QUERY, BODY, HEADER = "Wrong-Hush-password", "Query-Hush-value", "Body-Hush-value", "Header-Hush-value"
SECRETS = [ADMIN, ANN, TOKEN, S3_KEY, S3_SECRET, S3_PASSWORD, SIGNING_KEY, WRONG, QUERY, BODY, HEADER]
API = "/api/2.0/mlflow"


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("server")
    for name, secret in {"admin": ADMIN, "token": TOKEN, "key": SIGNING_KEY}.items():
        (folder / name).write_text(secret)
    (folder / "counters").mkdir()
    (folder / "counters" / "counter_1.db").write_bytes(b"of an earlier server")
    started = ServiceProcess(
        folder,
        *("server", "--workers", "2", "--log-format", "json", "--artifacts-destination", "s3://bucket/path", "--auth"),
        *("--admin-password-file", "admin", "--secret-key-file", "key"),
        *("--metrics-folder", "counters", "--metrics-token-file", "token"),
        AWS_ACCESS_KEY_ID=S3_KEY,
        AWS_SECRET_ACCESS_KEY=S3_SECRET,
        AWS_MAX_ATTEMPTS="1",
        MLFLOW_S3_ENDPOINT_URL=f"http://somebody:{S3_PASSWORD}@127.0.0.1:9",
    )
    try:
        started.wait_for()
        yield started
    finally:
        code = started.end()
    assert code == 0
    assert leaks(started.written, SECRETS, ("admin", "ann")) == []


@pytest.fixture(scope="module")
def ann(server) -> tuple[str, str]:
    user = {"username": "ann", "password": ANN}
    assert requests.post(f"{server.url}{API}/users/create", json=user, auth=("admin", ADMIN), timeout=60).ok
    return "ann", ANN


def get(server, path, **options) -> requests.Response:
    return requests.get(server.url + path, timeout=60, **options)


def logged(server) -> list[dict]:
    return [json.loads(line) for line in server.stderr.splitlines()]


def line_of(server, response) -> dict:
    """The line of a request, which is written after its answer."""
    identifier = response.headers["x-request-id"]
    for _ in range(100):
        found = [line for line in logged(server) if line.get("request_id") == identifier and "status" in line]
        if found:
            return found[0]
        get(server, "/health")
    raise AssertionError(f"{identifier} is not in the log")


def bearer(token) -> dict[str, dict[str, str]]:
    return {"headers": {"authorization": f"Bearer {token}"}}


def test_metrics_are_for_administrators_and_who_has_the_token(server, ann):
    assert get(server, "/metrics").status_code == 401
    assert get(server, "/metrics", auth=("admin", WRONG)).status_code == 401
    assert get(server, "/metrics", **bearer(WRONG)).status_code == 401
    assert get(server, "/metrics", auth=ann).status_code == 403
    assert get(server, "/metrics", auth=("admin", ADMIN)).status_code == 200
    assert get(server, "/metrics", **bearer(TOKEN)).status_code == 200


def test_the_token_is_for_metrics_alone(server):
    for path in (f"{API}/experiments/get?experiment_id=0", "/metrics/", "//metrics", "/"):
        assert get(server, path, **bearer(TOKEN)).status_code in (401, 404, 500), path  # MLflow 3.17 fails on Bearer


def test_both_processes_are_counted_and_an_earlier_server_is_not(server):
    def requested() -> float:
        families = text_string_to_metric_families(get(server, "/metrics", **bearer(TOKEN)).text)
        samples = (sample for family in families for sample in family.samples)
        return sum(each.value for each in samples if each.name == "mlflow_http_request_total")

    before = requested()
    for _ in range(20):
        assert get(server, f"{API}/experiments/get?experiment_id=0", auth=("admin", ADMIN)).ok
    assert requested() - before == 20
    assert {requested() for _ in range(10)} == {before + 20}


def test_every_line_is_a_json_object(server):
    get(server, "/nothing")
    lines = logged(server)
    assert len(lines) > 5
    for line in lines:
        assert line.keys() >= {"time", "level", "message", "logger"}
    assert server.stdout == ""
    messages = [line["message"] for line in lines]
    assert any(message.startswith("Serving ") for message in messages)
    assert f"Open {server.url}   (end with Ctrl-C)" in messages
    assert not [message for message in messages if "experimental" in message or "cors-allowed-origins" in message]


def test_requests_are_logged_with_their_user(server, ann):
    answer = get(server, f"{API}/experiments/get?experiment_id=0", auth=ann, headers={"x-request-id": "request-1"})
    assert answer.headers["x-request-id"] == "request-1"
    line = line_of(server, answer)
    assert (line["method"], line["path"], line["status"]) == ("GET", f"{API}/experiments/get", answer.status_code)
    assert (line["user"], line["client"]) == ("ann", "127.0.0.1")
    upload = requests.put(
        f"{server.url}/api/2.0/mlflow-artifacts/artifacts/0/run/artifacts/x.txt",
        b"x",
        auth=("admin", ADMIN),
        timeout=60,
    )
    assert line_of(server, upload)["user"] == "admin"


def test_behind_a_proxy_the_client_of_the_proxy_is_logged(server):
    answer = get(server, "/version", headers={"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"})
    assert line_of(server, answer)["client"] == "203.0.113.7"
    assert line_of(server, get(server, "/version"))["client"] == "127.0.0.1"


def test_who_is_not_let_in_is_not_named(server):
    answer = get(server, f"{API}/experiments/get?experiment_id=0", auth=("somebody", WRONG))
    assert answer.status_code == 401
    assert "user" not in line_of(server, answer)


def test_nothing_that_is_sent_wrongly_brings_a_secret_into_the_log(server, ann):
    json_type, artifact = {"content-type": "application/json"}, "/api/2.0/mlflow-artifacts/artifacts/0/run/artifacts/x"

    def send(method, path, user=("admin", ADMIN), **options):
        return requests.request(method, server.url + path, auth=user, timeout=60, **options)

    answers = [
        send("GET", f"{API}/experiments/get?experiment_id={QUERY}&password={QUERY}"),
        send("GET", f"{API}/runs/get?run_id={QUERY}", headers={"cookie": HEADER, "x-api-key": HEADER}),
        get(server, "/", headers={"authorization": HEADER}),
        get(server, "/", headers={"authorization": f"Basic {HEADER}"}),
        get(server, f"{API}/users/get?username={QUERY}", **bearer(HEADER)),
        send("POST", f"{API}/users/create", json={"username": "ann", "password": BODY}),
        send("POST", f"{API}/users/create", json={"username": "eve", "password": "x", "a": BODY}),
        send("POST", f"{API}/runs/log-parameter", data=f'{{"key": "{BODY}', headers=json_type),
        send("POST", f"{API}/runs/create", json={"experiment_id": {"password": BODY}}),
        send("POST", f"{API}/experiments/search", json={"filter": BODY, "max_results": 9}),
        send("POST", "/graphql", json={"query": BODY}),
        send("PATCH", f"{API}/users/update-password", ann, json={"username": BODY, "password": BODY}),
        send("POST", f"{API}/registered-models/create", json={"name": "name", "description": [BODY]}),
        send("PUT", artifact, data=BODY),
        send("GET", artifact),
    ]
    assert [answer.status_code for answer in answers if answer.ok] == []
    assert answers[-1].status_code >= 500  # S3 is away
    assert line_of(server, answers[-1])["status"] == answers[-1].status_code
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(f"GET / HTTP/1.1\r\nHost: here\r\nAuthorization {HEADER}\r\n\r\n".encode())
        assert b" 400 " in connection.recv(1000)
    assert leaks(server.written, SECRETS, ("admin", "ann", "somebody")) == []


def test_a_leak_would_be_seen():
    assert os.environ.get("HUSH") is None
    for text in (f"x{ADMIN}x", "YWRtaW46UXVhcnJ5LUxhbnRlcm4tNzctb3NwcmV5", "S3%2Bhush%2Fsecret%2Fkey%2B0815"):
        assert len(leaks(text, SECRETS, ("admin",))) == 1
    assert leaks("nothing here", SECRETS, ("admin",)) == []
