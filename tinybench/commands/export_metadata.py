"""Describe an exported model for those who use it without tinybench: its input, its classes, where it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

import tinybench
from tinybench.data.load_request import short_name
from tinybench.tracking import run_record

if TYPE_CHECKING:
    from tinybench.tracking.tracker import Tracker

Metadata = Mapping[str, Any]

UNKNOWN_LICENSE = "unknown"
"""What is written where nobody has named a license: neither data sets nor pretrained weights come with one."""


def describe_export(
    tracker: Tracker, run_id: str, model: keras.Model, *, format: str, dtype: str, license: str | None = None
) -> dict[str, Any]:
    """Return the metadata of an exported model, ready for JSON.

    Args:
        tracker: The store of the run.
        run_id: The run, or a phase of one.
        model: Its model.
        format: The format that it is exported to.
        dtype: The type of the pixels that the exported model takes.
        license: The license of the model; None if nobody has named it.

    Raises:
        TrackingError: There is no such run.
    """
    run, phase_run = tracker.find_top_run(run_id), run_record.find_final_run(tracker, run_id)
    config = run_record.read_config(tracker, run)
    class_names = run_record.read_class_names(tracker, run)
    height, width, channels = model.input_shape[1:]
    name, weights = Path(config.model).name.removesuffix(".keras"), Path(config.weights).name
    if config.model.endswith(".keras") and weights in ("file", "imagenet"):  # those that the file holds
        weights = Path(config.model).name
    return {
        "tinybench_version": tinybench.__version__,
        "format": format,
        "run_id": run.info.run_id,
        "phase_run_id": phase_run.info.run_id,
        "model": name,
        "dataset": short_name(config.dataset),
        "pretrained_weights": weights,
        "license": license or UNKNOWN_LICENSE,
        "class_names": list(class_names),
        "input": {
            "shape": [None, height, width, channels],
            "layout": "NHWC",
            "dtype": dtype,
            "range": [0, 255],
            "channel_order": "RGB" if channels == 3 else "gray",
            "resize_before": config.data.resize,  # see `data.images.resize`
            "range_before": config.data.range,  # see `data.value_range.to_eight_bits`
        },
        "preprocessing": {
            "where": "inside the model",
            "resize": _find_resizing(model),
            "scaling": f"of {name}",
        },
        "output": {
            "shape": [None, len(class_names)],
            "dtype": "float32",
            "values": "probabilities, in the order of class_names",
            "temperature": phase_run.data.metrics.get("best/temperature", 1.0),
        },
    }


def _find_resizing(model: keras.Model) -> dict[str, Any] | None:
    """Return how a model resizes the images that it takes; None if it does not."""
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Resizing):
            return {"height": layer.height, "width": layer.width, "interpolation": layer.interpolation}
    return None


def to_properties(metadata: Metadata) -> dict[str, str]:
    """Return metadata as texts by key, for formats that hold no others; what is no text is written as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}


def to_json(metadata: Metadata) -> str:
    """Return metadata as a JSON object."""
    return json.dumps(metadata, indent=1, ensure_ascii=False)
