"""What computes a forward pass: a model compiled by an engine, as calls that return when their result was read back.

The input of a call lies where it is computed before the call is made; its shape is fixed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.core.errors import EngineError, in_one_line
from tinybench.efficiency.spec import Spec
from tinybench.efficiency.timing import Call
from tinybench.models import mixed_precision

Pixels = NDArray[np.floating[Any]]

OF_FILES = ("tf", "openvino", "onnxruntime")  # engines that read a file of their own

_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_PROVIDERS = {"cpu": "CPUExecutionProvider", "gpu": "CUDAExecutionProvider"}
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


def compiler(model: keras.Model, spec: Spec, file: Path | None = None) -> Compiler:
    """What compiles the model by the engine that is asked for.

    Args:
        model: In Keras.
        spec: What is asked for.
        file: The same model as `subject.exported` wrote it, for one of `OF_FILES`; it is not read later.

    Raises:
        EngineError: the engine is not installed, or does not compute so on this device.
    """
    if spec.engine in OF_FILES:
        assert file is not None
        return {"tf": _frozen, "openvino": _openvino, "onnxruntime": _onnxruntime}[spec.engine](file, spec)
    return _keras(model, spec)


def check(spec: Spec) -> None:
    """Refuse an engine that is not installed, or does not compute so on this device, before anything is built.

    Raises:
        EngineError: the message says what can be done.
    """
    checks = {"tf": _check_frozen, "openvino": _check_openvino, "onnxruntime": _check_onnxruntime}
    if spec.engine in checks:
        checks[spec.engine](spec)


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


def _traced(model: keras.Model, spec: Spec) -> Any:
    """One graph for all batch sizes, which is as fast as one for each."""
    import tensorflow as tf

    lowered = _lowered(model, spec)

    def call(pixels: Any) -> Any:
        with lowered():
            return model(pixels, training=False)

    return tf.function(call, input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)])


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
    return lambda: mixed_precision.override_dtypes(model, spec.precision)


def _check_frozen(_: Spec) -> None:
    if keras.backend.backend() != "tensorflow":
        raise EngineError("Engine tf needs Keras on TensorFlow: unset KERAS_BACKEND, or take --engine keras.")


def _frozen(file: Path, _: Spec) -> Compiler:
    """TensorFlow's graph with its weights as constants, folded."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(file.read_bytes())
    given = next(node.name for node in graph.node if node.op == "Placeholder")
    whole = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    pruned = whole.prune(f"{given}:0", f"{graph.node[-1].name}:0")
    run = tf.function(lambda placed: pruned(placed))  # called as it is, it prints its input for an error that it drops
    return lambda _: Compiled(tf.constant, lambda placed: np.asarray(run(placed)))


def _check_openvino(spec: Spec) -> None:
    from tinybench.features import openvino_graph

    if spec.device != "cpu":
        raise EngineError("Engine openvino computes on the processor here: take --device cpu, or another engine.")
    able = openvino_graph.import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if spec.precision != "float32" and _HINTS[spec.precision].upper() not in able:
        raise EngineError(f"OpenVINO does not compute in {spec.precision} on this processor: take another precision.")


def _openvino(file: Path, spec: Spec) -> Compiler:
    from tinybench.features import openvino_graph

    openvino = openvino_graph.import_openvino()
    hint = _HINTS[spec.precision]
    options = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": spec.threads, "NUM_STREAMS": 1}
    core = openvino.Core()
    read = core.read_model(file, config={"ENABLE_MMAP": False})

    def compile(size: int) -> Compiled:
        graph = read.clone()
        graph.reshape([size, *list(graph.inputs[0].partial_shape)[1:]])
        request = core.compile_model(graph, "CPU", options).create_infer_request()

        def run(given: Any) -> NDArray[Any]:
            request.set_input_tensor(given)
            request.infer()
            return np.array(request.get_output_tensor().data)

        return Compiled(lambda pixels: openvino.Tensor(pixels, shared_memory=True), run)

    return compile


def _check_onnxruntime(spec: Spec) -> None:
    try:
        import onnxruntime
        import tf2onnx  # noqa: F401  Keras's exporter wants it
    except ImportError as error:
        raise EngineError(
            "Engine onnxruntime is not installed: pip install 'tinybench[onnx]', or take another engine."
        ) from error
    if spec.precision != "float32":
        raise EngineError("Engine onnxruntime computes in float32 here: take --precision float32, or another engine.")
    if _PROVIDERS[spec.device] not in onnxruntime.get_available_providers():
        raise EngineError("This ONNX Runtime has no CUDA: pip install onnxruntime-gpu, or take --device cpu.")


def _onnxruntime(file: Path, spec: Spec) -> Compiler:
    import onnxruntime

    provider = _PROVIDERS[spec.device]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec.threads
    session = onnxruntime.InferenceSession(str(file), options, providers=[provider])
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
