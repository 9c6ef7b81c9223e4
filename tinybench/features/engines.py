"""The engines that can run the frozen part of a model, and which of them this machine supports.

To add an engine, write a class with the attributes and the call of `Engine`, yield it from `_cpu_candidates` or
`_gpu_candidates`, and add its name to the setting `engine` in `config/run_config.py`.
"""

from __future__ import annotations

import functools
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tinybench.core.errors import EngineError
from tinybench.features import openvino_graph

Pixels = NDArray[np.float32]
Features = NDArray[np.float32]


class Engine(Protocol):
    """Runs a frozen model.

    Attributes:
        name: As in the setting `engine`.
        precision: What it computes in: float32 or bfloat16.
    """

    name: str
    precision: str

    def __call__(self, pixels: Pixels) -> Features:
        """Return the features (n, *shape) of pixels (n, height, width, channels)."""
        ...


Candidate = tuple[str, str, Callable[[], Engine]]

_REWRITE_OPTION = "auto_mixed_precision_onednn_bfloat16"


class KerasEngine:
    """Runs the model by Keras and TensorFlow: the reference, and also XLA and mixed precision.

    Args:
        extractor: The model to run.
        name: The engine's name.
        precision: What `extractor` computes in.
        xla: Compile with XLA.
    """

    batch = 32

    def __init__(
        self, extractor: keras.Model, name: str = "keras", precision: str = "float32", *, xla: bool = False
    ) -> None:
        self.name = name
        self.precision = precision
        self._call = tf.function(
            lambda pixels: tf.cast(extractor(pixels, training=False), tf.float32),
            jit_compile=xla,
            reduce_retracing=not xla,
        )
        self._fixed_batch = xla  # XLA compiles one shape: the last batch is padded

    def __call__(self, pixels: Pixels) -> Features:
        """Return the features (n, *shape) of pixels (n, height, width, channels)."""
        starts = range(0, len(pixels), self.batch)
        return np.concatenate([self._run(pixels[start : start + self.batch]) for start in starts])

    def _run(self, pixels: Pixels) -> Features:
        batch = _pad_batch(pixels, self.batch) if self._fixed_batch else pixels
        return np.asarray(self._call(tf.constant(batch)).numpy()[: len(pixels)])


class RewrittenEngine(KerasEngine):
    """Runs TensorFlow on a processor with bfloat16: grappler rewrites the graph."""

    def __init__(self, extractor: keras.Model) -> None:
        super().__init__(extractor, "tensorflow", "bfloat16")

    def __call__(self, pixels: Pixels) -> Features:
        """Return the features (n, *shape) of pixels (n, height, width, channels)."""
        with rewrite_to_bfloat16():
            return super().__call__(pixels)


