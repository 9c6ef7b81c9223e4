"""A real server on a registered champion: its answers, its limits, broken bodies, many clients, a new champion."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile

import anyio
import mlflow
import numpy as np
import pytest
import requests
from PIL import Image
from servers import in_a_thread
from stores import elsewhere, fresh

import tinybench
from tinybench import data
from tinybench.cli import root
from tinybench.core.errors import ConfigError
from tinybench.recipes.resolve import resolve
from tinybench.registry import policy, promotion
from tinybench.registry.candidates import CandidateQuery
from tinybench.serving import app
from tinybench.tracking import run_record, stored_predictions
from tinybench.tracking.model_versions import CHAMPION, RegisteredModel
from tinybench.tracking.tracker import Tracker

SMALL = {"recipe": "quickstart", "phases": "scratch", "scratch.epochs": 4, "scratch.lr": 3e-3}
SMALL |= {"track.pictures": False, "track.costs": "off"}
NAME = "tinybench-digits"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with two champions, of which the second is one now."""
    made = fresh(tmp_path_factory)
    off = policy.parse("".join(f"[{gate}]\noff = true\n" for gate in policy.GATES))
    with elsewhere(tmp_path_factory):
        for seed in (0, 1):
            run = tinybench.train(**SMALL, seed=seed, **{"track.uri": made}).run_id
            promotion.promote(Tracker.at(made), CandidateQuery(run), off)
    mlflow.set_tracking_uri(None)
    return made


class Served:
    """`tinybench serve` in a process of its own."""

    def __init__(self, store, *words):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        line = [sys.executable, "-m", "tinybench", "serve", NAME, "--uri", store, "--port", self.url.rpartition(":")[2]]
        self._written = TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen([*line, *words], stdout=self._written, stderr=self._written, env=os.environ)

    def written(self):
        """What it wrote until now."""
        self._written.seek(0)
        return self._written.read()

    def until_ready(self):
        end = time.monotonic() + 180
        while time.monotonic() < end:
            with suppress(requests.RequestException):  # it does not listen yet
                found = requests.get(f"{self.url}/ready", timeout=2)
                if found.ok:
                    return found.json()
            assert self.process.poll() is None, self.written()
            time.sleep(0.2)
        raise AssertionError("it was never ready")

    def post(self, body, kind="application/json", session=requests):
        return session.post(f"{self.url}/invocations", data=body, headers={"content-type": kind}, timeout=60)


@pytest.fixture(scope="module")
def served(store):
    made = Served(store, "--follow", "--every", "0.3", "--max-body", "1MB")
    assert made.until_ready()["model"] == f"models:/{NAME}/2"
    yield made
    made.process.terminate()
    assert made.process.wait(40) == 0


@pytest.fixture(scope="module")
def tested(store):
    """Test images as files, and what the champion's run answered for them."""
    tracker = Tracker.at(store)
    champion = RegisteredModel(tracker.client, NAME).get_by_alias(CHAMPION)
    kept = stored_predictions.read_predictions(tracker, run_record.find_final_run(tracker, champion.run_id), "test")
    mlflow.set_tracking_uri(None)
    images = data.load("digits", resolve("quickstart").data, 1, image_size=16).test
    return (
        [file(pixels) for pixels in images.images(slice(0, 60))],
        kept.logits.argmax(axis=1)[:60],
        images.rows[:60],
        kept.rows[:60],
    )


def file(pixels, kind="PNG"):
    made = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(made, kind)
    return made.getvalue()


def test_labels_are_those_that_the_run_kept(served, tested):
    pictures, labels, rows, kept_rows = tested
    assert np.array_equal(rows, kept_rows)
    found = [served.post(picture, "image/png").json()["predictions"][0] for picture in pictures]
    assert [int(answer["labels"][0]) for answer in found] == labels.tolist()
    assert {answer["model_version"] for answer in found} == {"2"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_documented_request_gets_the_documented_answer(served, tested, tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8").splitlines()
    places = [place for place, line in enumerate(page) if line.removeprefix("$ ").startswith("curl ")]
    assert len(places) == 2  # files of a form, and a file as it is
    (tmp_path / "cat.jpg").write_bytes(file(np.asarray(Image.open(io.BytesIO(tested[0][0]))), "JPEG"))
    (tmp_path / "dog.png").write_bytes(tested[0][1])
    for place in places:
        command = shlex.split(page[place].removeprefix("$ ").replace("http://127.0.0.1:5001", served.url))
        answer = json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=60).stdout)
        shown = json.loads(page[place + 1])
        assert answer.keys() == shown.keys()
        assert len(answer["predictions"]) == len(shown["predictions"])
        assert answer["predictions"][0].keys() == shown["predictions"][0].keys()


