"""Every route of a team's server, as nobody, as a user without a role, and as each role."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import requests
from conftest import Team
from judged_routes import ADMIN, ANYONE, JUDGEMENTS, PARTS, PUBLIC, USERS, Judgement
from team_content import MARK, Content
from team_server import ADMIN as ADMIN_LOGIN

from tinybench.service import process
from tinybench.service.settings import ServerSettings

_PLAYERS = USERS[USERS.index(PUBLIC) : USERS.index(ADMIN) + 1]


@pytest.fixture(scope="session")
def routes(team: Team) -> list[tuple[str, str]]:
    """The method and path of every route, from the application itself."""
    folder = team.server.folder / "routes"
    folder.mkdir()
    settings = ServerSettings(
        f"sqlite:///{team.server.folder}/mlflow.db",
        str(team.server.folder / "artifacts"),
        auth=True,
        admin_password=ADMIN_LOGIN[1],
    )
    environment = process.build_environment(settings, folder) | {
        "_MLFLOW_SGI_NAME": "uvicorn",
        "prometheus_multiproc_dir": str(folder / "metrics"),
    }
    command = [sys.executable, str(Path(__file__).with_name("server_routes.py"))]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]
    return [(method, path) for method, path in json.loads(result.stdout)]


def _key(method: str, path: str) -> str:
    return f"{method} {re.sub('^/ajax-api', '/api', path)}"


def _is_judged(method: str) -> bool:
    return method not in ("HEAD", "OPTIONS")  # of these see below


class _Caller:
    """Sends the request of a judgement as one user."""

    def __init__(self, team: Team, content: Content, user: str) -> None:
        self._uri, self._content, self._user = team.server.uri, content, user
        self._session = requests.Session()
        self._session.auth = team.logins.get(user)
        self._session.trust_env = False  # no password of a .netrc

    def call(self, method: str, path: str, judgement: Judgement) -> requests.Response:
        fresh = judgement.allows(self._user)
        query, body, headers, parts = (
            self._content.fill(value, fresh=fresh)
            for value in (judgement.query, judgement.body, judgement.headers, PARTS | (judgement.parts or {}))
        )
        payload = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        address = self._uri + re.sub(r"<(\w+)>", lambda part: parts.get(part[1], "none"), path)
        return self._session.request(
            method, address, params=query, headers=headers, allow_redirects=False, timeout=60, **payload
        )


def _find_problem(user: str, judgement: Judgement, answer: requests.Response) -> str | None:
    """Say what is wrong with an answer; None if nothing is."""
    got = f"got {answer.status_code}: {answer.text[:200]}"
    if judgement.allows(user):
        hundreds = answer.status_code // 100
        if judgement.status not in (answer.status_code, hundreds) or answer.status_code in (401, 403):
            return f"expected {judgement.status}, {got}"
        return f"expected content, {got}" if judgement.filtered and MARK not in answer.text else None
    if MARK in answer.text:
        return f"gave content away, {got}"
    if judgement.filtered and user != PUBLIC and answer.status_code == 200:
        return None
    expected = 401 if user == PUBLIC else judgement.refusal
    return None if answer.status_code == expected else f"expected {expected}, {got}"


def _walk(team: Team, content: Content, user: str, routes: list[tuple[str, str]]) -> None:
    caller = _Caller(team, content, user)
    problems, walked = [], 0
    for method, path in routes:
        judgement = JUDGEMENTS.get(_key(method, path))
        if not _is_judged(method) or judgement is None or (judgement.status == 0 and judgement.allows(user)):
            continue
        walked += 1
        problem = _find_problem(user, judgement, caller.call(method, path, judgement))
        if problem is not None:
            problems.append(f"{method} {path}: {problem}")
    assert not problems, "\n".join([f"{len(problems)} as {user}:", *problems])
    assert walked > 200


def test_every_route_is_judged_and_every_judgement_has_a_route(routes: list[tuple[str, str]]):
    existing = {_key(method, path) for method, path in routes if _is_judged(method)}
    assert not sorted(existing - JUDGEMENTS.keys()), "judge these: who may use them?"
    assert not sorted(JUDGEMENTS.keys() - existing), "these routes are no more"


@pytest.mark.parametrize("user", _PLAYERS)
def test_each_user_gets_what_the_role_may_and_no_more(
    team: Team, content: Content, routes: list[tuple[str, str]], user: str
):
    twins = _twins(routes)
    _walk(team, content, user, [route for route in routes if route not in twins])


@pytest.mark.slow
@pytest.mark.parametrize("user", _PLAYERS)
def test_the_routes_of_the_web_page_are_as_closed_as_their_twins(
    team: Team, content: Content, routes: list[tuple[str, str]], user: str
):
    _walk(team, content, user, _twins(routes))


def _twins(routes: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the routes under /ajax-api that are there under /api as well."""
    counts = Counter(_key(*route) for route in routes)
    return [route for route in routes if route[1].startswith("/ajax-api") and counts[_key(*route)] > 1]


def test_what_is_public_holds_no_data(team: Team, content: Content):
    public = [key.split() for key, judgement in JUDGEMENTS.items() if judgement.least == PUBLIC]
    caller = _Caller(team, content, PUBLIC)
    texts = {path: caller.call(method, path, JUDGEMENTS[f"{method} {path}"]).text for method, path in public}
    assert sorted(texts) == ["/api/3.0/mlflow/server-info", "/health", "/static-files/<path>"]
    assert texts["/health"] == "OK"
    info = json.loads(texts["/api/3.0/mlflow/server-info"])
    assert info.pop("store_type") == "SqlStore"
    info |= info.pop("features_enabled")
    assert {type(value) for value in info.values()} == {bool}, info
    assert str(team.server.folder) not in "".join(texts.values())


