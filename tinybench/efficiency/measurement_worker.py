"""Measure a model in a process of its own: a specification on standard input, the result on standard output.

Run as `python -m tinybench.efficiency.measurement_worker`. A new process has no other model in its memory, and its
threads and devices are those of the specification.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from tinybench.core.errors import EngineError, TinybenchError, format_error
from tinybench.efficiency import measured_model, timing
from tinybench.efficiency.measurement_spec import RESULT_MARK, MeasurementSpec
from tinybench.efficiency.timing import Throughput
from tinybench.hardware import certificate, nvml, process_memory

if TYPE_CHECKING:
    import keras

    from tinybench.efficiency.runners import Compiler

_OPTIONAL_FOR_KERAS = ("matplotlib", "pandas", "sklearn")
_JPEG_CALLS = {False: 100, True: 3}  # by `quick`
_PREDICT_CALLS = {False: 20, True: 2}  # by `quick`
_MEMORY_SHARE = 0.8  # of the available memory that the next batch size may take


@dataclass
class PartialMeasurement:
    """The results of a measurement so far.

    Attributes:
        metrics: Values by name, without the device.
        seconds: Duration of each call at batch size 1.
        throughputs: Batch sizes and their images per second.
        notes: Lines for a person who reads the metrics.
        certificate: The machine, and its state before and after.
        spec: What was measured; the model of a file has an image size of its own.
    """

    metrics: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    throughputs: list[tuple[int, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    certificate: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the results as values for JSON, by the keys that `Measurement.from_dict` reads."""
        return {
            "figures": self.metrics,
            "seconds": self.seconds,
            "rungs": self.throughputs,
            "notes": self.notes,
            "certificate": self.certificate,
            "spec": self.spec,
        }

    def add_throughput(self, best: Throughput, throughputs: list[Throughput]) -> None:
        """Add throughputs, of which `best` becomes a metric."""
        self.throughputs = [(throughput.batch, throughput.images_per_second) for throughput in throughputs]
        self.metrics |= {"throughput_images_per_second": best.images_per_second, "throughput_batch": float(best.batch)}


def main() -> None:
    """Measure what standard input asks for, and write the result, or an error of the user's, to standard output."""
    _import_keras()  # before the specification arrives, which leaves time for it
    spec = MeasurementSpec(**json.loads(sys.stdin.read()))
    try:
        _send(measure(spec).to_dict())
    except (TinybenchError, MemoryError) as error:
        reason = format_error(error) or type(error).__name__
        _send({"error": f"Not even one image fits into memory: {reason}" if isinstance(error, MemoryError) else reason})
    os._exit(0)  # libraries that are unloaded in the wrong order print errors, or hang


def _send(result: dict[str, Any]) -> None:
    """Write a result as one marked line; the last one that is written counts."""
    print(f"\n{RESULT_MARK}{json.dumps(result)}", flush=True)


def measure(spec: MeasurementSpec) -> PartialMeasurement:
    """Measure everything that a specification asks for.

    Raises:
        TinybenchError: The model, engine or device is not available.
        MemoryError: Not even one image fits.
    """
    from tinybench.efficiency import runners

    result = PartialMeasurement()
    gpu, reason = certificate.find_gpu(spec.index if spec.device == "gpu" else None)
    _configure_backend(spec)
    machine = certificate.describe_machine(gpu) | {
        "device": spec.device,
        "keras_backend": _backend(),
        "threads": spec.threads,
    }
    result.certificate = {"machine": machine, "before": certificate.describe_load(gpu)}
    if spec.device == "gpu" and gpu is None:
        result.notes.append(f"No memory, power or clocks of the GPU: {reason}")
    runners.check(spec)
    baseline = process_memory.resident_bytes()
    model = measured_model.build_model(spec)
    result.metrics |= _model_size(model)
    height, _, channels = model.input_shape[1:]
    result.spec = vars(replace(spec, image_size=height, channels=channels, classes=model.output_shape[-1]))
    _measure_inference(result, model, spec, gpu, baseline)
    result.certificate["after"] = certificate.describe_load(gpu)
    return result


