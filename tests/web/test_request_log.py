"""Every request is logged once, with an id that its answer has too; nothing of its query, headers or body."""

from __future__ import annotations

import json
import logging
import time

import pytest
import requests
from servers import in_a_thread
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tinybench.web.log_format import JsonFormatter, TextFormatter
from tinybench.web.request_log import RequestLog, current_request


def warn_in_a_thread():
    logging.getLogger("tinybench.here").warning("Something is odd.")


async def page(request):
    await request.body()
    await run_in_threadpool(warn_in_a_thread)
    return PlainTextResponse("page")


async def fail(_):
    raise ValueError("it fails")


async def known(request):
    request.state.username = "ann"
    return PlainTextResponse("known")


class Lines(logging.Handler):
    def __init__(self, formatter):
        super().__init__(logging.INFO)
        self.setFormatter(formatter)
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))

    def wait(self, number):
        """Return the lines once there are so many: a request is logged after its answer."""
        end = time.monotonic() + 10
        while len(self.lines) < number and time.monotonic() < end:
            time.sleep(0.01)
        assert len(self.lines) == number
        return self.lines


@pytest.fixture(params=[JsonFormatter, TextFormatter])
def log(request):
    handler, logger = Lines(request.param()), logging.getLogger("tinybench")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def observed():
    return []


@pytest.fixture
def url(observed):
    routes = [Route("/page", page, methods=["GET", "POST"]), Route("/fail", fail), Route("/known", known)]
    routes.append(Route("/health", known))
    with in_a_thread(RequestLog(Starlette(routes=routes), observed.append, {"/health"})) as (host, port):
        yield f"http://{host}:{port}"


def as_json(log, number):
    if not isinstance(log.formatter, JsonFormatter):
        pytest.skip("of JSON alone")
    return [json.loads(line) for line in log.wait(number)]


def test_a_request_has_one_line_and_its_answer_the_same_id(log, url):
    answer = requests.post(f"{url}/page?token=hush-query", "hush-body", headers={"x-own": "hush-header"}, timeout=10)
    warning, line = as_json(log, 2)
    assert line.keys() >= {"time", "level", "message", "request_id", "method", "path", "status", "milliseconds"}
    assert (line["method"], line["path"], line["status"], line["level"]) == ("POST", "/page", 200, "info")
    assert 0 < line["milliseconds"] < 10_000
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (warning["message"], warning["request_id"]) == ("Something is odd.", line["request_id"])
    assert "method" not in warning


def test_nothing_of_query_headers_and_body_is_logged(log, url):
    requests.post(f"{url}/page?token=hush-query", "hush-body", headers={"x-own": "hush-header"}, timeout=10)
    assert "hush" not in "".join(log.wait(2))


@pytest.mark.parametrize("given", ["a", "0f-A_9.z", "x" * 64])
def test_a_well_formed_id_is_kept(log, url, given):
    answer = requests.get(f"{url}/page", headers={"x-request-id": given}, timeout=10)
    assert answer.headers["x-request-id"] == given
    assert given in log.wait(2)[-1]


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", 'a","b":"', "a\tb", "ä"])
def test_another_id_is_replaced(log, url, given):
    answer = requests.get(f"{url}/page", headers={"x-request-id": given.encode("latin-1")}, timeout=10)
    made = answer.headers["x-request-id"]
    assert len(made) == 16
    assert made in log.wait(2)[-1]
    assert made != requests.get(f"{url}/page", timeout=10).headers["x-request-id"]


def test_a_request_that_fails_is_logged_as_such(log, url, observed):
    answer = requests.get(f"{url}/fail", timeout=10)
    assert answer.status_code == 500
    assert "GET /fail 500" in log.wait(1)[0]
    assert [(request.path, request.status) for request in observed] == [("/fail", 500)]


def test_a_path_cannot_forge_a_line(log, url):
    requests.get(f"{url}/no%0AINFO%0D%22", timeout=10)
    (line,) = log.wait(1)
    assert "GET /no%0AINFO%0D%22 404" in line
    assert "\n" not in line


def test_a_user_that_is_known_is_named(log, url):
    requests.get(f"{url}/known", timeout=10)
    assert as_json(log, 1)[-1]["user"] == "ann"
    requests.get(f"{url}/page", timeout=10)
    assert "user" not in as_json(log, 3)[-1]


def test_checks_of_health_are_not_logged_unless_they_fail(log, url, observed):
    requests.get(f"{url}/health", timeout=10)
    assert requests.post(f"{url}/health", timeout=10).status_code == 405
    assert "POST /health 405" in log.wait(1)[0]
    assert [request.status for request in observed] == [200, 405]


def test_there_is_no_request_outside_of_one():
    assert current_request() is None


def test_what_uvicorn_logs_of_a_failure_has_the_id_and_no_value(url, log):
    logger = logging.getLogger("uvicorn.error")
    logger.addHandler(log)
    try:
        assert requests.get(f"{url}/fail", headers={"X-Request-ID": "of-a-test"}, timeout=10).status_code == 500
        line = log.wait(2)[1]
    finally:
        logger.removeHandler(log)
    assert "of-a-test" in line
    assert "ValueError: …" in line
    assert "it fails" not in line.replace('raise ValueError("it fails")', "").replace(
        'raise ValueError(\\"it fails\\")', ""
    )
