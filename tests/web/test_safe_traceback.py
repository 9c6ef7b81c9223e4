"""A traceback within a request shows where and what kind, and quotes nothing that was sent."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from graphql import parse

from tinybench.web.safe_traceback import format_without_values


def raised(action):
    try:
        action()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def integrity():
    with sa.create_engine("sqlite://").connect() as connection:
        connection.execute(sa.text("create table t (a text check (a = 'x'))"))
        connection.execute(sa.text("insert into t values (:a)"), {"a": "hush"})


@pytest.mark.parametrize(
    ("action", "name"),
    [
        (lambda: int("hush"), "ValueError"),
        (lambda: {}["hush"], "KeyError"),
        (lambda: parse("hush"), "GraphQLSyntaxError"),
        (integrity, "IntegrityError"),
    ],
)
def test_values_are_not_shown(action, name):
    text = format_without_values(raised(action))
    last = text.splitlines()[-1]
    assert "hush" not in last
    assert last.endswith(f"{name}: …")
    assert text.startswith("Traceback (most recent call last):\n  File ")


def test_what_speaks_of_files_connections_and_code_is_shown():
    assert format_without_values(raised(lambda: Path("/none").read_text())).endswith(
        "No such file or directory: '/none'"
    )
    assert format_without_values(raised(lambda: None.none)).endswith("has no attribute 'none'")
    unable = raised(lambda: sqlite3.connect("/none/none").execute("x"))
    assert format_without_values(unable).endswith("sqlite3.OperationalError: unable to open database file")


def test_earlier_exceptions_come_first():
    def fail():
        try:
            int("hush")
        except ValueError as error:
            raise RuntimeError("hush") from error

    lines = format_without_values(raised(fail)).splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        "Traceback (most recent call last):",
        "ValueError: …",
        "It led to:",
        "Traceback (most recent call last):",
        "RuntimeError: …",
    ]
