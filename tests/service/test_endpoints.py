"""Every route of a team's server, as nobody, as a user without a role, and as each role."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from judged_routes import ADMIN, ANYONE, CONTRIBUTOR, JUDGEMENTS, PARTS, PUBLIC, READER, REGISTRAR, Judgement
from team_content import MARK, Content
from team_server import ADMIN as ADMIN_LOGIN
from team_server import TeamServer

from tinybench.service import process
from tinybench.service.settings import ServerSettings

LOGINS = {
    ANYONE: ("owl", "a-password-of-the-owl"),
    READER: ("rat", "a-password-of-the-rat"),
    CONTRIBUTOR: ("cat", "a-password-of-the-cat"),
    REGISTRAR: ("ram", "a-password-of-the-ram"),
    ADMIN: ADMIN_LOGIN,
}
_SETTINGS = {"admin_password": ADMIN_LOGIN[1], "auth": True}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    folder = tmp_path_factory.mktemp("team")
    with TeamServer(folder, "--metrics-folder", str(folder / "metrics")) as running:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN_LOGIN[0])
            patch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN_LOGIN[1])
            from tinybench.service.users import Users

            users = Users(running.uri)
            for role in (READER, CONTRIBUTOR, REGISTRAR):
                users.add(LOGINS[role][0], role, LOGINS[role][1])
        name, password = LOGINS[ANYONE]
        body = {"username": name, "password": password}
        assert running.ask(ADMIN_LOGIN, "POST", "/api/2.0/mlflow/users/create", json=body).ok
        yield running


@pytest.fixture(scope="module")
def content(server: TeamServer) -> Content:
    return Content(server)


@pytest.fixture(scope="module")
def routes(server: TeamServer) -> list[tuple[str, str]]:
    """The method and path of every route, from the application itself."""
    folder = server.folder / "routes"
    folder.mkdir()
    settings = ServerSettings(f"sqlite:///{server.folder}/mlflow.db", str(server.folder / "artifacts"), **_SETTINGS)
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


def _is_walked(method: str) -> bool:
    return method not in ("HEAD", "OPTIONS")


class _Caller:
    """Sends the request of a judgement as one user."""

    def __init__(self, server: TeamServer, content: Content, user: str) -> None:
        self._uri, self._content, self._user = server.uri, content, user
        self._session = requests.Session()
        self._session.auth = LOGINS.get(user)
        self._session.trust_env = False  # no password of a .netrc

    def call(self, method: str, path: str, judgement: Judgement) -> requests.Response:
        parts = PARTS | (judgement.parts or {})
        filled = re.sub(r"<(\w+)>", lambda part: self._content.fill(parts.get(part[1], "none")), path)
        body = self._content.fill(judgement.body)
        payload = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        return self._session.request(
            method,
            self._uri + filled,
            params=self._content.fill(judgement.query),
            headers=self._content.fill(judgement.headers),
            allow_redirects=False,
            timeout=30,
            **payload,
        )


def _problem(user: str, judgement: Judgement, answer: requests.Response) -> str | None:
    """Say what is wrong with an answer; None if nothing is."""
    if judgement.allows(user):
        is_right = answer.status_code in (
            judgement.status,
            *range(judgement.status * 100, judgement.status * 100 + 100),
        )
        if not is_right or answer.status_code in (401, 403):
            return f"expected {judgement.status}, got {answer.status_code}: {answer.text[:200]}"
        if judgement.filtered and MARK not in answer.text:
            return f"expected the content, got {answer.text[:200]}"
        return None
    if MARK in answer.text:
        return f"gave away {answer.text[:200]}"
    if user == PUBLIC:
        return None if answer.status_code == 401 else f"expected 401, got {answer.status_code}: {answer.text[:200]}"
    if judgement.filtered and answer.status_code == 200:
        return None
    right = judgement.refusal
    return None if answer.status_code == right else f"expected {right}, got {answer.status_code}: {answer.text[:200]}"


def test_every_route_is_judged_and_every_judgement_has_a_route(routes: list[tuple[str, str]]):
    existing = {_key(method, path) for method, path in routes if _is_walked(method)}
    assert not existing - JUDGEMENTS.keys(), "judge these: who may use them?"
    assert not JUDGEMENTS.keys() - existing, "these routes are no more"


@pytest.mark.parametrize("user", [PUBLIC, *LOGINS])
def test_each_user_gets_what_the_role_may_and_no_more(
    server: TeamServer, content: Content, routes: list[tuple[str, str]], user: str
):
    caller = _Caller(server, content, user)
    problems = []
    for method, path in routes:
        judgement = JUDGEMENTS.get(_key(method, path))
        if not _is_walked(method) or judgement is None or (judgement.status == 0 and judgement.allows(user)):
            continue
        problem = _problem(user, judgement, caller.call(method, path, judgement))
        if problem is not None:
            problems.append(f"{method} {path}: {problem}")
    assert not problems, "\n".join([f"{len(problems)} as {user}:", *problems])