def _import_keras() -> None:
    """Import Keras without the libraries that it imports if they are installed, which saves two of five seconds."""
    hidden: dict[str, Any] = dict.fromkeys(_OPTIONAL_FOR_KERAS)
    sys.modules.update(hidden)
    import keras  # noqa: F401

    for name in hidden:
        del sys.modules[name]


def _backend() -> str:
    import keras

    return str(keras.backend.backend())


def _configure_backend(spec: MeasurementSpec) -> None:
    """Set the threads and the device, before anything is computed.

    Raises:
        EngineError: There is no such GPU.
    """
    backend = _backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(spec.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        gpus = tf.config.list_physical_devices("GPU")
        if spec.device == "gpu" and spec.index >= len(gpus):
            raise EngineError(f"TensorFlow finds {len(gpus)} GPUs, so none is number {spec.index}: take --device cpu.")
        visible = gpus[spec.index : spec.index + 1] if spec.device == "gpu" else []
        tf.config.set_visible_devices(visible, "GPU")
        for gpu in visible:
            tf.config.experimental.set_memory_growth(gpu, True)
    elif backend == "torch":
        import torch

        torch.set_num_threads(spec.threads)
        if spec.device == "gpu" and not torch.cuda.is_available():
            raise EngineError("PyTorch finds no GPU: take --device cpu.")
    elif spec.device == "gpu":
        import jax

        if jax.default_backend() != "gpu":
            raise EngineError("JAX finds no GPU: take --device cpu.")


def _model_size(model: keras.Model) -> dict[str, float]:
    """Return the parameters, the bytes of the weights and, by TensorFlow, the operations of a model."""
    from tinybench.efficiency import flops

    sizes = [np.prod(weight.shape) * np.dtype(weight.dtype).itemsize for weight in model.weights]
    metrics = {"parameters": float(model.count_params()), "weight_bytes": float(sum(sizes))}
    counts = flops.count_flops(model)
    return metrics if counts is None else metrics | {"flops": float(counts.total), "macs": float(counts.macs)}


def _measure_inference(
    result: PartialMeasurement, model: keras.Model, spec: MeasurementSpec, gpu: nvml.Gpu | None, baseline: int
) -> None:
    """Measure latency, memory and, unless the latency alone is asked for, the other ways to call the model.

    Args:
        result: Receives the metrics.
        model: The Keras model.
        spec: What is measured.
        gpu: The GPU, if one is measured.
        baseline: Bytes of memory that the process used before the model was built.
    """
    from tinybench.efficiency import runners

    budget = timing.QUICK if spec.quick else timing.FULL
    with TemporaryDirectory() as folder:
        file = measured_model.export_model(spec, Path(folder)) if spec.engine in runners.FILE_ENGINES else None
        if file is not None:
            baseline = process_memory.resident_bytes()  # with Keras and its model, which this engine does without
        compile = runners.build_compiler(model, spec, file)
    shape = tuple(model.input_shape[1:])
    exact = process_memory.reset_peak()
    if gpu is None:
        _measure_latency(result, compile, shape, budget)
    else:
        with nvml.GpuSampler(gpu) as sampler:
            calls = _measure_latency(result, compile, shape, budget)
        _add_gpu_metrics(result, sampler.metrics(), calls)
    result.metrics["memory_peak_bytes"] = float(max(process_memory.peak_bytes() - baseline, 0))
    if not exact:
        result.notes.append("The peak of memory counts from the start of the process: this system cannot reset it.")
    if spec.latency_only:
        return
    _measure_jpeg_latency(result, compile, shape, spec.quick)
    _measure_predict(result, model, spec.quick)
    result.certificate["after"] = certificate.describe_load(gpu)
    _send(result.to_dict())  # too large a batch may end the process
    _measure_throughput(result, compile, shape, spec, budget)


def _measure_latency(result: PartialMeasurement, compile: Compiler, shape: Any, budget: timing.Budget) -> int:
    """Measure the percentiles of the latency at batch size 1, and return how many calls were made."""
    from tinybench.efficiency import runners

    start = time.perf_counter()
    call = runners.build_noise_call(compile, shape, 1)
    compile_seconds = time.perf_counter() - start  # of engines that compile before the first call
    timings = timing.time_calls(call, budget)
    result.seconds = [float(seconds) for seconds in timings.seconds]
    result.metrics |= {f"latency_p{share}_ms": 1000 * timings.percentile(share) for share in (50, 90, 99)}
    result.metrics |= {
        "latency_calls": float(len(timings.seconds)),
        "first_call_ms": 1000 * (compile_seconds + timings.first),
    }
    if not timings.steady:
        result.notes.append(f"Still not steady after {timings.warm_up} calls of warm-up: measure on a quieter machine.")
    return 1 + timings.warm_up + len(timings.seconds)


def _add_gpu_metrics(result: PartialMeasurement, samples: dict[str, float], images: int) -> None:
    """Add the memory and energy of the calls at batch size 1, by NVML and by TensorFlow's allocator.

    Args:
        result: Receives the metrics.
        samples: What `nvml.GpuSampler` measured during the calls.
        images: How many calls of one image it was.
    """
    result.metrics["nvml_peak_bytes"] = samples["memory_bytes"]
    result.metrics["nvml_interval_ms"] = 1000 * samples["interval_seconds"]
    if "joules" in samples:
        result.metrics["joules_per_1000_images"] = 1000 * samples["joules"] / images
    if _backend() == "tensorflow":
        import tensorflow as tf

        result.metrics["allocator_peak_bytes"] = float(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def _measure_throughput(
    result: PartialMeasurement, compile: Compiler, shape: Any, spec: MeasurementSpec, budget: timing.Budget
) -> None:
    """Measure the throughput at growing batch sizes, or at the one of the specification."""
    calls = _guard_memory(compile, shape)
    if spec.batch is None:
        single = Throughput(1, 1 / float(np.median(result.seconds)))
        throughputs = timing.measure_growing_batches(calls, single, budget)
    else:
        largest = timing.measure_largest_batch(calls, spec.batch, budget, lambda fitting: _send_early(result, fitting))
        throughputs = [largest]
        if largest.batch < spec.batch:
            result.notes.append(f"A batch of {spec.batch} does not fit into memory: {largest.batch} was measured.")
    result.add_throughput(timing.fastest(throughputs), throughputs)


def _send_early(result: PartialMeasurement, throughput: Throughput) -> None:
    """Send the result with the throughput of a batch that fits, since the next one may end the process."""
    early = replace(result, metrics=dict(result.metrics))
    early.add_throughput(throughput, [throughput])
    _send(early.to_dict())


def _guard_memory(compile: Compiler, shape: Any) -> Callable[[int], timing.Call]:
    """Return a function from a batch size to a call, which refuses a size that would take all memory.

    The system would end the process for it, with all that was measured.
    """
    from tinybench.efficiency import runners

    before, previous_size = process_memory.resident_bytes(), 0

    def build_call(size: int) -> timing.Call:
        nonlocal previous_size
        peak_growth = max(process_memory.peak_bytes() - before, 0)  # it grows in proportion to the batch size
        current_growth = max(process_memory.resident_bytes() - before, 0)
        available = process_memory.available_bytes() + current_growth
        if previous_size and peak_growth * size / previous_size > _MEMORY_SHARE * available:
            raise MemoryError(f"a batch of {size}")
        previous_size = size
        return runners.build_noise_call(compile, shape, size)

    return build_call


def _measure_jpeg_latency(result: PartialMeasurement, compile: Compiler, shape: Any, quick: bool) -> None:
    """Measure the latency from the bytes of a JPEG image to its class, as a service has it."""
    from tinybench.efficiency import jpeg_latency

    call = jpeg_latency.build_jpeg_call(compile(1), shape)
    call()
    seconds = [timing.time_call(call) for _ in range(_JPEG_CALLS[quick])]
    for share in (50, 90):
        result.metrics[f"jpeg_to_label_p{share}_ms"] = 1000 * float(np.percentile(seconds, share))


def _measure_predict(result: PartialMeasurement, model: keras.Model, quick: bool) -> None:
    """Measure Keras's `predict` for one image, as published benchmarks do; nearly all of it is overhead."""
    image = np.zeros((1, *model.input_shape[1:]), np.float32)
    model.predict(image, verbose=0)
    seconds = [timing.time_call(lambda: model.predict(image, verbose=0)) for _ in range(_PREDICT_CALLS[quick])]
    result.metrics["latency_predict_ms"] = 1000 * float(np.median(seconds))


if __name__ == "__main__":
    main()