@pytest.mark.parametrize(
    "method", ["HEAD", *(pytest.param(method, marks=pytest.mark.slow) for method in ("OPTIONS", "TRACE", "PROPFIND"))]
)
def test_other_methods_open_no_door(team: Team, content: Content, routes: list[tuple[str, str]], method: str):
    problems = []
    for user in (PUBLIC, ANYONE):
        caller = _Caller(team, content, user)
        for path in sorted({path for _, path in routes if path.startswith(("/api", "/get", "/graphql", "/gateway"))}):
            key = next(key for each, route in routes if route == path and (key := _key(each, path)) in JUDGEMENTS)
            judgement = JUDGEMENTS[key]
            if judgement.allows(user):
                continue
            answer = caller.call(method, path, judgement)
            expected = (401,) if user == PUBLIC else (403, 404, 405, judgement.refusal)
            is_empty = user != PUBLIC and judgement.filtered and answer.text == ""
            if MARK in answer.text or (answer.status_code not in expected and not is_empty):
                problems.append(f"{user}: {method} {path}: {answer.status_code} {answer.text[:100]}")
    assert not problems, "\n".join(problems)


_TARGETS = (
    "/api/2.0/mlflow/experiments/search?max_results=10",
    "/api/2.0/mlflow/experiments/get?experiment_id=$experiment",
    "/get-artifact?run_id=$run&path=zebra.txt",
    "/api/2.0/mlflow-artifacts/artifacts/$experiment/$run/artifacts/zebra.txt",
    "/api/2.0/mlflow/users/list",
    "/api/3.0/mlflow/mcp-servers",
    "/ajax-api/3.0/mlflow/assistant/config",
    "/metrics",
)
_TRICKS = {
    "double slash": lambda path: "/" + path,
    "double slash within": lambda path: path.replace("/mlflow", "//mlflow", 1),
    "trailing slash": lambda path: path.replace("?", "/?", 1) if "?" in path else path + "/",
    "encoded letter": lambda path: path.replace("mlflow", "%6dlflow", 1),
    "encoded slash": lambda path: path.replace("/mlflow", "%2fmlflow", 1),
    "encoded twice": lambda path: path.replace("mlflow", "%256dlflow", 1),
    "upper case": lambda path: path.replace("mlflow", "MLFLOW", 1).replace("metrics", "METRICS"),
    "parameter": lambda path: path.replace("/mlflow", ";a=1/mlflow", 1),
    "from static files": lambda path: "/static-files/.." + path,
    "from static files, encoded": lambda path: "/static-files/%2e%2e" + path,
    "from health": lambda path: "/health/.." + path,
    "health before": lambda path: "/health" + path,
    "favicon before": lambda path: "/favicon.ico/%2e%2e" + path,
    "public tail": lambda path: path.partition("?")[0] + "/api/3.0/mlflow/server-info",
    "whole address": lambda path: "http://elsewhere" + path,
    "backslash": lambda path: path.replace("/mlflow", "\\mlflow", 1),
    "zero byte": lambda path: path.replace("?", "%00?", 1) if "?" in path else path + "%00",
}


@pytest.mark.parametrize("trick", _TRICKS)
@pytest.mark.parametrize("user", [PUBLIC, ANYONE])
def test_no_spelling_of_an_address_opens_it(team: Team, content: Content, trick: str, user: str):
    login = team.logins.get(user)
    headers = {"Host": f"127.0.0.1:{team.server.port}"}
    if login is not None:
        headers["Authorization"] = requests.auth._basic_auth_str(*login)
    for target in _TARGETS:
        path = _TRICKS[trick](content.fill(target))
        connection = http.client.HTTPConnection("127.0.0.1", team.server.port, timeout=60)
        connection._validate_path = lambda path: None  # type: ignore[method-assign]
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
        is_empty_list = user == ANYONE and "/experiments/search" in path and "experiment_id" not in text
        assert answer.status in (400, 401, 403, 404, 405) or is_empty_list, (path, answer.status, text[:200])
        assert not any(word in text for word in (MARK, ADMIN_LOGIN[0] + '"', "process_cpu")), (path, text[:200])


@pytest.mark.parametrize(
    "headers",
    [
        {"X-HTTP-Method-Override": "GET"},
        {"X-Original-URL": "/health"},
        {"X-Rewrite-URL": "/health"},
        {"X-Forwarded-Prefix": "/health"},
        {"X-Forwarded-For": "127.0.0.1"},
        {"X-MLflow-Authorization": "Basic YWRtaW46"},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic //8="},
        {"Authorization": "Basic YWRtaW4="},
        {"Authorization": "basic\tYWRtaW46"},
        {"Authorization": "Digest username=admin"},
        {"Authorization": "Bearer admin"},
        {"Authorization": "Basic YWRtaW46"},
        {"Remote-User": "admin"},
    ],
    ids=lambda headers: ":".join(*headers.items()),
)
def test_no_header_opens_an_address(team: Team, content: Content, headers: dict[str, str]):
    for target in _TARGETS:
        answer = team.server.ask(None, "GET", content.fill(target), headers=headers)
        assert answer.status_code == 401, (target, answer.text)
        assert MARK not in answer.text


def test_a_workspace_opens_no_address(team: Team, content: Content):
    for target in _TARGETS:
        answer = team.server.ask(None, "GET", content.fill(target), headers={"X-Mlflow-Workspace": "default"})
        assert answer.status_code >= 400, target  # MLflow has an error for those who name one: it has none
        assert MARK not in answer.text
