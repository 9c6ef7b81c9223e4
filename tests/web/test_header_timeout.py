"""Connections that ask for nothing are closed; those that ask are answered, however long that takes."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from servers import in_a_thread
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tinybench.web import header_timeout

REQUEST = b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n"


async def slow(_):
    await asyncio.sleep(1)
    return PlainTextResponse("at last")


@pytest.fixture
def address(monkeypatch):
    """A server that waits half a second for a header."""
    monkeypatch.setattr(header_timeout, "SECONDS", 0.5)
    app = Starlette(routes=[Route("/slow", slow)])
    with in_a_thread(app, http=header_timeout.HeaderTimeoutProtocol) as found:
        yield found


def closed_after(connection, pieces=()):
    """Seconds until the server closes a connection that sends some pieces, one every fifth of a second."""
    began = time.monotonic()
    connection.settimeout(0.2)
    left = list(pieces)
    while time.monotonic() < began + 10:
        try:
            if left:
                connection.sendall(left.pop(0))
            if connection.recv(1000) == b"":
                return time.monotonic() - began
        except TimeoutError:
            continue
        except OSError:
            return time.monotonic() - began
    raise AssertionError("it is still open")


def test_a_connection_that_says_nothing_is_closed(address):
    with socket.create_connection(address) as connection:
        assert 0.3 < closed_after(connection) < 3


def test_a_header_that_comes_byte_by_byte_is_not_waited_for(address):
    with socket.create_connection(address) as connection:
        assert closed_after(connection, [bytes([each]) for each in REQUEST]) < 3


def test_a_request_is_answered_however_long_that_takes_and_another_after_it(address):
    with socket.create_connection(address) as connection:
        for _ in range(2):
            connection.sendall(REQUEST)
            connection.settimeout(5)
            said = b""
            while not said.endswith(b"at last"):
                said += connection.recv(1000)
            time.sleep(0.2)
        assert closed_after(connection) < 3
