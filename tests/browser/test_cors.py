"""A page of another origin uses the service in a real browser, if and only if the service names it."""

from __future__ import annotations

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import keras
from loaded_classifier import LoadedClassifier
from servers import in_a_thread, serving

from tinybench.inference.classifier import ImageClassifier, ModelInfo
from tinybench.serving import app

_CLASSIFY = """async url => {
  const pixels = [...Array(8)].map(() => [...Array(8)].map(() => [200, 10, 10]));
  const stream = new Blob([JSON.stringify({inputs: pixels})]).stream().pipeThrough(new CompressionStream("gzip"));
  const body = await new Response(stream).blob();
  const headers = {"content-type": "application/json", "content-encoding": "gzip"};
  try {
    const response = await fetch(url + "/invocations", {method: "POST", headers, body});
    return {status: response.status, count: (await response.json()).predictions.length};
  } catch (error) { return {error: String(error)}; }
}"""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>A page</title>")

    def log_message(self, *_):
        """Write nothing."""


@contextmanager
def page_server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}"


def _classifier():
    given = keras.Input((8, 8, 3), dtype="uint8")
    logits = keras.layers.Dense(2, name="logits")(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(given)))
    return ImageClassifier(keras.Model(given, keras.layers.Softmax()(logits)), ModelInfo(("ant", "bee"), (8, 8, 3)))


def test_a_page_classifies_a_compressed_image_where_it_is_named(chromium):
    from playwright.sync_api import sync_playwright

    current = LoadedClassifier(_classifier())
    with page_server() as origin, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(origin)
        for origins, found in (((origin,), {"status": 200, "count": 1}), ((), {"error": "TypeError: Failed to fetch"})):
            made = app.build_app(current, max_body_bytes=100_000, request_threads=1, origins=origins)
            with in_a_thread(made) as (host, port):
                assert page.evaluate(_CLASSIFY, f"http://{host}:{port}") == found
        browser.close()
