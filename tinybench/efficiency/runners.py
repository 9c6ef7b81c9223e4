"""Compile a model by an engine, as calls that return when their result has been read back.

The input of a call is placed where it is computed before the call is made; its shape is fixed.
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

from tinybench.core.errors import EngineError, format_error
from tinybench.efficiency.measurement_spec import MeasurementSpec
from tinybench.efficiency.timing import Call
from tinybench.models import mixed_precision

FILE_ENGINES = ("tf", "openvino", "onnxruntime")
"""The engines that read a file of their own instead of the Keras model."""

_OPENVINO_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_ONNX_PROVIDERS = {"cpu": "CPUExecutionProvider", "gpu": "CUDAExecutionProvider"}
_OUT_OF_MEMORY = ("ResourceExhausted", "OutOfMemory", "bad_alloc", "Allocation", "allocate memory")


@dataclass(frozen=True)
class CompiledModel:
    """A model compiled for one batch size.

    Attributes:
        place_input: Puts pixels (n, height, width, channels) where they are computed, and returns the placed input.
        run: Computes probabilities (n, classes) from a placed input, and reads them back.
    """

    place_input: Callable[[NDArray[np.floating[Any]]], Any]
    run: Callable[[Any], NDArray[Any]]


Compiler = Callable[[int], CompiledModel]
"""Compiles a model for a batch size."""


def build_compiler(model: keras.Model, spec: MeasurementSpec, file: Path | None = None) -> Compiler:
    """Return what compiles a model by the engine of a specification.

    Args:
        model: The Keras model.
        spec: What is measured.
        file: The same model as written by `measured_model.export_model`, for one of `FILE_ENGINES`. It is read now,
            and may be removed afterwards.

    Raises:
        EngineError: The engine is not installed, or cannot compute like this on the device.
    """
    if spec.engine in FILE_ENGINES:
        assert file is not None
        return {"tf": _frozen_graph, "openvino": _openvino, "onnxruntime": _onnxruntime}[spec.engine](file, spec)
    backends = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
    compute = backends[keras.backend.backend()](model, spec)
    return lambda _: CompiledModel(keras.ops.convert_to_tensor, lambda placed: np.asarray(compute(placed)))


def check(spec: MeasurementSpec) -> None:
    """Raise EngineError, with what to do instead, unless the engine is installed and can compute like this."""
    checks = {"tf": _check_frozen_graph, "openvino": _check_openvino, "onnxruntime": _check_onnxruntime}
    if spec.engine in checks:
        checks[spec.engine](spec)


def build_noise_call(compile: Compiler, shape: tuple[int, int, int], size: int) -> Call:
    """Return a call that computes one batch of noise, which is placed beforehand.

    Args:
        compile: Compiles the model.
        shape: Height, width and channels of an image.
        size: Images in the batch.

    Raises:
        MemoryError: The batch does not fit into memory; the call itself may raise it as well.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (size, *shape), np.uint8).astype(np.float32)
    compiled = _or_memory_error(lambda: compile(size))
    placed = _or_memory_error(lambda: compiled.place_input(pixels))
    return lambda: _or_memory_error(lambda: compiled.run(placed))


def _tensorflow(model: keras.Model, spec: MeasurementSpec) -> Any:
    """Trace one graph for all batch sizes, which is as fast as one graph for each."""
    import tensorflow as tf

    in_precision = _precision_context(model, spec)

    def call(pixels: Any) -> Any:
        with in_precision():
            return model(pixels, training=False)

    return tf.function(call, input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)])


def _jax(model: keras.Model, spec: MeasurementSpec) -> Callable[[Any], Any]:
    import jax

    in_precision = _precision_context(model, spec)
    trainable = [variable.value for variable in model.trainable_variables]
    non_trainable = [variable.value for variable in model.non_trainable_variables]

    def call(pixels: Any) -> Any:
        with in_precision():
            return model.stateless_call(trainable, non_trainable, pixels, training=False)[0]

    compiled: Callable[[Any], Any] = jax.jit(call)
    return compiled


def _torch(model: keras.Model, spec: MeasurementSpec) -> Callable[[Any], Any]:
    import torch

    in_precision = _precision_context(model, spec)

    def call(pixels: Any) -> Any:
        with torch.inference_mode(), in_precision():
            return model(pixels, training=False).float().cpu()

    return call


