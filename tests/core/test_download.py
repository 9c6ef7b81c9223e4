"""Downloads against a real server on this machine, one that breaks off, lies, or is not there."""

import hashlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tinybench.core import download
from tinybench.core.download import fetch
from tinybench.core.errors import DataError, WeightsError

BODY = bytes((index * 7919 >> 3) % 251 for index in range(3_000_000))
SHA = f"sha256:{hashlib.sha256(BODY).hexdigest()}"


class Handler(BaseHTTPRequestHandler):
    """Serves `server.body`; `server.options` says how badly."""

    def do_GET(self):
        server, options = self.server, self.server.options
        server.requests.append(dict(self.headers))
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.end_headers()
            return
        if options.get("statuses"):
            self.send_error(options["statuses"].pop(0))
            return
        start = self.start(options)
        if start >= len(server.body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.body)}")
            self.end_headers()
            return
        self.send_body(start, options)

    def start(self, options):
        wanted = self.headers.get("Range")
        stale = self.headers.get("If-Range") not in (None, options.get("etag"))
        if not wanted or stale or options.get("ignores_range"):
            return 0
        return int(wanted.removeprefix("bytes=").removesuffix("-"))

    def send_body(self, start, options):
        body = self.server.body
        self.send_response(206 if start else 200)
        if options.get("etag"):
            self.send_header("ETag", options["etag"])
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = start + options["breaks_after"] if options.get("breaks_after") else len(body)
        self.wfile.write(body[start:end])
        self.close_connection = True

    def log_message(self, *arguments):
        pass


@contextmanager
def serving(body=BODY, **options):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.body, server.options, server.requests = body, options, []
    server.url = f"http://127.0.0.1:{server.server_port}/file"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def target(tmp_path):
    return tmp_path / "new" / "file.bin"


def left(target):
    return sorted(path.name for path in target.parent.iterdir() if path.suffix != ".lock")


def test_file_arrives_whole_and_alone(target):
    with serving() as server:
        assert fetch(server.url, target, SHA) == target
        assert target.read_bytes() == BODY
        assert left(target) == ["file.bin"]
        fetch(server.url, target, SHA)
        assert len(server.requests) == 1


def test_a_damaged_file_that_is_there_is_replaced(target):
    target.parent.mkdir()
    target.write_bytes(BODY[:-1])
    with serving() as server:
        fetch(server.url, target, SHA)
    assert target.read_bytes() == BODY
    assert left(target) == ["file.bin"]


def test_a_damaged_file_stays_where_nothing_better_comes(target, nowhere):
    target.parent.mkdir()
    target.write_bytes(BODY[:-1])
    with pytest.raises(DataError):
        fetch(nowhere, target, SHA, pause=0)
    assert target.read_bytes() == BODY[:-1]


def test_redirects_are_followed(target):
    with serving() as server:
        fetch(server.url.replace("/file", "/moved"), target, SHA)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("options", [{"etag": '"one"'}, {}])
def test_broken_transfer_goes_on_where_it_stopped(target, options):
    with serving(breaks_after=400_000, **options) as server:
        fetch(server.url, target, SHA, pause=0)
    assert target.read_bytes() == BODY
    assert len(server.requests) == 8
    starts = [int(request["Range"].strip("bytes=-")) for request in server.requests[1:]]
    assert all(0 <= 400_000 * step - start < step * 2**14 for step, start in enumerate(starts, 1))
    assert server.requests[3].get("If-Range") == options.get("etag")


def test_later_run_resumes_what_an_earlier_one_left(target):
    with serving(breaks_after=1_000_000, etag='"one"', ignores_range=True) as server:
        with pytest.raises(DataError, match="broke off"):
            fetch(server.url, target, SHA, pause=0)
        assert left(target) == ["file.bin.part", "file.bin.part.json"]
        server.options.update(breaks_after=None, ignores_range=False)
        server.requests.clear()
        fetch(server.url, target, SHA)
        assert len(server.requests) == 1
        assert server.requests[0]["If-Range"] == '"one"'
        assert 0 <= 1_000_000 - int(server.requests[0]["Range"].strip("bytes=-")) < 2**14
    assert target.read_bytes() == BODY


