"""What is measured: a model at a size, by an engine in a precision, on a device. It travels to a process of its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from tinybench.core.errors import ConfigError

MARK = "tinybench.measured "  # before the answer of a process: libraries print what they like
DEVICES = ("cpu", "gpu")
PRECISIONS = ("float32", "bfloat16", "float16")
ENGINES = ("keras", "tf", "openvino", "onnxruntime")


@dataclass(frozen=True)
class Spec:
    """One measurement.

    Attributes:
        model: A model's name, or the path of a whole model's `.keras` file.
        recipe: Whose head it gets; None where the path is that of a whole model, pixels to probabilities.
        image_size: Side of the model's input; a whole model has its own.
        channels: Of the images.
        classes: Of the head.
        device: `cpu` or `gpu`.
        index: Which GPU.
        engine: One of `ENGINES`.
        precision: One of `PRECISIONS`.
        threads: Of the processor.
        batch: The one batch size of the throughput; None tries growing ones.
        quick: Fewer calls.
        latency_only: No throughput, and no other way to call it.
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
        """Refuse what cannot be measured.

        Raises:
            ConfigError: it names the value and what is allowed.
        """
        for key, allowed in (("device", DEVICES), ("engine", ENGINES), ("precision", PRECISIONS)):
            if getattr(self, key) not in allowed:
                words = ", ".join(allowed)
                raise ConfigError(f"Invalid value for `{key}`: expected one of {words}, got {getattr(self, key)!r}.")
        for key in ("threads", "image_size", "classes", "channels", "batch"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ConfigError(f"Invalid value for `{key}`: expected a whole number of at least 1, got {value}.")

    def as_json(self) -> str:
        """To be sent."""
        return json.dumps(asdict(self))
