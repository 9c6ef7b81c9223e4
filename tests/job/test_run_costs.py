"""What the model of a run costs, in a real store."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from recorded_events import RecordedEvents
from stores import elsewhere, fresh

import tinybench
from tinybench.job import run_costs
from tinybench.tracking.tracker import Tracker

SMALL = {"recipe": "quickstart", "data.per_class": 8, "data.test_per_class": 4, "track.pictures": False}
SMALL |= {"transfer.epochs": 1, "finetune.epochs": 1}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


@pytest.fixture(scope="module")
def done(store: str, tmp_path_factory: pytest.TempPathFactory) -> tinybench.Result:
    with elsewhere(tmp_path_factory):
        return tinybench.train(**SMALL, **{"track.uri": store})


def test_every_phase_has_what_its_model_costs_measured_once(store: str, done: tinybench.Result) -> None:
    client = MlflowClient(store)
    runs = [client.get_run(each.run_id) for each in done.phases.values()]
    kept = [client.download_artifacts(run.info.run_id, "efficiency/cpu.json") for run in runs]
    first, second = (Path(file).read_text("utf-8") for file in kept)
    assert first == second
    (measured,) = json.loads(first)
    names = [
        "latency_p50_ms",
        "latency_p99_ms",
        "throughput_images_per_second",
        "memory_peak_bytes",
        "latency_predict_ms",
    ]
    for run in runs:
        figures = run.data.metrics
        assert {f"efficiency/cpu_{name}" for name in names} <= set(figures)
        assert figures["efficiency/cpu_latency_p50_ms"] == measured["figures"]["latency_p50_ms"]
        ratio = 100 * figures["test/accuracy"] / figures["efficiency/cpu_latency_p50_ms"]
        assert figures["efficiency/ratio"] == pytest.approx(ratio)
        assert figures["efficiency/training_images_per_second"] > 0
        assert figures["efficiency/flops"] > figures["efficiency/macs"] > 0
        assert run.data.tags["efficiency.machine.cpu"] == measured["machine"]
        assert run.data.tags["efficiency.gpu"] == "no figures: the processor was used"
        assert not any("gpu" in name for name in figures)
    whole = client.get_run(done.run_id).data.metrics
    assert "efficiency/ratio" not in whole, "runs are not ranked by one quick measurement"
    assert whole["efficiency/cpu_latency_p50_ms"] == runs[1].data.metrics["efficiency/cpu_latency_p50_ms"]


def test_what_cannot_be_measured_is_no_reason_to_lose_a_training(store: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    events = RecordedEvents()
    with closing(Tracker.at(store)) as tracker:
        run = tracker.open_parent_run("unmeasured")
        assert run_costs.measure_run(run, folder, folder / "none.keras", "quick", "cpu", events) == {}
        assert events.lines == ["measuring latency, throughput and memory of the model, in a process of its own"]
        assert tracker.writer.flush()
        assert "none.keras" in tracker.get_run(run.id).data.tags["efficiency.absent"]
    assert [*folder.iterdir()] == []
