"""What measuring itself costs, and whether others find the same: `python -m benchmarks.cost [MODEL]`.

The latency of one model by ONNX Runtime as `measure` times it, and as ONNX Runtime's own profiler does, in turn in one
process each; and the same with OpenVINO's `benchmark_app` where it is installed. Then training steps with NVML's
sampler beside them and without, in turn; where there is no GPU, against the stand-in of the tests, compiled here.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_TURNS, _CALLS = 3, 100
_STEPS, _PAIRS = 60, 25


def main() -> None:
    """Print ratios."""
    model = sys.argv[1] if len(sys.argv) > 1 else "resnet50"
    with tempfile.TemporaryDirectory() as folder:
        _others(model, Path(folder))
        _sampler(Path(folder))


def _others(model: str, folder: Path) -> None:
    from tinybench.commands import measure
    from tinybench.efficiency import measurement

    (spec,) = measure.build_specs([model], ["cpu"], engine="onnxruntime", quick=True)
    (vino,) = measure.build_specs([model], ["cpu"], engine="openvino", quick=True)
    path = folder / "model.onnx"
    subprocess.run([sys.executable, "-m", "benchmarks.cost", "--export", spec.to_json(), str(path)], check=True)
    ours, theirs, app, our_vino = [], [], [], []
    for _ in range(_TURNS):
        ours.append(measurement.measure(spec).metrics["latency_p50_ms"])
        command = [sys.executable, "-m", "benchmarks.cost", "--profile", str(path), str(spec.threads)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        theirs.append(float(done.stdout.splitlines()[-1]))
        our_vino.append(measurement.measure(vino).metrics["latency_p50_ms"])
        app += _benchmark_app(path, spec.threads)
    _print(f"{model}, ONNX Runtime", ours, theirs, "its own profiler")
    if app:
        _print(f"{model}, OpenVINO", our_vino, app, "benchmark_app")
    else:
        print("OpenVINO's benchmark_app is not installed")


def _print(what: str, ours: list[float], theirs: list[float], tool: str) -> None:
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(
        f"{what}: ours {statistics.median(ours):.2f} ms, {tool} {statistics.median(theirs):.2f} ms, ratio {ratio:.3f}"
    )


def _export(spec: str, path: str) -> None:
    from tinybench.efficiency import measured_model
    from tinybench.efficiency.measurement_spec import MeasurementSpec
    from tinybench.models import onnx_graph

    onnx_graph.save(measured_model.build_model(MeasurementSpec(**json.loads(spec))), Path(path))


def _profile(path: str, threads: str) -> None:
    """ONNX Runtime's own record of each run, in milliseconds: the median."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(threads)
    options.enable_profiling = True
    options.profile_file_prefix = str(Path(path).with_name("profile"))
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    model_input = session.get_inputs()[0]
    pixels = np.random.default_rng(0).integers(0, 256, (1, *model_input.shape[1:])).astype(np.float32)
    for _ in range(_CALLS):
        session.run(None, {model_input.name: pixels})
    events = json.loads(Path(session.end_profiling()).read_text())
    runs = [event["dur"] / 1000 for event in events if event["name"] == "model_run"]
    print(statistics.median(runs[_CALLS // 5 :]))


def _benchmark_app(path: Path, threads: int) -> list[float]:
    program = Path(sys.executable).with_name("benchmark_app")
    if not program.exists():
        return []
    options = ["-d", "CPU", "-api", "sync", "-hint", "none", "-t", "5", "-nthreads", str(threads)]
    options += ["-data_shape", "[1,224,224,3]"]
    done = subprocess.run([program, "-m", path, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"benchmark_app failed: {done.stdout[-300:]}{done.stderr[-300:]}")
    return [float(line.split()[-2]) for line in done.stdout.splitlines() if "Median:" in line]


def _sampler(folder: Path) -> None:
    environment = dict(os.environ)
    from tinybench.core.errors import DeviceError
    from tinybench.hardware import nvml

    try:
        print(f"sampling {nvml.find_gpu().name}")
    except DeviceError:
        source = Path("tests/hardware/nvml_stand_in.c")
        if shutil.which("cc") is None or not source.exists():
            print("sampler: no GPU, and nothing to make a stand-in with")
            return
        subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", source], check=True)
        memory = folder / "memory"
        memory.write_text(str(2**30))
        environment |= {"LD_LIBRARY_PATH": str(folder), "STAND_IN_MEMORY": str(memory)}
        print("sampling a stand-in of NVML, which answers sooner than a driver does")
    subprocess.run([sys.executable, "-m", "benchmarks.cost", "--steps"], check=True, env=environment)


def _steps() -> None:
    """Training steps of a small network, with and without a sampler, in turn; and what one sample takes."""
    import keras
    import numpy as np

    from tinybench.hardware import nvml

    keras.utils.set_random_seed(0)
    layers = [keras.layers.Conv2D(32, 3, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((32, 32, 3)), *layers])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images, labels = np.zeros((32, 32, 32, 3), np.float32), np.zeros(32, np.int32)
    gpu = nvml.find_gpu()

    def steps() -> float:
        began = time.perf_counter()
        for _ in range(_STEPS):
            model.train_on_batch(images, labels)
        return time.perf_counter() - began

    steps()
    watched, again = [], []  # beside the same steps without, before and after: a machine drifts
    for _ in range(_PAIRS):
        before = steps()
        with nvml.GpuSampler(gpu):
            between = steps()
        after = steps()
        watched.append(2 * between / (before + after))
        again.append(after / before)
    began = time.perf_counter()
    sampler = nvml.GpuSampler(gpu)
    for _ in range(200):
        sampler._sample()
    step_seconds = (time.perf_counter() - began) / 200
    print(
        f"a training step with the sampler beside it: {statistics.median(watched) - 1:+.2%} (wanted below 1 %); "
        f"without it, the same again: {statistics.median(again) - 1:+.2%}"
    )
    print(
        f"a sample takes {1e6 * step_seconds:.0f} us, every {1000 * nvml.INTERVAL:.0f} ms: "
        f"{step_seconds / nvml.INTERVAL:.3%} of a core"
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--export", model, path]:
            _export(model, path)
        case ["--profile", path, threads]:
            _profile(path, threads)
        case ["--sampler"]:
            with tempfile.TemporaryDirectory() as folder:
                _sampler(Path(folder))
        case ["--steps"]:
            _steps()
        case _:
            main()
