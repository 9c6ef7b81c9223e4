"""A measurement in a process of its own: a specification on standard input, what was found on standard output.

`python -m tinybench.efficiency.measurement_worker`. A fresh
process has no other model in its memory, and its threads and devices
are what the specification says.
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

from tinybench.core.errors import EngineError, TinybenchError, in_one_line
from tinybench.efficiency import measured_model, timing
from tinybench.efficiency.spec import MARK, Spec
from tinybench.efficiency.timing import Rung
from tinybench.hardware import certificate, nvml, process_memory

if TYPE_CHECKING:
    import keras

    from tinybench.efficiency.runners import Compiler

_THROUGHPUT = "throughput_images_per_second"
_NOT_NEEDED = ("matplotlib", "pandas", "sklearn")
_PICTURES = {False: 100, True: 3}  # by quick
_PREDICTIONS = {False: 20, True: 2}
_ROOM = 0.8  # of the memory that is free; the next batch must fit in


@dataclass
class Found:
    """What was found, for JSON.

    Attributes:
        figures: By name, without device.
        seconds: Of each call at batch 1.
        rungs: Batch sizes and their images per second.
        notes: What a person should know.
        certificate: The machine, before and after.
        spec: What was measured in truth: a file's model has a size of its own.
    """

    figures: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    rungs: list[tuple[int, float]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    certificate: dict[str, Any] = field(default_factory=dict)
    spec: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    """Measure what is asked for; an error of the user's goes into the answer."""
    _load()  # before there is anything to do: who asks has time until then
    spec = Spec(**json.loads(sys.stdin.read()))
    try:
        answer: dict[str, Any] = vars(measured(spec))
    except (TinybenchError, MemoryError) as error:
        words = in_one_line(error) or type(error).__name__
        answer = {"error": f"Not even one image fits into memory: {words}" if isinstance(error, MemoryError) else words}
    _say(answer)
    os._exit(0)  # runtimes that are torn down in the wrong order print, or hang


def _say(answer: dict[str, Any]) -> None:
    """What was found so far; the last word counts."""
    print(f"\n{MARK}{json.dumps(answer)}", flush=True)


def _so_far(found: Found, rung: Rung) -> None:
    """A batch that fits, should the next one end the process."""
    figures = found.figures | {_THROUGHPUT: rung.per_second, "throughput_batch": float(rung.batch)}
    _say(vars(found) | {"figures": figures, "rungs": [(rung.batch, rung.per_second)]})


def measured(spec: Spec) -> Found:
    """All figures of a specification.

    Raises:
        TinybenchError: a model, engine or device that cannot be had.
        MemoryError: not even one image fits.
    """
    from tinybench.efficiency import runners

    found = Found()
    gpu, reason = certificate.gpu_or_reason(spec.index if spec.device == "gpu" else None)
    _set_up(spec)
    machine = certificate.machine(gpu) | {"device": spec.device, "keras_backend": _backend(), "threads": spec.threads}
    found.certificate = {"machine": machine, "before": certificate.moment(gpu)}
    if spec.device == "gpu" and gpu is None:
        found.notes.append(f"No memory, power or clocks of the GPU: {reason}")
    runners.check(spec)
    baseline = process_memory.resident()
    model = measured_model.model(spec)
    found.figures |= _size(model)
    height, _, channels = model.input_shape[1:]
    found.spec = vars(replace(spec, image_size=height, channels=channels, classes=model.output_shape[-1]))
    _forward(found, model, spec, gpu, baseline)
    found.certificate["after"] = certificate.moment(gpu)
    return found


def _load() -> None:
    """The libraries that every measurement takes, without what Keras loads where it finds it: two seconds of five."""
    absent: dict[str, Any] = dict.fromkeys(_NOT_NEEDED)
    sys.modules.update(absent)
    import keras  # noqa: F401

    for name in absent:
        del sys.modules[name]


def _backend() -> str:
    import keras

    return str(keras.backend.backend())