def post_form(served, pictures, **fields):
    files = [("image", (f"../{number}.png", picture)) for number, picture in enumerate(pictures)]
    return requests.post(f"{served.url}/invocations", files=files, data=fields, timeout=60)


def test_files_of_a_form_get_the_answers_of_json(served, tested):
    pictures = tested[0][:20]
    asked = {"inputs": [base64.b64encode(picture).decode() for picture in pictures], "params": {"top_k": 3}}
    in_json = requests.post(f"{served.url}/invocations", json=asked, timeout=60)
    in_form = post_form(served, pictures, top_k="3")
    assert (in_form.status_code, in_form.content) == (200, in_json.content)
    assert len(in_form.json()["predictions"][0]["labels"]) == 3


def bomb():
    """A picture of a few kilobytes that would take 400 MB as pixels."""
    made = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(made, "PNG")
    return made.getvalue()


def test_files_of_a_form_have_the_limits_of_other_bodies(served, tested):
    good = tested[0][0]
    for pictures, fields, status, words in (
        ([good] * 2 + [bomb()], {}, 400, "Image 3 of 3 cannot be used: more than 50,000,000 pixels."),
        ([good, b"GIF89a"], {}, 400, "Image 2 of 2 cannot be used: not a JPEG, PNG, BMP, WebP or PPM image."),
        ([b""], {}, 400, "The image cannot be used: not a JPEG, PNG, BMP, WebP or PPM image."),
        ([good], {"top_k": "0"}, 400, "Expected top_k as a whole number of at least 1, got '0'."),
        ([good], {"top_k": "abc"}, 400, "Expected top_k as a whole number of at least 1, got 'abc'."),
        ([good], {"file": "x"}, 400, "Expected the fields image and top_k, got 'file'."),
        ([good] * 1025, {}, 400, "Expected at most 1,024 images at once, got 1,025."),
        ([good] * 1026, {}, 400, "Expected at most 1,024 files"),
        ([b"x" * 1_100_000], {}, 413, "larger than the 1 MB"),
    ):
        found = post_form(served, pictures, **fields)
        assert (found.status_code, set(found.json())) == (status, {"error"})
        assert words in found.json()["error"]
    assert post_form(served, [good]).ok
    lines = [line for line in served.written().splitlines() if "POST /invocations" in line]
    assert any("POST /invocations 400" in line for line in lines)
    assert "../0.png" not in served.written()


def test_checks_of_health(served):
    assert requests.get(f"{served.url}/health", timeout=5).status_code == 200
    assert requests.get(f"{served.url}/ping", timeout=5).status_code == 200
    assert requests.get(f"{served.url}/version", timeout=5).text == mlflow.__version__
    assert requests.get(f"{served.url}/ready", timeout=5).json()["ready"]
    absent = requests.get(f"{served.url}/nothing", timeout=5)
    assert (absent.status_code, absent.json()) == (
        404,
        {"error": "Not Found: POST /invocations, GET /health, GET /ready."},
    )


def test_too_large_a_body_is_refused(served):
    found = served.post(b"x" * 1_100_000, "image/png")
    assert found.status_code == 413
    assert "larger than the 1 MB" in found.json()["error"]
    assert found.headers["connection"] == "close"