def _precision_context(model: keras.Model, spec: MeasurementSpec) -> Callable[[], AbstractContextManager[None]]:
    """Return a function that opens the context in which the model computes in the precision of the specification."""
    if spec.precision == "float32":
        return nullcontext
    return lambda: mixed_precision.override_dtypes(model, spec.precision)


def _check_frozen_graph(_: MeasurementSpec) -> None:
    if keras.backend.backend() != "tensorflow":
        raise EngineError("Engine tf needs Keras on TensorFlow: unset KERAS_BACKEND, or take --engine keras.")


def _frozen_graph(file: Path, _: MeasurementSpec) -> Compiler:
    """Load a TensorFlow graph whose weights are constants, so that TensorFlow folds them."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString(file.read_bytes())
    input_name = next(node.name for node in graph.node if node.op == "Placeholder")
    imported = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph, name=""), [])
    pruned = imported.prune(f"{input_name}:0", f"{graph.node[-1].name}:0")
    # Called directly, `pruned` formats its input for an error message that it then drops
    run = tf.function(lambda placed: pruned(placed))
    return lambda _: CompiledModel(tf.constant, lambda placed: np.asarray(run(placed)))


def _check_openvino(spec: MeasurementSpec) -> None:
    from tinybench.features import openvino_graph

    if spec.device != "cpu":
        raise EngineError("Engine openvino computes on the processor here: take --device cpu, or another engine.")
    capabilities = openvino_graph.import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if spec.precision != "float32" and _OPENVINO_HINTS[spec.precision].upper() not in capabilities:
        raise EngineError(f"OpenVINO does not compute in {spec.precision} on this processor: take another precision.")


def _openvino(file: Path, spec: MeasurementSpec) -> Compiler:
    from tinybench.features import openvino_graph

    openvino = openvino_graph.import_openvino()
    hint = _OPENVINO_HINTS[spec.precision]
    options = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": spec.threads, "NUM_STREAMS": 1}
    core = openvino.Core()
    graph = core.read_model(file, config={"ENABLE_MMAP": False})

    def compile(size: int) -> CompiledModel:
        sized = graph.clone()
        sized.reshape([size, *list(sized.inputs[0].partial_shape)[1:]])
        request = core.compile_model(sized, "CPU", options).create_infer_request()

        def run(placed: Any) -> NDArray[Any]:
            request.set_input_tensor(placed)
            request.infer()
            return np.array(request.get_output_tensor().data)

        return CompiledModel(lambda pixels: openvino.Tensor(pixels, shared_memory=True), run)

    return compile


def _check_onnxruntime(spec: MeasurementSpec) -> None:
    try:
        import onnxruntime
        import tf2onnx  # noqa: F401  Keras's exporter needs it
    except ImportError as error:
        raise EngineError(
            "Engine onnxruntime is not installed: pip install 'tinybench[onnx]', or take another engine."
        ) from error
    if spec.precision != "float32":
        raise EngineError("Engine onnxruntime computes in float32 here: take --precision float32, or another engine.")
    if _ONNX_PROVIDERS[spec.device] not in onnxruntime.get_available_providers():
        raise EngineError("This ONNX Runtime has no CUDA: pip install onnxruntime-gpu, or take --device cpu.")


def _onnxruntime(file: Path, spec: MeasurementSpec) -> Compiler:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = spec.threads
    session = onnxruntime.InferenceSession(str(file), options, providers=[_ONNX_PROVIDERS[spec.device]])
    input_name, output_name = session.get_inputs()[0].name, session.get_outputs()[0].name
    device = "cuda" if spec.device == "gpu" else "cpu"

    def compile(_: int) -> CompiledModel:
        binding = session.io_binding()  # one for each batch size, since it keeps the memory of its output
        binding.bind_output(output_name)

        def run(placed: Any) -> NDArray[Any]:
            binding.bind_ortvalue_input(input_name, placed)
            session.run_with_iobinding(binding)
            return np.asarray(binding.copy_outputs_to_cpu()[0])

        return CompiledModel(lambda pixels: onnxruntime.OrtValue.ortvalue_from_numpy(pixels, device, 0), run)

    return compile


def _or_memory_error(call: Callable[[], Any]) -> Any:
    """Return the result of a call; turn an engine's own error about too little memory into a MemoryError."""
    try:
        return call()
    except MemoryError:
        raise
    except Exception as error:
        if any(sign in f"{type(error).__name__}: {error}" for sign in _OUT_OF_MEMORY):
            raise MemoryError(format_error(error)) from error
        raise
