"""What clients send over HTTP: an image without its batch, compressed bodies, and requests of web pages."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zlib

import keras
import numpy as np
import pytest
import requests
from loaded_classifier import LoadedClassifier
from PIL import Image
from servers import in_a_thread

from tinybench.inference.classifier import ImageClassifier, ModelInfo
from tinybench.serving import app

SHAPE = (12, 10, 3)
PAGE = "https://app.example.org"
MAX_BODY = 100_000


@pytest.fixture(scope="module")
def current():
    keras.utils.set_random_seed(0)
    given = keras.Input(SHAPE, dtype="uint8")
    logits = keras.layers.Dense(3, name="logits")(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(given)))
    model = keras.Model(given, keras.layers.Softmax()(logits))
    return LoadedClassifier(ImageClassifier(model, ModelInfo(("ant", "bee", "cat"), SHAPE), "1"))


@pytest.fixture(scope="module")
def url(current):
    with in_a_thread(app.build_app(current, max_body_bytes=MAX_BODY, request_threads=2)) as (host, port):
        yield f"http://{host}:{port}"


@pytest.fixture(scope="module")
def open_url(current):
    made = app.build_app(current, max_body_bytes=MAX_BODY, request_threads=2, origins=(PAGE, "http://localhost:3000"))
    with in_a_thread(made) as (host, port):
        yield f"http://{host}:{port}"


def pixels(*shape):
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def ask(url, content):
    return requests.post(f"{url}/invocations", json=content, timeout=60)


ONE = pixels(12, 10, 3)
GRAY = pixels(12, 10)


@pytest.mark.parametrize(
    ("content", "images"),
    [
        ({"inputs": ONE.tolist()}, [ONE]),
        ({"inputs": [ONE.tolist()]}, [ONE]),
        ({"instances": ONE.tolist()}, [ONE]),
        ({"instances": [{"image": ONE.tolist()}]}, [ONE]),
        ({"inputs": {"image": ONE.tolist()}}, [ONE]),
        ({"inputs": {"image": [ONE.tolist(), GRAY.tolist()]}}, [ONE, GRAY]),
        ({"dataframe_split": {"columns": ["image"], "data": [[ONE.tolist()]]}}, [ONE]),
        ({"dataframe_records": [{"image": ONE.tolist()}, {"image": GRAY.tolist()}]}, [ONE, GRAY]),
        ({"inputs": GRAY.tolist()}, [GRAY]),
        ({"inputs": [GRAY.tolist()]}, [GRAY]),
        ({"inputs": [GRAY.tolist(), GRAY[:9].tolist()]}, [GRAY, GRAY[:9]]),
        ({"inputs": ONE.tolist(), "params": {"top_k": 5}}, [ONE]),
    ],
)
def test_each_image_gets_one_answer(url, current, content, images):
    found = ask(url, content)
    assert found.status_code == 200, found.text
    wanted = [current.classifier([image])[0] for image in images]
    assert [each["labels"] for each in found.json()["predictions"]] == [each.labels for each in wanted]
    np.testing.assert_allclose(
        [each["probabilities"] for each in found.json()["predictions"]],
        [each.probabilities for each in wanted],
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"inputs": pixels(3, 12, 10).tolist()}, "one image with its channels first (3, 12, 10), or three gray images"),
        ({"inputs": pixels(5, 360).tolist()}, "rows of 360 numbers"),
        ({"inputs": pixels(360).tolist()}, "numbers without rows"),
        ({"inputs": pixels(8, 8, 2).tolist()}, "got (8, 8, 2)"),
        ({"inputs": [[[1, 2, 3], [4, 5]]] * 2}, "lists of unlike lengths or depths"),
        ({"dataframe_split": {"columns": ["image"], "data": ONE.tolist()}}, "dataframe_split as one column of images"),
        ({"dataframe_split": {"columns": ["image"], "data": [[[ONE.tolist()]]]}}, "got (1, 12, 10, 3)"),
    ],
)
def test_what_can_mean_two_things_is_no_answer(url, content, words):
    found = ask(url, content)
    assert (found.status_code, set(found.json())) == (400, {"error"})
    assert words in found.json()["error"]


def encoded():
    file = io.BytesIO()
    Image.fromarray(ONE).save(file, "PNG")
    return file.getvalue()


def compressed(url, body, encoding, kind="application/json"):
    headers = {"content-type": kind, "content-encoding": encoding}
    return requests.post(f"{url}/invocations", data=body, headers=headers, timeout=60)


def test_compressed_bodies_get_the_answer_of_plain_ones(url):
    content = {"inputs": [base64.urlsafe_b64encode(encoded()).decode().rstrip("=")]}
    plain = ask(url, content)
    body = json.dumps(content).encode()
    form = requests.Request("POST", url, files=[("image", ("a.png", encoded()))]).prepare()
    for found in (
        compressed(url, gzip.compress(body), "gzip"),
        compressed(url, zlib.compress(body), "deflate"),
        compressed(url, gzip.compress(encoded()), "gzip", "image/png"),
        compressed(url, gzip.compress(form.body), "gzip", form.headers["content-type"]),
    ):
        assert (found.status_code, found.content) == (200, plain.content)


def test_compressed_bodies_have_the_limits_of_plain_ones(url):
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < MAX_BODY
    for body, encoding, status, words in (
        (bomb, "gzip", 413, "once it is unpacked"),
        (b"{}", "gzip", 400, "it is not gzip, or cut off"),
        (b"{}", "br", 415, "Expected Content-Encoding gzip or deflate, or none, got 'br'."),
    ):
        found = compressed(url, body, encoding)
        assert (found.status_code, set(found.json())) == (status, {"error"})
        assert words in found.json()["error"]
        assert found.headers.get("accept-encoding") == ("gzip, deflate" if status == 415 else None)
    assert ask(url, {"inputs": ONE.tolist()}).ok


def preflight(url, origin=PAGE, method="POST", headers="content-type"):
    asked = {"origin": origin, "access-control-request-method": method, "access-control-request-headers": headers}
    return requests.options(f"{url}/invocations", headers=asked, timeout=60)


def allowed(found):
    return {name: value for name, value in found.headers.items() if name.startswith("access-control")}


def test_a_page_may_use_the_service_that_names_it(open_url):
    for origin in (PAGE, "http://localhost:3000"):
        found = preflight(open_url, origin, headers="content-type,content-encoding")
        assert found.status_code == 200
        assert found.headers["access-control-allow-origin"] == origin
        assert found.headers["access-control-allow-methods"] == "GET, POST"
        assert "Content-Encoding" in found.headers["access-control-allow-headers"]
    for content, status in (({"inputs": ONE.tolist()}, 200), ({"inputs": "what?"}, 400), ({}, 400)):
        found = requests.post(f"{open_url}/invocations", json=content, headers={"origin": PAGE}, timeout=60)
        assert found.status_code == status
        assert found.headers["access-control-allow-origin"] == PAGE
        assert found.headers["access-control-expose-headers"] == "X-Request-ID"
        assert found.headers["vary"] == "Origin"


def test_other_pages_may_not(open_url):
    for wrong in (
        preflight(open_url, "https://other.example.org"),
        preflight(open_url, "https://app.example.org.evil.org"),
        preflight(open_url, "null"),
    ):
        assert wrong.status_code == 400
        assert "access-control-allow-origin" not in allowed(wrong)
    assert preflight(open_url, method="DELETE").status_code == 400
    found = requests.post(
        f"{open_url}/invocations", json={"inputs": ONE.tolist()}, headers={"origin": "null"}, timeout=60
    )
    assert "access-control-allow-origin" not in allowed(found)  # answered, and kept from the page by its browser


def test_no_page_may_without_the_option(url):
    refused = preflight(url)
    assert (refused.status_code, allowed(refused)) == (405, {})
    found = requests.post(f"{url}/invocations", json={"inputs": ONE.tolist()}, headers={"origin": PAGE}, timeout=60)
    assert (found.status_code, allowed(found)) == (200, {})