def broken(number, good):
    """A body that is no good request, made from a good one."""
    chosen = random.Random(number)
    body = bytearray(good)
    kind = chosen.choice(
        ["application/json", "image/png", "application/octet-stream", "multipart/form-data; boundary=b"]
    )
    for _ in range(chosen.randint(1, 30)):
        body[chosen.randrange(len(body))] = chosen.randrange(256)
    cut = bytes(body[: chosen.randrange(len(body))])
    # fmt: off
    shapes = [bytes(body), cut, b'{"inputs": [' + cut + b"]}", b'{"inputs": ["' + cut.hex().encode() + b'"]}',
              b"[" * chosen.randrange(1, 50_000), b'{"inputs": ' + b"[" * 900 + b"]" * 900 + b"}",
              b"--b\r\ncontent-disposition: form-data; name=image; filename=a\r\n\r\n" + cut + b"\r\n--b--"]
    # fmt: on
    return chosen.choice(shapes), kind


def test_500_broken_bodies_end_nothing_and_are_never_the_servers_fault(served, tested):
    good = tested[0][0]
    seen = Counter()
    with requests.Session() as session:
        for number in range(500):
            found = served.post(*broken(number, good), session=session)
            seen[found.status_code] += 1
            if found.status_code != 200:  # some pictures can be read, broken as they are
                assert set(found.json()) == {"error"}
                assert "Traceback" not in found.text
    assert set(seen) <= {200, 400}, seen
    assert seen[400] > 300
    assert served.post(good, "image/png").ok


def clients(served, pictures, requests_each, seen):
    def ask():
        with requests.Session() as session:
            for number in range(requests_each):
                try:
                    found = served.post(pictures[number % len(pictures)], "image/png", session)
                    version = found.json()["predictions"][0]["model_version"] if found.ok else ""
                    seen.append((found.status_code, version))
                except requests.RequestException as error:
                    seen.append((0, str(error)))

    return [threading.Thread(target=ask) for _ in range(8)]


def test_8_clients_and_a_new_champion_lose_no_request(served, tested, store):
    seen: list[tuple[int, str]] = []
    threads = clients(served, tested[0], 125, seen)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(seen) == {(200, "2"): 1000}
    try:
        seen.clear()
        threads = clients(served, tested[0], 600, seen)
        for thread in threads:
            thread.start()
        promotion.rollback(Tracker.at(store), NAME)
        for thread in threads:
            thread.join()
        assert {code for code, _ in seen} == {200}
        end = time.monotonic() + 60
        while served.post(tested[0][0], "image/png").json()["predictions"][0]["model_version"] != "1":
            assert time.monotonic() < end
            time.sleep(0.2)
    finally:
        promotion.rollback(Tracker.at(store), NAME, to_version=2)
        mlflow.set_tracking_uri(None)


def test_what_never_changes_is_not_followed():
    with pytest.raises(ConfigError, match=f"Invalid value for `--follow`: models:/{NAME}/2 never changes"):
        root.cli(["serve", f"models:/{NAME}/2", "--follow"], standalone_mode=False)


def test_more_requests_than_it_may_hold_are_sent_away_and_its_health_is_told_all_the_same():
    class Waiting:
        checked, classifier, problem = threading.Event(), None, ""

        def close(self):
            pass

    made = app.build_app(Waiting(), max_body_bytes=1000, request_threads=2, max_pending=1)
    with in_a_thread(made) as (host, port), ThreadPoolExecutor(1) as others:
        url = f"http://{host}:{port}"
        first = others.submit(requests.post, f"{url}/invocations", b"x", timeout=20)
        time.sleep(0.5)
        refused = requests.post(f"{url}/invocations", b"x", timeout=20)
        assert refused.status_code == 503
        assert refused.json() == {"error": "1 requests are under way already: try again later."}
        assert requests.get(f"{url}/health", timeout=20).status_code == 200
        Waiting.checked.set()
        later = (first.result(20), requests.post(f"{url}/invocations", b"x", timeout=20))
        assert [each.json()["error"] for each in later] == ["The model is not loaded yet."] * 2


