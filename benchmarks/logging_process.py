"""A process that logs as a training does, and writes down what it has logged: `python -m benchmarks.logging_process`.

It stands in for a training whose epochs take as long as one likes, for faults that need many runs.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path

import numpy as np


def main(uri: str, record: Path, epochs: int, seconds: float) -> None:
    """Log a parent run and a child run of some epochs.

    Args:
        uri: The tracking store.
        record: A file that gets a line of JSON for each call that has returned.
        epochs: Number of epochs.
        seconds: Length of an epoch.
    """
    from PIL import Image

    from tinybench.config.sections import TrackConfig
    from tinybench.tracking.run_writer import RunWriter
    from tinybench.tracking.tracker import Tracker

    opened = time.perf_counter()
    tracker = Tracker(TrackConfig(uri=uri), may_be_away=True)
    parent = tracker.open_parent_run("parent")
    child = tracker.create_phase_run(parent, "transfer", "child")
    waited = time.perf_counter() - opened
    lines = record.open("a")
    spent = 0.0

    def call(run: RunWriter, kind: str, *arguments: object, note: object = None) -> None:
        nonlocal spent
        began = time.perf_counter()
        getattr(run, kind)(*arguments)
        spent += time.perf_counter() - began
        name = "parent" if run is parent else "child"
        lines.write(json.dumps([name, run.key, kind, note if note is not None else arguments]) + "\n")
        lines.flush()

    picture = Path(f"{record}.png")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(picture)
    for run in (parent, child):
        call(run, "log_params", {f"p{number}": number for number in range(20)})
        call(run, "set_tags", {"color": "red", "step": "begin"})
    call(parent, "log_image", picture, 0, note=["image", 0])  # the first one loads Pillow
    spent = 0.0
    for epoch in range(1, epochs + 1):
        time.sleep(seconds)
        metrics = {f"m{number}": epoch + number / 10 for number in range(8)}
        timestamp = time.time_ns() // 1_000_000
        for run in (child, parent):
            call(run, "log_metrics", metrics, epoch, timestamp)
        call(child, "set_tags", {"step": str(epoch)})
        if epoch % 3 == 0:
            call(child, "log_text", f"epoch {epoch}", f"texts/{epoch}.txt")
            call(parent, "log_image", picture, epoch, note=["image", epoch])
    spent_training = spent
    content = io.BytesIO()
    np.save(content, np.zeros(250_000))
    call(parent, "log_text", content.getvalue().hex(), "large.txt", note=["-", "large.txt"])
    for run in (child, parent):
        call(run, "end", "FINISHED")
    ended = time.perf_counter()
    tracker.close()
    waited += time.perf_counter() - ended
    print(json.dumps({"per_epoch": spent_training / epochs, "waited": waited}), flush=True)


if __name__ == "__main__":
    if os.environ.get("CLOCK_SHIFT"):  # after how many seconds the clock is set back, and by how much
        after, shift = map(float, os.environ["CLOCK_SHIFT"].split(","))
        start, real, real_ns = time.monotonic(), time.time, time.time_ns
        time.time = lambda: real() - (shift if time.monotonic() > start + after else 0)
        time.time_ns = lambda: real_ns() - (int(shift * 1e9) if time.monotonic() > start + after else 0)
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
