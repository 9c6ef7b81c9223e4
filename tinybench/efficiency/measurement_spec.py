"""Specify a measurement: a model at an image size, by an engine in a precision, on a device."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from tinybench.core.errors import ConfigError
from tinybench.core.suggestion import suggest

RESULT_MARK = "tinybench.measured "
"""Precedes the result on the standard output of a measuring process, where libraries may print as well."""
DEVICES = ("cpu", "gpu")
PRECISIONS = ("float32", "bfloat16", "float16")
ENGINES = ("keras", "tf", "openvino", "onnxruntime")


@dataclass(frozen=True)
class MeasurementSpec:
    """The specification of one measurement; it is sent as JSON to the process that measures.

    Attributes:
        model: A model's name, or the path of a `.keras` file.
        recipe: The recipe whose head the model gets; None if the file holds a whole model, pixels to probabilities.
        image_size: Height and width of the model's input, in pixels; a whole model has its own.
        channels: Channels of the images.
        classes: Number of classes of the head.
        device: `cpu` or `gpu`.
        index: Number of the GPU.
        engine: One of `ENGINES`.
        precision: One of `PRECISIONS`.
        threads: Threads of the processor.
        batch: The only batch size whose throughput is measured; growing ones are tried if None.
        quick: Time fewer calls.
        latency_only: Measure neither throughput nor the latency from a JPEG and by Keras's `predict`.

    Raises:
        ConfigError: A value is not allowed; the message names it and the values that are.
    """

    model: str
    recipe: str | None = None
    image_size: int = 224
    channels: int = 3
    classes: int = 1000
    device: str = "cpu"
    index: int = 0
    engine: str = "keras"
    precision: str = "float32"
    threads: int = 1
    batch: int | None = None
    quick: bool = False
    latency_only: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigError unless every value is allowed."""
        for key, choices in (("device", DEVICES), ("engine", ENGINES), ("precision", PRECISIONS)):
            value = getattr(self, key)
            if value not in choices:
                near = suggest(value, choices)
                raise ConfigError(
                    f"Invalid value for `{key}`: expected one of {', '.join(choices)}, got {value!r}.{near}"
                )
        for key in ("threads", "image_size", "classes", "channels", "batch"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ConfigError(f"Invalid value for `{key}`: expected a whole number of at least 1, got {value}.")

    def to_json(self) -> str:
        """Return the specification as a JSON object."""
        return json.dumps(asdict(self))