def _set_up(spec: Spec) -> None:
    """Threads and device, before anything computes."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(spec.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        gpus = tf.config.list_physical_devices("GPU")
        if spec.device == "gpu" and spec.index >= len(gpus):
            raise EngineError(f"TensorFlow finds {len(gpus)} GPUs, so none is number {spec.index}: take --device cpu.")
        tf.config.set_visible_devices(gpus[spec.index : spec.index + 1] if spec.device == "gpu" else [], "GPU")
        for each in gpus[spec.index : spec.index + 1] if spec.device == "gpu" else []:
            tf.config.experimental.set_memory_growth(each, True)
    elif backend == "torch":
        import torch

        torch.set_num_threads(spec.threads)
        if spec.device == "gpu" and not torch.cuda.is_available():
            raise EngineError("PyTorch finds no GPU: take --device cpu.")
    elif spec.device == "gpu":
        import jax

        if jax.default_backend() != "gpu":
            raise EngineError("JAX finds no GPU: take --device cpu.")


def _size(model: keras.Model) -> dict[str, float]:
    from tinybench.efficiency import flops

    found = {
        "parameters": float(model.count_params()),
        "weight_bytes": float(sum(np.prod(each.shape) * np.dtype(each.dtype).itemsize for each in model.weights)),
    }
    counted = flops.count(model)
    return found if counted is None else found | {"flops": float(counted.total), "macs": float(counted.macs)}


def _forward(found: Found, model: keras.Model, spec: Spec, gpu: nvml.Gpu | None, baseline: int) -> None:
    from tinybench.efficiency import runners

    budget = timing.QUICK if spec.quick else timing.FULL
    with TemporaryDirectory() as folder:
        file = measured_model.exported(spec, Path(folder)) if spec.engine in runners.OF_FILES else None
        if file is not None:
            baseline = process_memory.resident()  # with Keras and its model, which this engine does without
        compile = runners.compiler(model, spec, file)
    shape = tuple(model.input_shape[1:])
    exact = process_memory.forget_peak()
    if gpu is None:
        took = _latency(found, compile, shape, budget)
    else:
        with nvml.Sampler(gpu) as sampler:
            took = _latency(found, compile, shape, budget)
        _of_gpu(found, sampler.figures(), took)
    found.figures["memory_peak_bytes"] = float(max(process_memory.peak() - baseline, 0))
    if not exact:
        found.notes.append("The peak of memory counts from the start of the process: this system cannot reset it.")
    if spec.latency_only:
        return
    _whole_way(found, compile, shape, spec.quick)
    _predictions(found, model, spec.quick)
    found.certificate["after"] = certificate.moment(gpu)
    _say(vars(found))  # too large a batch may end the process
    _throughput(found, compile, shape, spec, budget)


def _latency(found: Found, compile: Compiler, shape: Any, budget: timing.Budget) -> int:
    """Percentiles at batch 1; gives how many calls there were."""
    from tinybench.efficiency import runners

    began = time.perf_counter()
    call = runners.on_noise(compile, shape, 1)
    made = time.perf_counter() - began  # engines that compile ahead do so here
    timed = timing.measure(call, budget)
    found.seconds = [float(each) for each in timed.seconds]
    found.figures |= {f"latency_p{share}_ms": 1000 * timed.percentile(share) for share in (50, 90, 99)}
    found.figures |= {"latency_calls": float(len(timed.seconds)), "first_call_ms": 1000 * (made + timed.first)}
    if not timed.settled:
        found.notes.append(f"Still not steady after {timed.warm_up} calls of warm-up: measure on a quieter machine.")
    return 1 + timed.warm_up + len(timed.seconds)


def _of_gpu(found: Found, seen: dict[str, float], images: int) -> None:
    """What NVML and the allocator say of the calls at batch 1."""
    found.figures |= {"nvml_peak_bytes": seen["memory_bytes"], "nvml_interval_ms": 1000 * seen["interval_seconds"]}
    if "joules" in seen:
        found.figures |= {"joules_per_1000_images": 1000 * seen["joules"] / images}
    if _backend() == "tensorflow":
        import tensorflow as tf

        found.figures["allocator_peak_bytes"] = float(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def _throughput(found: Found, compile: Compiler, shape: Any, spec: Spec, budget: timing.Budget) -> None:
    calls = _guarded(compile, shape)
    if spec.batch is None:
        rungs = timing.ladder(calls, Rung(1, 1 / float(np.median(found.seconds))), budget)
    else:
        rungs = [timing.fitting(calls, spec.batch, budget, lambda rung: _so_far(found, rung))]
        if rungs[0].batch < spec.batch:
            found.notes.append(f"A batch of {spec.batch} does not fit into memory: {rungs[0].batch} was measured.")
    best = timing.best(rungs)
    found.rungs = [(each.batch, each.per_second) for each in rungs]
    found.figures |= {_THROUGHPUT: best.per_second, "throughput_batch": float(best.batch)}


def _guarded(compile: Compiler, shape: Any) -> Callable[[int], timing.Call]:
    """Calls by batch size; one that would take all memory is refused before the system ends the process for it."""
    from tinybench.efficiency import runners

    before, last = process_memory.resident(), 0

    def calls(size: int) -> timing.Call:
        nonlocal last
        grown = max(process_memory.peak() - before, 0)  # the next size takes so many times more
        held = max(process_memory.resident() - before, 0)
        if last and grown * size / last > _ROOM * (process_memory.available() + held):
            raise MemoryError(f"a batch of {size}")
        last = size
        return runners.on_noise(compile, shape, size)

    return calls


def _whole_way(found: Found, compile: Compiler, shape: Any, quick: bool) -> None:
    """From the bytes of a picture to its class, as a service pays it."""
    from tinybench.efficiency import jpeg_latency

    call = jpeg_latency.way(compile(1), shape)
    call()
    seconds = [timing.seconds(call) for _ in range(_PICTURES[quick])]
    found.figures |= {f"jpeg_to_label_p{share}_ms": 1000 * float(np.percentile(seconds, share)) for share in (50, 90)}


def _predictions(found: Found, model: keras.Model, quick: bool) -> None:
    """The published kind of figure: what Keras's `predict` takes for one image, nearly all of it overhead."""
    image = np.zeros((1, *model.input_shape[1:]), np.float32)
    model.predict(image, verbose=0)
    seconds = [timing.seconds(lambda: model.predict(image, verbose=0)) for _ in range(_PREDICTIONS[quick])]
    found.figures["latency_predict_ms"] = 1000 * float(np.median(seconds))


if __name__ == "__main__":
    main()
