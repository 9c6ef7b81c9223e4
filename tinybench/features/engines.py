"""The engines there are, and which of them this machine can run."""

from __future__ import annotations

import functools
import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tinybench.core.errors import EngineError
from tinybench.features import openvino_graph
from tinybench.features.engine_selection import Engine, Features, Pixels

Candidate = tuple[str, str, Callable[[], Engine]]

_REWRITE = "auto_mixed_precision_onednn_bfloat16"


class Keras:
    """The model as Keras and TensorFlow run it: the reference, and XLA or mixed precision where asked."""

    batch = 32

    def __init__(
        self, extractor: keras.Model, name: str = "keras", precision: str = "float32", *, xla: bool = False
    ) -> None:
        """Args: what to run, the engine's name, what `extractor` computes in, and whether XLA compiles it."""
        self.name = name
        self.precision = precision
        self._call = tf.function(
            lambda pixels: tf.cast(extractor(pixels, training=False), tf.float32),
            jit_compile=xla,
            reduce_retracing=not xla,
        )
        self._fixed = xla  # a shape is compiled once: the last batch is filled up

    def __call__(self, pixels: Pixels) -> Features:
        """Features of pixels."""
        parts = [self._run(pixels[start : start + self.batch]) for start in range(0, len(pixels), self.batch)]
        return np.concatenate(parts)

    def _run(self, pixels: Pixels) -> Features:
        batch = _filled(pixels, self.batch) if self._fixed else pixels
        return np.asarray(self._call(tf.constant(batch)).numpy()[: len(pixels)])


class Rewritten(Keras):
    """TensorFlow on a processor with bfloat16: grappler rewrites the graph."""

    def __init__(self, extractor: keras.Model) -> None:
        """Args: what to run."""
        super().__init__(extractor, "tensorflow", "bfloat16")

    def __call__(self, pixels: Pixels) -> Features:
        """Features of pixels."""
        with rewriting():
            return super().__call__(pixels)


@contextmanager
def rewriting() -> Iterator[None]:
    """Let grappler rewrite what is traced meanwhile to bfloat16."""
    before = tf.config.optimizer.get_experimental_options().get(_REWRITE, False)
    tf.config.optimizer.set_experimental_options({_REWRITE: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({_REWRITE: before})


class OpenVino:
    """OpenVINO's runtime on the processor, fed asynchronously."""

    name = "openvino"
    batch = 4

    def __init__(self, extractor: keras.Model, precision: str) -> None:
        """Args: what to run, and `float32` or `bfloat16`.

        Raises:
            EngineError: the extra is not installed.
        """
        openvino = openvino_graph.runtime()
        self.precision = precision
        self._shape = extractor.output_shape[1:]
        core = openvino.Core()
        with tempfile.TemporaryDirectory() as folder:
            # The runtime reads TensorFlow's own format; the converter of the package would send usage data
            model = core.read_model(openvino_graph.frozen(extractor, self.batch, Path(folder)))
            compiled = core.compile_model(
                model,
                "CPU",
                {
                    "PERFORMANCE_HINT": "THROUGHPUT",
                    "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
                },
            )
        self._queue = openvino.AsyncInferQueue(compiled)
        self._queue.set_callback(_keep)

    def __call__(self, pixels: Pixels) -> Features:
        """Features of pixels."""
        found = np.empty((len(pixels), *self._shape), np.float32)
        for start in range(0, len(pixels), self.batch):
            batch = _filled(pixels[start : start + self.batch], self.batch)
            self._queue.start_async({0: batch}, found[start : start + self.batch])
        self._queue.wait_all()
        return found


def candidates(extractor: keras.Model, wanted: str, precision: str) -> list[Candidate]:
    """The engines to try beside Keras in float32, the most promising first.

    Args:
        extractor: What they are to run.
        wanted: `auto`, or the name of the only one.
        precision: `auto`, or `float32` to leave out all others.
    """
    found = [*_on_gpu(extractor)] if tf.config.get_visible_devices("GPU") else [*_on_processor(extractor, wanted)]
    return [each for each in found if wanted in ("auto", each[0]) and precision in ("auto", each[1])]


def absence(wanted: str, precision: str) -> str:
    """Why an engine is not among the candidates."""
    on_gpu = bool(tf.config.get_visible_devices("GPU"))
    if wanted == "openvino" and on_gpu:
        return "it runs on processors"
    if not lowers():
        return f"this {'GPU' if on_gpu else 'processor'} has no bfloat16"
    return f"it computes in bfloat16, and precision is {precision}"


def make(extractor: keras.Model, name: str, precision: str) -> Engine:
    """The engine of that name and precision, as a resumed phase wants it; the first of that precision without a name.

    Raises:
        EngineError: it is not there any more.
    """
    if precision == "float32" and name in ("keras", ""):
        return Keras(extractor)
    for _, computing, build in candidates(extractor, name or "auto", "auto"):
        if computing == precision:
            return build()
    words = f"{name} {precision}".strip()
    raise EngineError(f"The phase began in {words}, which is not there any more: start a new run.")


def _on_processor(extractor: keras.Model, wanted: str) -> Iterator[Candidate]:
    if wanted == "openvino" or importlib.util.find_spec("openvino"):
        if has_bfloat16():
            yield "openvino", "bfloat16", functools.partial(OpenVino, extractor, "bfloat16")
        yield "openvino", "float32", functools.partial(OpenVino, extractor, "float32")
    if has_bfloat16():
        yield "tensorflow", "bfloat16", functools.partial(Rewritten, extractor)
    if wanted == "xla":  # two to five times slower than without, so only on request
        yield "xla", "float32", functools.partial(Keras, extractor, "xla", xla=True)


def _on_gpu(extractor: keras.Model) -> Iterator[Candidate]:
    def mixed(name: str, *, xla: bool) -> Engine:
        return Keras(in_bfloat16(extractor), name, "bfloat16", xla=xla)

    if lowers():
        yield "xla", "bfloat16", functools.partial(mixed, "xla", xla=True)
        yield "tensorflow", "bfloat16", functools.partial(mixed, "tensorflow", xla=False)
    yield "xla", "float32", functools.partial(Keras, extractor, "xla", xla=True)


def in_bfloat16(extractor: keras.Model) -> keras.Model:
    """A copy that computes in bfloat16 and keeps its weights in float32."""

    def lowered(layer: keras.layers.Layer) -> keras.layers.Layer:
        settings = layer.get_config()
        if "dtype" in settings and not isinstance(layer, keras.layers.InputLayer):
            settings["dtype"] = "mixed_bfloat16"
        return type(layer).from_config(settings)

    copy = keras.models.clone_model(extractor, clone_function=lowered, recursive=True)
    copy.set_weights(extractor.get_weights())
    return copy


def lowers() -> bool:
    """Whether the device that is used multiplies in bfloat16."""
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        return has_bfloat16()
    return bool(tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0)) >= (8, 0))


@functools.cache
def has_bfloat16() -> bool:
    """Whether this processor multiplies in bfloat16."""
    try:
        flags = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:  # not Linux
        return False
    return " amx_bf16" in flags or " avx512_bf16" in flags


def _keep(request: Any, target: Features) -> None:
    target[:] = request.get_output_tensor(0).data[: len(target)]


def _filled(pixels: Pixels, size: int) -> Pixels:
    missing = size - len(pixels)
    return np.concatenate([pixels, np.repeat(pixels[-1:], missing, axis=0)]) if missing else pixels
