"""What the way through HTTP costs: served images per second against the model's own, and a single request's latency.

A real server on a registered model: EfficientNetB0 with random weights, or the model named by the first word, and JPEG
files of 96 x 96 pixels. The model alone and the server are measured in turn, twice.
"""

from __future__ import annotations

import base64
import io
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import requests
from PIL import Image

SIDE, BATCH, CLIENTS, SECONDS, SINGLE = 96, 32, 2, 12.0, 150
NAME = "tinybench-bench"


def picture(seed):
    """A JPEG file of something smooth, as photographs are."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def register(folder, name):
    """A store with a registered champion; gives the store and the model's file."""
    from tinybench import data, models
    from tinybench.recipes.resolve import resolve
    from tinybench.tracking import model_logging as tracked
    from tinybench.tracking.model_versions import CHAMPION, RegisteredModel
    from tinybench.tracking.tracker import Tracker

    for number in range(80):
        file = folder / "pictures" / f"class{number % 2}" / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(picture(number))
    wanted = {"model": name, "weights": "none", "image_size": SIDE, "dataset": f"folder:{folder / 'pictures'}"}
    config = resolve("tiny-imagenet-tlft", wanted)
    dataset = data.load(config.dataset, config.data, 0, image_size=SIDE)
    store = f"sqlite:///{folder}/mlflow.db"
    tracker = Tracker.at(store)
    model = models.build(config, dataset.shape, 2)
    run = tracker.open_parent_run("bench")
    version = RegisteredModel(tracker.client, NAME).register(run.id, tracked.log_model(run, model, dataset, 1), "")
    RegisteredModel(tracker.client, NAME).set_alias(CHAMPION, version.number)
    model.save(folder / "model.keras")
    return store, folder / "model.keras"


def serve(store):
    """A server that is ready, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = [sys.executable, "-m", "tinybench", "serve", NAME, "--uri", store, "--port", port]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    while True:
        try:
            if requests.get(f"{url}/ready", timeout=2).ok:
                return process, url
        except requests.RequestException:
            pass
        if process.poll() is not None:
            sys.exit("the server did not start")
        time.sleep(0.2)


def images_per_second(url):
    """Of batches of JPEG files from several clients."""
    encoded = [base64.b64encode(picture(number)).decode() for number in range(BATCH)]
    body, counted, end = {"inputs": encoded}, [], time.perf_counter() + SECONDS

    def ask():
        with requests.Session() as session:
            while time.perf_counter() < end:
                assert session.post(f"{url}/invocations", json=body, timeout=60).ok
                counted.append(time.perf_counter())

    began = time.perf_counter()
    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return BATCH * len(counted) / (max(counted) - began)


def latency_ms(url):
    """p50 of single JPEG files, one after another."""
    data, found = picture(0), []
    with requests.Session() as session:
        for _ in range(SINGLE):
            began = time.perf_counter()
            assert session.post(f"{url}/invocations", data=data, headers={"content-type": "image/jpeg"}, timeout=60).ok
            found.append(time.perf_counter() - began)
    return 1000 * median(found[SINGLE // 10 :])


def main() -> None:
    """Print both figures and their ratios."""
    name = sys.argv[1] if len(sys.argv) > 1 else "efficientnetb0"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from tinybench.efficiency import measurement
    from tinybench.efficiency.measurement_spec import MeasurementSpec
    from tinybench.hardware import certificate

    with TemporaryDirectory() as place:
        folder = Path(place)
        os.environ["TINYBENCH_CACHE"] = str(folder / "cache")
        store, file = register(folder, name)
        spec = MeasurementSpec(str(file), threads=certificate.usable_threads(), batch=BATCH)
        for _ in range(2):
            alone = measurement.measure(spec).metrics
            process, url = serve(store)
            try:
                served, single = images_per_second(url), latency_ms(url)
            finally:
                process.terminate()
                process.wait()
            own = alone["throughput_images_per_second"]
            print(
                f"{name}: {served:.1f} images/s served in batches of {BATCH}, {own:.1f} by the model: "
                f"{served / own:.2f}; a request {single:.1f} ms, the model {alone['latency_p50_ms']:.1f}: "
                f"{single - alone['latency_p50_ms']:+.1f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
