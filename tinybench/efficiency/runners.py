"""What computes a forward pass: a model compiled by an engine, as calls that return when their result was read back.

The input of a call lies where it is computed before the call is made; its shape is fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.efficiency.spec import Spec
from tinybench.efficiency.timing import Call
from tinybench.errors import EngineError, in_one_line
from tinybench.models import onnx_graph, policies

Pixels = NDArray[np.floating[Any]]

_OUT_OF_MEMORY = ("ResourceExhausted", "OutOfMemory", "bad_alloc", "Allocation", "allocate memory")


@dataclass(frozen=True)
class Compiled:
    """A model compiled for one batch size.

    Attributes:
        place: Puts pixels (n, height, width, channels) where they are computed on.
        run: Probabilities (n, classes), read back, of what was placed.
    """

    place: Callable[[Pixels], Any]
    run: Callable[[Any], NDArray[Any]]


# By batch size
Compiler = Callable[[int], Compiled]


def compiler(model: keras.Model, spec: Spec) -> Compiler:
    """What compiles the model by the engine that is asked for.

    Raises:
        EngineError: the engine is not installed, or does not compute so on this device.
    """
    return {"keras": _keras, "tf": _frozen, "openvino": _openvino, "onnxruntime": _onnxruntime}[spec.engine](
        model, spec
    )


def on_noise(compile: Compiler, shape: tuple[int, int, int], size: int) -> Call:
    """A call on so many images of noise, which lie where they are computed on; too little memory is MemoryError."""
    pixels = np.random.default_rng(0).integers(0, 256, (size, *shape), np.uint8).astype(np.float32)
    compiled = _or_memory_error(lambda: compile(size))
    placed = _or_memory_error(lambda: compiled.place(pixels))
    return lambda: _or_memory_error(lambda: compiled.run(placed))


def _keras(model: keras.Model, spec: Spec) -> Compiler:
    """Keras by its own backend's compiler."""
    made = {"tensorflow": _traced, "jax": _jax, "torch": _torch}[keras.backend.backend()](model, spec)
    return lambda _: Compiled(keras.ops.convert_to_tensor, lambda given: np.asarray(made(given)))


def _traced(model: keras.Model, spec: Spec, images: int | None = None) -> Any:
    """One graph for all batch sizes, which is as fast as one for each; or one for so many images alone."""
    import tensorflow as tf

    lowered = _lowered(model, spec)

    def call(pixels: Any) -> Any:
        with lowered():
            return model(pixels, training=False)

    return tf.function(call, input_signature=[tf.TensorSpec((images, *model.input_shape[1:]), tf.float32)])


def _jax(model: keras.Model, spec: Spec) -> Callable[[Any], Any]:
    import jax

    lowered = _lowered(model, spec)
    trainable = [each.value for each in model.trainable_variables]
    frozen = [each.value for each in model.non_trainable_variables]

    def call(pixels: Any) -> Any:
        with lowered():
            return model.stateless_call(trainable, frozen, pixels, training=False)[0]

    compiled: Callable[[Any], Any] = jax.jit(call)
    return compiled


def _torch(model: keras.Model, spec: Spec) -> Callable[[Any], Any]:
    import torch

    lowered = _lowered(model, spec)

    def call(pixels: Any) -> Any:
        with torch.inference_mode(), lowered():
            return model(pixels, training=False).float().cpu()

    return call


def _lowered(model: keras.Model, spec: Spec) -> Callable[[], AbstractContextManager[None]]:
    """A context to trace in."""
    if spec.precision == "float32":
        return nullcontext
    return lambda: policies.computing(model, spec.precision)


def _frozen(model: keras.Model, spec: Spec) -> Compiler:
    """TensorFlow's graph with its weights as constants, which it then folds."""
    if keras.backend.backend() != "tensorflow":
        raise EngineError("Engine tf needs Keras on TensorFlow: unset KERAS_BACKEND, or take --engine keras.")
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def compile(size: int) -> Compiled:
        graph = convert_variables_to_constants_v2(_traced(model, spec, size).get_concrete_function())
        return Compiled(tf.constant, lambda given: np.asarray(graph(given)[0]))

    return compile


def _openvino(model: keras.Model, spec: Spec) -> Compiler:
    from tinybench.training import openvino_graph

    if spec.device != "cpu":
        raise EngineError("Engine openvino computes on the processor here: take --device cpu, or another engine.")
    openvino = openvino_graph.runtime()
    hint = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}[spec.precision]
    options = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": spec.threads, "NUM_STREAMS": 1}
    core = openvino.Core()
    if spec.precision != "float32" and hint.upper() not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise EngineError(f"OpenVINO does not compute in {spec.precision} on this processor: take another precision.")

    def compile(size: int) -> Compiled:
        with TemporaryDirectory() as folder:
            graph = core.read_model(openvino_graph.frozen(model, size, Path(folder)))
            request = core.compile_model(graph, "CPU", options).create_infer_request()

        def run(given: Any) -> NDArray[Any]:
            request.set_input_tensor(given)
            request.infer()
            return np.array(request.get_output_tensor().data)

        return Compiled(lambda pixels: openvino.Tensor(pixels, shared_memory=True), run)

    return compile


def _onnxruntime(model: keras.Model, spec: Spec) -> Compiler:
    try:
        import onnxruntime
        import tf2onnx  # noqa: F401  Keras's exporter wants it
    except ImportError as error:
        raise EngineError(
            "Engine onnxruntime is not installed: pip install 'tinybench[onnx]', or take another engine."
        ) from error
    if spec.precision != "float32":
        raise EngineError("Engine onnxruntime computes in float32 here: take --precision float32, or another engine.")
    provider = {"cpu": "CPUExecutionProvider", "gpu": "CUDAExecutionProvider"}[spec.device]
    if provider not in onnxruntime.get_available_providers():
        raise EngineError("This ONNX Runtime has no CUDA: pip install onnxruntime-gpu, or take --device cpu.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec.threads
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx_graph.save(model, path)
        session = onnxruntime.InferenceSession(str(path), options, providers=[provider])
    given, found = session.get_inputs()[0], session.get_outputs()[0]

    device = "cuda" if spec.device == "gpu" else "cpu"

    def compile(_: int) -> Compiled:
        bound = session.io_binding()  # of one size: it keeps the memory of its output
        bound.bind_output(found.name)

        def run(placed: Any) -> NDArray[Any]:
            bound.bind_ortvalue_input(given.name, placed)
            session.run_with_iobinding(bound)
            return np.asarray(bound.copy_outputs_to_cpu()[0])

        return Compiled(lambda pixels: onnxruntime.OrtValue.ortvalue_from_numpy(pixels, device, 0), run)

    return compile


def _or_memory_error(call: Callable[[], Any]) -> Any:
    """What a call gives; engines have errors of their own for too little memory."""
    try:
        return call()
    except MemoryError:
        raise
    except Exception as error:
        if any(sign in f"{type(error).__name__}: {error}" for sign in _OUT_OF_MEMORY):
            raise MemoryError(in_one_line(error)) from error
        raise
