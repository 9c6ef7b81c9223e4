"""The metrics of the service: what was asked is counted, what waits is shown, and several processes are summed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from servers import in_a_thread

from tinybench.inference.classifier import Classification
from tinybench.inference.image_inputs import ImageError
from tinybench.serving import app
from tinybench.serving.current_model import CurrentModel
from tinybench.serving.prometheus import ServingMetrics
from tinybench.web.request_log import RequestRecord

PNG = {"content-type": "image/png"}


class Classifier:
    """Takes as long as it is told to."""

    def __init__(self):
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def warm_up(self):
        pass

    def __call__(self, images, top_k):
        self.may_go_on.wait(20)
        if images[0] == b"broken":
            raise ImageError("It is no image.")
        return [Classification(["7"], [0.9], "2", [])]


@pytest.fixture
def classifier():
    return Classifier()


@pytest.fixture
def metrics():
    return ServingMetrics(app.PATHS)


@pytest.fixture
def url(classifier, metrics):
    current = CurrentModel(lambda: "models:/digits/2", lambda _: classifier, 5.0, metrics.set_model)
    assert current.checked.wait(10)
    made = app.build_app(current, max_body_bytes=1000, request_threads=1, metrics=metrics)
    with in_a_thread(made) as (host, port):
        yield f"http://{host}:{port}"


def samples(text):
    """The samples of a page, by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read(url):
    answer = requests.get(f"{url}/metrics", timeout=10)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return samples(answer.text)


def until(wanted):
    end = time.monotonic() + 15
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_requests_are_counted_by_route_and_status(url):
    for body in (b"image", b"image", b"broken", b"x" * 2000):
        requests.post(f"{url}/invocations", body, headers=PNG, timeout=10)
    for path in ("health", "nothing", "nothing/else?token=1"):
        requests.get(f"{url}/{path}", timeout=10)
    found = read(url)
    counted = {labels[1:]: value for labels, value in found.items() if labels[0] == "tinybench_requests_total"}
    expected = {("/invocations", "200"): 2, ("/invocations", "400"): 1, ("/invocations", "413"): 1}
    assert counted == expected | {("/health", "200"): 1, ("404", "other"): 2}
    assert read(url)["tinybench_requests_total", "/metrics", "200"] == 1


def test_the_histogram_has_the_durations(url, classifier):
    requests.post(f"{url}/invocations", b"image", headers=PNG, timeout=10)
    classifier.may_go_on.clear()
    threading.Timer(0.3, classifier.may_go_on.set).start()
    requests.post(f"{url}/invocations", b"image", headers=PNG, timeout=10)
    found = read(url)
    name = "tinybench_request_duration_seconds"
    assert found[f"{name}_count", "/invocations"] == 2
    assert 0.25 < found[f"{name}_sum", "/invocations"] < 5
    assert found[f"{name}_bucket", "/invocations", "0.25"] == 1
    assert found[f"{name}_bucket", "+Inf", "/invocations"] == 2


def test_what_waits_and_what_is_under_way_is_shown(url, classifier):
    classifier.may_go_on.clear()  # the one thread classifies, so the others wait

    def state():
        found = read(url)
        return found["tinybench_requests_waiting",], found["tinybench_requests_under_way",]

    with ThreadPoolExecutor(3) as clients:
        sent = [clients.submit(requests.post, f"{url}/invocations", b"i", headers=PNG, timeout=30) for _ in range(3)]
        try:
            until(lambda: state() == (2, 1))
        finally:
            classifier.may_go_on.set()
        assert [future.result().status_code for future in sent] == [200] * 3
    until(lambda: state() == (0, 0))


def test_the_served_version_is_shown_and_an_older_one_no_more(metrics):
    metrics.set_model("models:/digits/1")
    metrics.set_model("models:/digits/2")
    found = samples(metrics.render()[0].decode())
    assert found["tinybench_model_workers", "models:/digits/1"] == 0
    assert found["tinybench_model_workers", "models:/digits/2"] == 1


def test_without_the_library_the_page_says_what_to_install():
    class Waiting:
        def close(self):
            pass

    with in_a_thread(app.build_app(Waiting(), max_body_bytes=10, request_threads=1)) as (host, port):
        answer = requests.get(f"http://{host}:{port}/metrics", timeout=10)
    assert answer.status_code == 404
    assert answer.json() == {
        "error": "There is no /metrics without prometheus_client: pip install 'tinybench[server]'."
    }


PROCESS = """
import sys
from tinybench.web.request_log import RequestRecord
from tinybench.serving.prometheus import ServingMetrics

metrics = ServingMetrics(["/invocations"])
metrics.set_model("models:/digits/2")
metrics.observe(RequestRecord("id", "POST", "/invocations", "", status=200, seconds=0.01))
print("ready", flush=True)
sys.stdin.readline()
print(metrics.render()[0].decode(), flush=True)
"""


def test_processes_are_summed_and_one_that_was_killed_serves_no_more(tmp_path):
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    processes[2].kill()
    processes[2].wait()
    pages = [samples(process.communicate("go\n", timeout=60)[0]) for process in processes[:1]]
    processes[1].communicate("go\n", timeout=60)
    assert pages[0]["tinybench_requests_total", "/invocations", "200"] == 3
    assert pages[0]["tinybench_request_duration_seconds_count", "/invocations"] == 3
    assert pages[0]["tinybench_model_workers", "models:/digits/2"] == 2


def test_a_request_costs_less_than_a_tenth_of_a_millisecond(metrics):
    record = RequestRecord("id", "POST", "/invocations", "", status=200, seconds=0.01)
    rounds = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(1000):
            with metrics.waiting(), metrics.under_way():
                pass
            metrics.observe(record)
        rounds.append(time.perf_counter() - began)
    assert min(rounds) < 0.1  # seconds of 1,000 requests
