"""Real measurements in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from tinybench import models
from tinybench.commands import measure
from tinybench.core.errors import ConfigError, EngineError
from tinybench.efficiency import measurement, measurement_worker
from tinybench.efficiency.measurement import Measurement
from tinybench.efficiency.measurement_spec import ENGINES, MeasurementSpec
from tinybench.recipes.resolve import resolve

SMALL = MeasurementSpec("smallcnn", "quickstart", image_size=16, channels=1, classes=10, threads=1, quick=True)


@pytest.fixture(scope="module")
def found() -> Measurement:
    return measurement.measure(SMALL)


def test_every_figure_is_there(found: Measurement) -> None:
    figures = found.metrics
    model = models.build(resolve("quickstart", {}), (16, 16, 1), 10)
    assert figures["parameters"] == model.count_params()
    assert figures["weight_bytes"] == 4 * model.count_params()
    assert figures["flops"] > 2 * figures["macs"] > 0
    assert 0 < figures["latency_p50_ms"] <= figures["latency_p90_ms"] <= figures["latency_p99_ms"]
    assert figures["latency_p50_ms"] == pytest.approx(1000 * np.median(found.seconds))
    assert figures["latency_calls"] == len(found.seconds) >= 10
    assert figures["first_call_ms"] > figures["latency_p50_ms"]
    assert figures["jpeg_to_label_p50_ms"] > figures["latency_p50_ms"]
    assert figures["latency_predict_ms"] > figures["latency_p50_ms"]
    assert 0 < figures["memory_peak_bytes"] < 2**30
    by_batch = dict(found.throughputs)
    assert figures["throughput_images_per_second"] == max(by_batch.values()) == by_batch[figures["throughput_batch"]]
    assert not any("gpu" in name or "nvml" in name for name in figures)


def test_no_module_of_the_folder_that_one_is_in_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numpy.py").write_text("raise SystemExit('a stranger was imported')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EngineError, match="Unknown model 'nope'"):
        measurement.measure(replace(SMALL, model="nope"))


def test_latency_alone_is_all_that_is_measured_where_nothing_else_is_wanted():
    found = measurement.measure(replace(SMALL, latency_only=True))
    assert found.metrics["latency_p99_ms"] >= found.metrics["latency_p50_ms"] > 0
    assert not {name for name in found.metrics if name.startswith(("throughput", "jpeg", "latency_predict"))}
    assert found.throughputs == ()


def test_the_certificate_says_how_it_was_taken(found: Measurement) -> None:
    machine = found.certificate["machine"]
    assert (machine["device"], machine["keras_backend"], machine["threads"]) == ("cpu", "tensorflow", 1)
    assert {"load_average", "cpu_mhz"} <= set(found.certificate["before"]) & set(found.certificate["after"])
    assert len(found.machine) == 16


def test_it_is_read_back_as_it_was_kept(found: Measurement) -> None:
    again = Measurement.from_dict(json.loads(json.dumps(found.to_dict())))
    np.testing.assert_array_equal(again.seconds, found.seconds)
    assert replace(again, seconds=found.seconds) == found


@pytest.mark.parametrize("engine", [each for each in ENGINES if each != "keras"])
def test_every_engine_measures(engine: str) -> None:
    for package in {"openvino": ("openvino",), "onnxruntime": ("onnxruntime", "tf2onnx")}.get(engine, ()):
        pytest.importorskip(package)
    figures = measurement.measure(replace(SMALL, engine=engine, batch=3)).metrics
    assert figures["throughput_batch"] == 3
    assert figures["latency_p50_ms"] > 0
    assert 0 < figures["memory_peak_bytes"] < 300e6  # not what a converter leaves behind: that is gigabytes


def test_another_backend_of_keras_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jax", reason="Keras has no other backend than TensorFlow here")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    found = measurement.measure(SMALL)
    assert found.certificate["machine"]["keras_backend"] == "jax"
    assert found.metrics["latency_p50_ms"] > 0
    assert "flops" not in found.metrics


def test_a_whole_model_is_measured_at_its_own_size(tmp_path: Path) -> None:
    model = models.build(resolve("quickstart", {}), (8, 8, 1), 10)
    model.save(tmp_path / "model.keras")
    figures = measurement.measure(MeasurementSpec(str(tmp_path / "model.keras"), quick=True)).metrics
    assert figures["parameters"] == model.count_params()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model": "nope"}, "Unknown model 'nope'"),
        ({"device": "gpu"}, "TensorFlow finds 0 GPUs, so none is number 0: take --device cpu"),
        ({"engine": "openvino", "device": "gpu"}, "GPU"),
        ({"engine": "onnxruntime", "precision": "float16"}, "computes in float32 here"),
        ({"model": "/no/such.keras", "recipe": None}, "no/such"),
    ],
)
def test_what_cannot_be_measured_is_one_line(changed: dict[str, object], words: str) -> None:
    with pytest.raises(EngineError) as caught:
        measurement.measure(replace(SMALL, **changed))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_process_that_is_killed_is_told_from_one_that_fails() -> None:
    assert "ended by signal 9, as the system does when memory ends" in measurement._describe_failure(-9, "")
    assert (
        measurement._describe_failure(1, "Traceback\nValueError: odd\n\n")
        == "The measuring process failed: ValueError: odd"
    )


def test_a_process_that_ends_in_too_large_a_batch_has_said_what_it_found_before() -> None:
    assert measurement._describe_too_large_batch(replace(SMALL, batch=99), {"throughput_batch": 64.0}) == (
        "A batch of 99 does not fit into memory: 64 was measured."
    )
    assert "A larger batch does not fit into memory: none" in measurement._describe_too_large_batch(SMALL, {})
    code = (
        "import os, sys; sys.stdin.read();"
        "from tinybench.efficiency import measurement_worker as worker;"
        "from tinybench.efficiency.measurement_spec import MeasurementSpec; spec = vars(MeasurementSpec('m'));"
        "found = worker.PartialMeasurement({'latency_p50_ms': 1.0}, certificate={'machine': {}}, spec=spec);"
        "worker._send_early(found, worker.Throughput(32, 5.0)); os.abort()"
    )
    process = measurement.MeasurementProcess(SMALL)
    with process:
        process._process.kill()
        process._process.communicate()
        pipe = subprocess.PIPE
        process._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )
        found = process.measure()
    assert found.metrics["throughput_batch"] == 32
    assert found.notes == ("A larger batch does not fit into memory: 32 was measured.",)


def test_a_file_of_a_whole_model_is_measured_as_it_is(tmp_path: Path) -> None:
    config = resolve("quickstart", {"weights": "none", "network.filters": "4,8"})
    models.build(config, (16, 16, 1), 7).save(tmp_path / "whole.keras")
    (wanted,) = measure.build_specs([str(tmp_path / "whole.keras")], ["cpu"], quick=True)
    found = measurement.measure(wanted)
    assert (found.spec.image_size, found.spec.channels, found.spec.classes) == (16, 1, 7)


def test_a_file_that_is_not_there_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match=r"there is no file absent\.keras"):
        measure.build_specs(["absent.keras"], ["cpu"])


def test_a_frozen_graph_is_called_without_its_input_being_printed(tmp_path, monkeypatch) -> None:
    import tensorflow as tf

    from tinybench.efficiency import runners
    from tinybench.features import openvino_graph

    config = resolve("quickstart", {"weights": "none"})
    model = models.build(config, (16, 16, 1), 10)
    compiled = runners._frozen_graph(openvino_graph.save_frozen_graph(model, None, tmp_path), SMALL)(1)
    placed = compiled.place_input(np.ones((2, 16, 16, 1), np.float32))
    answers = compiled.run(placed)
    np.testing.assert_allclose(answers, model(placed), atol=1e-5)
    monkeypatch.setattr(type(placed), "__repr__", lambda _: pytest.fail("printed"))
    compiled.run(placed)
    assert isinstance(placed, tf.Tensor)


def test_a_process_that_was_never_told_to_measure_does_not_stay() -> None:
    with measurement.MeasurementProcess(SMALL) as process:
        number = process._process.pid
    assert not psutil.pid_exists(number)


def test_noise_is_the_largest_spread_of_what_was_measured_again() -> None:
    assert measurement.noise([[10.0, 11.0], [5.0, 5.0, 6.0], [1.0]]) == pytest.approx(0.2)
    assert measurement.noise([[1.0]]) == 0


def test_a_batch_that_would_take_all_memory_is_refused_before_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a system that overcommits, the process would be ended instead."""
    peak = iter(range(100, 10**6, 100))
    monkeypatch.setattr(measurement_worker.process_memory, "resident_bytes", lambda: 0)
    monkeypatch.setattr(measurement_worker.process_memory, "peak_bytes", lambda: next(peak))
    monkeypatch.setattr(measurement_worker.process_memory, "available_bytes", lambda: 1000)
    monkeypatch.setattr("tinybench.efficiency.runners.build_noise_call", lambda compile, shape, size: lambda: None)
    calls = measurement_worker._guard_memory(None, (1, 1, 1))
    assert calls(1)() is None
    assert calls(2)() is None  # 200 bytes for one image, so 400
    with pytest.raises(MemoryError, match="a batch of 8"):
        calls(8)  # 300 bytes for two, so 1,200, of 1,000 that there are


def test_the_worker_loads_no_tracking() -> None:
    code = "import sys; import tinybench.efficiency.measurement_worker; raise SystemExit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, env=os.environ).returncode == 0
