"""Write TensorBoard event files of a finished run from what the store holds of it."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tinybench.core.errors import ConfigError

if TYPE_CHECKING:
    from tinybench.tracking.run_writer import RunWriter
    from tinybench.tracking.tracker import Tracker

_FOLDER = "tensorboard"
_EVENT_FILE = "events.out.tfevents.0.tinybench"  # always the same name, so that a resumed run replaces the file
_PLOTS_FOLDER = "figures"


def require_tensorboard() -> None:
    """Raise unless TensorBoard is installed; call it before the run begins.

    Raises:
        ConfigError: The extra `tensorboard` is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigError(
            "`track.tensorboard` needs the extra tensorboard: pip install 'tinybench[tensorboard]', or leave it false."
        )


def write_events(tracker: Tracker, run: RunWriter) -> None:
    """Log an event file with every metric, at its step and time, and every plot of a run.

    The file is made anew from the store and what has not been sent to it, so a run that was resumed has every point
    once.
    """
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    with TemporaryDirectory() as folder:
        writer = EventFileWriter(folder)
        last_step = 0
        for name in tracker.metric_names(run.id):
            for point in tracker.read_metric(run.id, name):
                writer.add_event(_scalar_event(name, point.value, point.step, point.timestamp))
                last_step = max(last_step, point.step)
        for path in tracker.list_artifacts(run.id, _PLOTS_FOLDER):
            if path.endswith(".png"):
                file = tracker.download_artifact(run.id, path, Path(folder))
                writer.add_event(_image_event(Path(path).stem, file, last_step))
        writer.close()
        (event_file,) = Path(folder).glob("events.*")
        run.log_artifact(event_file.rename(event_file.with_name(_EVENT_FILE)), _FOLDER)


def _scalar_event(name: str, value: float, step: int, timestamp: int) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary

    return _event(Summary.Value(tag=name, simple_value=value), step, timestamp / 1000)


def _image_event(name: str, file: Path, step: int) -> Any:
    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary

    with Image.open(file) as opened:
        width, height = opened.size
    image = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=file.read_bytes())
    return _event(Summary.Value(tag=name, image=image), step, time.time())


def _event(value: Any, step: int, wall_time: float) -> Any:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Event(wall_time=wall_time, step=step, summary=Summary(value=[value]))