def test_a_body_that_does_not_come_is_not_waited_for_for_ever(monkeypatch):
    class Loaded:
        checked, classifier = threading.Event(), object()

        def close(self):
            pass

    Loaded.checked.set()
    monkeypatch.setattr(app, "_TIMEOUT", 0.2)
    made, said = app.build_app(Loaded(), max_body_bytes=1000, request_threads=1), []

    async def never():
        await anyio.sleep(30)

    async def keep(message):
        said.append(message)

    scope = {"type": "http", "method": "POST", "path": "/invocations", "headers": [], "query_string": b""}
    anyio.run(made, scope, never, keep)
    assert said[0]["status"] == 408
    assert said[1]["body"] == b'{"error":"The body did not come within 0 seconds."}'


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("nobody", f"No registered model 'nobody', but {NAME}. Check it, or --uri."),
        (f"models:/{NAME}@nobody", f"{NAME} has no nobody: register one by tinybench promote."),
        (f"models:/{NAME}/99", f"{NAME} has no version 99, but 1, 2."),
    ],
)
def test_what_is_not_there_is_not_served(store, model, words):
    line = [sys.executable, "-m", "tinybench", "serve", model, "--uri", store]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == f"Error: {words}"  # a slow store is told before


@pytest.mark.slow
def test_a_new_champion_is_followed_with_a_number_of_threads(store, tested):
    made = Served(store, "--threads", "1", "--follow", "--every", "0.3")
    try:
        assert made.until_ready()["model"].endswith("/2")
        promotion.rollback(Tracker.at(store), NAME)
        end = time.monotonic() + 60
        while not made.until_ready()["model"].endswith("/1"):
            assert time.monotonic() < end
            time.sleep(0.2)
        assert made.until_ready()["trouble"] == ""
        assert made.post(tested[0][0], "image/png").ok
    finally:
        promotion.rollback(Tracker.at(store), NAME, to_version=2)
        mlflow.set_tracking_uri(None)
        made.process.terminate()
        made.process.wait(60)
    assert all(re.match(r"[\d-]+ [\d:]+ INFO: ", line) for line in made.written().splitlines()), made.written()


@pytest.mark.slow
def test_no_request_to_several_workers_finds_one_without_a_model(store, tested):
    made = Served(store, "--workers", "2", "--threads", "1", "--log-format", "json")
    try:
        made.until_ready()
        assert {made.post(tested[0][0], "image/png").status_code for _ in range(60)} == {200}
        page = requests.get(f"{made.url}/metrics", timeout=60).text
        assert 'tinybench_requests_total{route="/invocations",status="200"} 60.0' in page
        assert f'tinybench_model_workers{{model="models:/{NAME}/2"}} 2.0' in page
        lines = [json.loads(line) for line in made.written().splitlines()]
        assert len([line for line in lines if line.get("path") == "/invocations"]) == 60
    finally:
        made.process.terminate()
        made.process.wait(60)


@pytest.mark.slow
def test_mlflows_own_server_gives_the_same_answers(store, tested, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    line = ["models", "serve", "-m", f"models:/{NAME}@champion", "--env-manager", "local", "--port", port]
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("mlflow")), *line],
        env=os.environ | {"MLFLOW_TRACKING_URI": store, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 120
        while True:
            try:
                requests.get(f"{url}/ping", timeout=2)
                break
            except requests.RequestException:
                assert time.monotonic() < end
                time.sleep(0.5)
        pictures, labels, *_ = tested
        asked = {"inputs": [base64.b64encode(picture).decode() for picture in pictures], "params": {"top_k": 3}}
        found = requests.post(f"{url}/invocations", json=asked, timeout=60)
        assert [int(each["labels"][0]) for each in found.json()["predictions"]] == labels.tolist()
        for wrong in ([], ["what?"], [[[1, 2], [3]]], [None]):
            refused = requests.post(f"{url}/invocations", json={"inputs": wrong}, timeout=60)
            assert refused.status_code == 400
        assert requests.post(f"{url}/invocations", json=asked, timeout=60).ok
        one = np.asarray(Image.open(io.BytesIO(pictures[0])))  # without a list around it
        for content in ({"inputs": one.tolist()}, {"inputs": {"image": one.tolist()}}, {"inputs": [one.tolist()]}):
            (answer,) = requests.post(f"{url}/invocations", json=content, timeout=60).json()["predictions"]
            assert int(answer["labels"][0]) == labels[0]
    finally:
        os.killpg(process.pid, 9)
