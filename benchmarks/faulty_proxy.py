"""A proxy in front of a tracking server that fails in a chosen way."""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = ("502", "502 after", "429", "half", "half before")
"""Faults of a proxy: after the server has done what was asked, if `half` or `after`; in place of it otherwise."""
_HOP_HEADERS = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class FaultyProxy:
    """A proxy on a port of this machine.

    Attributes:
        mode: `pass`; `errors` answers as `choose` says; `slow` waits before each request.
        choose: Returns how to answer a request for a path, one of `FAULTS` or `pass`; at random unless it is replaced.
        delay: Seconds to wait in the mode `slow`.
        limit: Bytes of the largest body that is passed on; a larger one is answered with 413. None for any.
        requests: Number of requests so far.
    """

    def __init__(self, target_port: int) -> None:
        self.mode, self.delay, self.requests = "pass", 2.0, 0
        self.limit: int | None = None
        generator = random.Random(0)
        self.choose: Callable[[str], str] = lambda path: generator.choice([*FAULTS, "pass", "pass"])
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _forward(self) -> None:
                proxy.requests += 1
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fault = proxy.choose(self.path) if proxy.mode == "errors" else "pass"
                if proxy.mode == "slow":
                    time.sleep(proxy.delay)
                if proxy.limit is not None and len(body) > proxy.limit:
                    self._answer(413, b"<html>too large</html>", [])
                    return
                if fault in ("502", "429"):
                    self._answer(int(fault), b"<html>try again later</html>", [])
                    return
                if fault == "half before":  # the request never arrives
                    self._answer(200, b'{"run": {"info"', [], cut=True)
                    return
                upstream = http.client.HTTPConnection("127.0.0.1", target_port, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_HEADERS}
                upstream.request(self.command, self.path, body, headers)
                answer = upstream.getresponse()
                content, status = answer.read(), 502 if fault == "502 after" else answer.status
                self._answer(status, content, answer.getheaders(), cut=fault == "half")
                upstream.close()

            def _answer(self, status: int, content: bytes, headers: list[tuple[str, str]], cut: bool = False) -> None:
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in _HOP_HEADERS:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if cut else content)
                if cut:
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()
