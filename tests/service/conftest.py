"""A team's server for all tests of this folder, with a user of each role."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from team_content import Content
from team_server import ADMIN, TeamServer

from tinybench.service.users import Users

LOGINS = {
    "reader": ("rat", "a-password-of-the-rat"),
    "contributor": ("cat", "a-password-of-the-cat"),
    "registrar": ("ram", "a-password-of-the-ram"),
}
_WITHOUT_A_ROLE = ("owl", "a-password-of-the-owl")


@dataclass(frozen=True)
class Team:
    """A running server, and name and password of a user of each role."""

    server: TeamServer
    logins: dict[str, tuple[str, str]]


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("team")
    with TeamServer(folder, "--metrics-folder", str(folder / "metrics")) as server:
        with pytest.MonkeyPatch.context() as patch:
            log_in(patch, ADMIN)
            users = Users(server.uri)
            for role, login in LOGINS.items():
                users.add(login[0], role, login[1])
        body = dict(zip(("username", "password"), _WITHOUT_A_ROLE, strict=True))
        assert server.ask(ADMIN, "POST", "/api/2.0/mlflow/users/create", json=body).ok
        yield Team(server, {"outsider": _WITHOUT_A_ROLE, **LOGINS, "admin": ADMIN})


@pytest.fixture(scope="session")
def content(team: Team) -> Content:
    """What the administrator put on the server."""
    return Content(team.server.uri)


@pytest.fixture
def users(team: Team, monkeypatch: pytest.MonkeyPatch) -> Users:
    """The users of the server, as its administrator."""
    log_in(monkeypatch, ADMIN)
    return Users(team.server.uri)


def log_in(patch: pytest.MonkeyPatch, login: tuple[str, str]) -> None:
    """Have MLflow's client send a name and a password."""
    patch.setenv("MLFLOW_TRACKING_USERNAME", login[0])
    patch.setenv("MLFLOW_TRACKING_PASSWORD", login[1])