def test_server_without_ranges_is_started_anew(target):
    target.parent.mkdir()
    target.with_name("file.bin.part").write_bytes(b"x" * 1000)
    with serving(ignores_range=True) as server:
        fetch(server.url, target, SHA)
    assert target.read_bytes() == BODY


def test_changed_file_is_not_joined_with_the_old_half(target):
    with serving(b"old" * 500_000, breaks_after=1_000_000, etag='"old"', ignores_range=True) as server:
        with pytest.raises(DataError):
            fetch(server.url, target, pause=0)
        server.body = BODY
        server.options.update(etag='"new"', ignores_range=False, breaks_after=None)
        fetch(server.url, target)
    assert target.read_bytes() == BODY


def test_part_that_is_complete_already_is_taken(target):
    target.parent.mkdir()
    target.with_name("file.bin.part").write_bytes(BODY)
    with serving() as server:
        fetch(server.url, target, SHA)
        assert server.requests[0]["Range"] == f"bytes={len(BODY)}-"
    assert target.read_bytes() == BODY


def test_part_that_is_too_long_is_thrown_away(target):
    target.parent.mkdir()
    target.with_name("file.bin.part").write_bytes(BODY + b"more")
    with serving() as server:
        fetch(server.url, target, SHA, pause=0)
    assert target.read_bytes() == BODY


def test_busy_server_is_asked_again(target):
    with serving(statuses=[503, 429]) as server:
        fetch(server.url, target, SHA, pause=0)
        assert len(server.requests) == 3


def test_missing_file_is_not_asked_for_again(target):
    with serving(statuses=[404]) as server:
        with pytest.raises(DataError, match="answered 404"):
            fetch(server.url, target, SHA)
        assert len(server.requests) == 1


def test_wrong_hash_is_refused_and_nothing_is_left(target):
    with serving() as server, pytest.raises(DataError, match=r"sha256 [0-9a-f]{64} instead of 00ff and was deleted"):
        fetch(server.url, target, "sha256:00ff")
    assert left(target) == []


@pytest.fixture
def nowhere():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/file"


def test_no_server_at_all_says_what_to_do(target, nowhere):
    with pytest.raises(DataError) as caught:
        fetch(nowhere, target, SHA, pause=0)
    message = str(caught.value)
    assert message.startswith(f"Cannot fetch {nowhere} (")
    assert "refused" in message
    assert message.endswith(f"). Try again, or fetch it by hand and put it at {target}.")
    assert "\n" not in message


def test_caller_decides_the_error_and_the_way_out(target, nowhere):
    with pytest.raises(WeightsError, match=r"refused.*\)\. Take none\.$"):
        fetch(nowhere, target, SHA, way_out="Take none.", error=WeightsError, pause=0)


def test_unknown_host_names_the_host(target):
    with pytest.raises(DataError, match=r"Cannot fetch http://nowhere\.invalid/file \("):
        fetch("http://nowhere.invalid/file", target, pause=0)


def test_size_limit(target):
    with serving() as server, pytest.raises(DataError, match="3,000,000 bytes are more than the 1,000,000 allowed"):
        fetch(server.url, target, size_limit=1_000_000)


def test_full_disk_is_seen_before(target, monkeypatch):
    monkeypatch.setattr(download, "_RESERVE", 2**62)
    with serving() as server, pytest.raises(DataError, match=r"has room for .* bytes, but 3,000,000 are needed"):
        fetch(server.url, target)


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="cannot write to"):
        fetch("http://127.0.0.1:9/file", tmp_path / "file" / "target")


def test_two_at_once_fetch_once(target):
    with serving() as server, ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: fetch(server.url, target, SHA), range(2)))
        assert len(server.requests) == 1
    assert target.read_bytes() == BODY


def test_quiet_when_not_a_terminal(target, capfd):
    with serving() as server:
        fetch(server.url, target, SHA)
    assert capfd.readouterr() == ("", "")
