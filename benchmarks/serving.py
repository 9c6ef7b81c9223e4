"""Measure what HTTP costs: served images per second against the model's own, and the latency of a single request.

A real server serves a registered model: EfficientNetB0 with random weights, or the model that the first argument names,
and gets JPEG files of 96 x 96 pixels. The model alone and the server are measured in turn, twice.
"""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import requests
from PIL import Image

SIDE, BATCH, CLIENTS, SECONDS, SINGLE, OBSERVED = 96, 32, 2, 12.0, 150, 3000
NAME = "tinybench-bench"


def make_jpeg(seed):
    """Return a JPEG file with smooth content, like that of a photograph."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def register(folder, name):
    """Create a store with a registered champion; return the store and the model's file."""
    from tinybench import data, models
    from tinybench.recipes.resolve import resolve
    from tinybench.tracking import model_logging as tracked
    from tinybench.tracking.model_versions import CHAMPION, RegisteredModel
    from tinybench.tracking.tracker import Tracker

    for number in range(80):
        file = folder / "pictures" / f"class{number % 2}" / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(make_jpeg(number))
    settings = {"model": name, "weights": "none", "image_size": SIDE, "dataset": f"folder:{folder / 'pictures'}"}
    config = resolve("tiny-imagenet-tlft", settings)
    dataset = data.load(config.dataset, config.data, 0, image_size=SIDE)
    store = f"sqlite:///{folder}/mlflow.db"
    tracker = Tracker.at(store)
    model = models.build(config, dataset.shape, 2)
    run = tracker.open_parent_run("bench")
    key = tracked.log_model(run, model, dataset, 1)
    run.end("FINISHED")
    tracker.require_flush()
    uri = f"models:/{tracker.writer.id_of(key)}"
    version = RegisteredModel(tracker.client, NAME).register(run.id, uri, "")
    RegisteredModel(tracker.client, NAME).set_alias(CHAMPION, version.number)
    tracker.close()
    model.save(folder / "model.keras")
    return store, folder / "model.keras"


def serve(store):
    """Start a server, and return it when it is ready, with its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "tinybench", "serve", NAME, "--uri", store, "--port", port]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    while True:
        with suppress(requests.RequestException):  # it does not listen yet
            if requests.get(f"{url}/ready", timeout=2).ok:
                return process, url
        if process.poll() is not None:
            sys.exit("the server did not start")
        time.sleep(0.2)


def measure_throughput(url):
    """Return the images per second in batches of JPEG files from several clients."""
    encoded = [base64.b64encode(make_jpeg(number)).decode() for number in range(BATCH)]
    body, finished, end = {"inputs": encoded}, [], time.perf_counter() + SECONDS

    def send():
        with requests.Session() as session:
            while time.perf_counter() < end:
                assert session.post(f"{url}/invocations", json=body, timeout=60).ok
                finished.append(time.perf_counter())

    began = time.perf_counter()
    threads = [threading.Thread(target=send) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return BATCH * len(finished) / (max(finished) - began)


def measure_latency(url):
    """Return the median milliseconds of requests with one JPEG file, one after another."""
    data, seconds = make_jpeg(0), []
    with requests.Session() as session:
        for _ in range(SINGLE):
            start = time.perf_counter()
            assert session.post(f"{url}/invocations", data=data, headers={"content-type": "image/jpeg"}, timeout=60).ok
            seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds[SINGLE // 10 :])


def measure_observation():
    """Return the microseconds that the log and the metrics of a request take."""
    from tinybench.serving.app import PATHS
    from tinybench.serving.prometheus import ServingMetrics
    from tinybench.web import log_format
    from tinybench.web.request_log import RequestLog

    async def respond(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def discard(message):
        pass

    async def ask(application):
        scope = {"type": "http", "method": "POST", "path": PATHS[0], "headers": [], "client": ("127.0.0.1", 1)}
        began = time.perf_counter()
        for _ in range(OBSERVED):
            await application(dict(scope), None, discard)
        return 1e6 * (time.perf_counter() - began) / OBSERVED

    logger = logging.getLogger("tinybench.web.request_log")
    with Path(os.devnull).open("w") as nowhere:
        handler = logging.StreamHandler(nowhere)
        handler.setFormatter(log_format.JsonFormatter())
        logger.addHandler(handler)
        logger.propagate, logger.level = False, logging.INFO
        observed = RequestLog(respond, ServingMetrics(PATHS).observe)
        alone = min(asyncio.run(ask(respond)) for _ in range(5))
        return min(asyncio.run(ask(observed)) for _ in range(5)) - alone


def main() -> None:
    """Print the throughputs, the latencies and how they compare."""
    name = sys.argv[1] if len(sys.argv) > 1 else "efficientnetb0"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from tinybench.efficiency import measurement
    from tinybench.efficiency.measurement_spec import MeasurementSpec
    from tinybench.hardware import certificate

    print(f"Log and metrics: {measure_observation():.0f} µs a request", flush=True)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["TINYBENCH_CACHE"] = str(folder / "cache")
        store, file = register(folder, name)
        spec = MeasurementSpec(str(file), threads=certificate.usable_threads(), batch=BATCH)
        for _ in range(2):
            alone = measurement.measure(spec).metrics
            process, url = serve(store)
            try:
                served, single = measure_throughput(url), measure_latency(url)
            finally:
                process.terminate()
                process.wait()
            throughput = alone["throughput_images_per_second"]
            print(
                f"{name}: {served:.1f} images/s served in batches of {BATCH}, {throughput:.1f} by the model: "
                f"{served / throughput:.2f}; a request {single:.1f} ms, the model {alone['latency_p50_ms']:.1f}: "
                f"{single - alone['latency_p50_ms']:+.1f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
