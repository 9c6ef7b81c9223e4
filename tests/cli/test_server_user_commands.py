"""The commands `server user`, as a person types them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from team_server import ADMIN, TeamServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamServer]:
    with TeamServer(tmp_path_factory.mktemp("team")) as running:
        yield running


def _run(server: TeamServer, *arguments: str, login: tuple[str, str] = ADMIN) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": server.uri,
        "MLFLOW_TRACKING_USERNAME": login[0],
        "MLFLOW_TRACKING_PASSWORD": login[1],
        "COLUMNS": "100",
    }
    command = [sys.executable, "-m", "tinybench", "server", "user", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_a_user_is_added_listed_and_removed(server: TeamServer, tmp_path: Path):
    added = _run(server, "add", "ada", "--role", "contributor")
    assert added.returncode == 0, added.stderr
    assert added.stderr == ""
    roles, *lines = added.stdout.splitlines()
    assert roles == "Roles: created the role reader; created the role contributor; created the role registrar."
    assert len(lines) == 2
    password = re.search(r"^Password of ada \(not shown again\): (\S+)$", added.stdout, re.MULTILINE)
    assert password is not None
    assert server.ask(("ada", password[1]), "GET", "/api/2.0/mlflow/users/current").ok
    file = tmp_path / "password.txt"
    file.write_text("the-password-of-ada\n")
    changed = _run(server, "passwd", "ada", "--password-file", str(file))
    assert changed.stdout == "Changed the password of ada.\n"
    assert server.ask(("ada", "the-password-of-ada"), "GET", "/api/2.0/mlflow/users/current").ok
    assert "ada    contributor" in _run(server, "list").stdout
    assert _run(server, "remove", "ada").stdout == "Removed ada.\n"
    assert "ada" not in _run(server, "list").stdout


@pytest.mark.slow
def test_errors_are_one_line_without_a_password(server: TeamServer, tmp_path: Path):
    file = tmp_path / "password.txt"
    file.write_text("tooshort")
    for arguments, words in (
        (("add", "bob", "--role", "reader", "--password-file", str(file)), "expected at least 12 characters, got 8"),
        (("add", "bob", "--role", "owner"), "'owner' is not one of 'reader', 'contributor', 'registrar', 'admin'"),
        (("add", "bob", "--role", "reader", "--password-file", "none.txt"), "cannot read none.txt"),
        (("remove", "admin"), "last administrator"),
    ):
        result = _run(server, *arguments)
        assert result.returncode == 2, arguments
        assert words in result.stderr
        assert result.stderr.count("\n") == 1
        assert "tooshort" not in result.stderr
    assert "bob" not in _run(server, "list").stdout


def test_there_is_no_option_for_a_password(server: TeamServer):
    assert "No such option" in _run(server, "add", "bob", "--role", "reader", "--password", "x").stderr