@contextmanager
def rewrite_to_bfloat16() -> Iterator[None]:
    """Let grappler rewrite what is traced inside the block to bfloat16."""
    enabled = tf.config.optimizer.get_experimental_options().get(_REWRITE_OPTION, False)
    tf.config.optimizer.set_experimental_options({_REWRITE_OPTION: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({_REWRITE_OPTION: enabled})


class OpenVinoEngine:
    """Runs OpenVINO on the processor, with asynchronous requests.

    Args:
        extractor: The model to run.
        precision: `float32` or `bfloat16`.

    Raises:
        EngineError: The extra `openvino` is not installed.
    """

    name = "openvino"
    batch = 4

    def __init__(self, extractor: keras.Model, precision: str) -> None:
        openvino = openvino_graph.import_openvino()
        self.precision = precision
        self._shape = extractor.output_shape[1:]
        core = openvino.Core()
        with tempfile.TemporaryDirectory() as folder:
            # The runtime reads TensorFlow's format; the package's converter would send usage data
            model = core.read_model(openvino_graph.save_frozen_graph(extractor, self.batch, Path(folder)))
            compiled = core.compile_model(
                model,
                "CPU",
                {
                    "PERFORMANCE_HINT": "THROUGHPUT",
                    "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
                },
            )
        self._queue = openvino.AsyncInferQueue(compiled)
        self._queue.set_callback(_copy_output)

    def __call__(self, pixels: Pixels) -> Features:
        """Return the features (n, *shape) of pixels (n, height, width, channels)."""
        features = np.empty((len(pixels), *self._shape), np.float32)
        for start in range(0, len(pixels), self.batch):
            batch = _pad_batch(pixels[start : start + self.batch], self.batch)
            self._queue.start_async({0: batch}, features[start : start + self.batch])
        self._queue.wait_all()
        return features


def candidates(extractor: keras.Model, engine: str, precision: str) -> list[Candidate]:
    """Return the engines to try beside Keras in float32, the most promising first.

    Args:
        extractor: The model to run.
        engine: `auto`, or the name of the only engine to try.
        precision: `auto`, or `float32` to leave out all others.

    Returns:
        Name, precision and constructor of each engine.
    """
    on_gpu = bool(tf.config.get_visible_devices("GPU"))
    supported = _gpu_candidates(extractor) if on_gpu else _cpu_candidates(extractor, engine)
    return [
        (name, computing, build)
        for name, computing, build in supported
        if engine in ("auto", name) and precision in ("auto", computing)
    ]


def reason_absent(engine: str, precision: str) -> str:
    """Return why an engine is not among the candidates."""
    on_gpu = bool(tf.config.get_visible_devices("GPU"))
    if engine == "openvino" and on_gpu:
        return "it runs on processors"
    if not device_has_bfloat16():
        return f"this {'GPU' if on_gpu else 'processor'} has no bfloat16"
    return f"it computes in bfloat16, and precision is {precision}"


def build_engine(extractor: keras.Model, name: str, precision: str) -> Engine:
    """Build the engine that a resumed phase began with.

    Args:
        extractor: The model to run.
        name: The engine's name; empty for the first candidate of that precision.
        precision: `float32` or `bfloat16`.

    Raises:
        EngineError: The engine is no longer available.
    """
    if precision == "float32" and name in ("keras", ""):
        return KerasEngine(extractor)
    for _, computing, build in candidates(extractor, name or "auto", "auto"):
        if computing == precision:
            return build()
    engine = f"{name} {precision}".strip()
    raise EngineError(f"The phase began in {engine}, which is not available any more: start a new run.")


def _cpu_candidates(extractor: keras.Model, engine: str) -> Iterator[Candidate]:
    if engine == "openvino" or importlib.util.find_spec("openvino"):
        if cpu_has_bfloat16():
            yield "openvino", "bfloat16", functools.partial(OpenVinoEngine, extractor, "bfloat16")
        yield "openvino", "float32", functools.partial(OpenVinoEngine, extractor, "float32")
    if cpu_has_bfloat16():
        yield "tensorflow", "bfloat16", functools.partial(RewrittenEngine, extractor)
    if engine == "xla":  # two to five times slower than without XLA, so only on request
        yield "xla", "float32", functools.partial(KerasEngine, extractor, "xla", xla=True)


def _gpu_candidates(extractor: keras.Model) -> Iterator[Candidate]:
    def mixed(name: str, *, xla: bool) -> Engine:
        return KerasEngine(to_bfloat16(extractor), name, "bfloat16", xla=xla)

    if device_has_bfloat16():
        yield "xla", "bfloat16", functools.partial(mixed, "xla", xla=True)
        yield "tensorflow", "bfloat16", functools.partial(mixed, "tensorflow", xla=False)
    yield "xla", "float32", functools.partial(KerasEngine, extractor, "xla", xla=True)


def to_bfloat16(extractor: keras.Model) -> keras.Model:
    """Return a copy of a model that computes in bfloat16 and keeps its weights in float32."""

    def with_bfloat16(layer: keras.layers.Layer) -> keras.layers.Layer:
        settings = layer.get_config()
        if "dtype" in settings and not isinstance(layer, keras.layers.InputLayer):
            settings["dtype"] = "mixed_bfloat16"
        return type(layer).from_config(settings)

    copy = keras.models.clone_model(extractor, clone_function=with_bfloat16, recursive=True)
    copy.set_weights(extractor.get_weights())
    return copy


def device_has_bfloat16() -> bool:
    """Return whether the used device multiplies in bfloat16."""
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return cpu_has_bfloat16()
    return bool(tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0)) >= (8, 0))


@functools.cache
def cpu_has_bfloat16() -> bool:
    """Return whether this processor multiplies in bfloat16."""
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:  # not Linux
        return False
    return " amx_bf16" in flags or " avx512_bf16" in flags


def _copy_output(request: Any, target: Features) -> None:
    target[:] = request.get_output_tensor(0).data[: len(target)]


def _pad_batch(pixels: Pixels, size: int) -> Pixels:
    missing = size - len(pixels)
    return np.concatenate([pixels, np.repeat(pixels[-1:], missing, axis=0)]) if missing else pixels
