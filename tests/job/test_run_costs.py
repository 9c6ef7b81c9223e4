"""What models cost, in a real store."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from mlflow.tracking import MlflowClient
from rich.console import Console as Terminal
from stores import elsewhere, fresh

import tinybench
from tinybench.cli import cost_table as report
from tinybench.cli import root
from tinybench.core.errors import ConfigError, EngineError
from tinybench.efficiency.measurement import Measurement
from tinybench.efficiency.spec import Spec
from tinybench.job import run_costs
from tinybench.job.run_costs import Cost, Session
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
    assert whole["efficiency/ratio"] == pytest.approx(runs[1].data.metrics["efficiency/ratio"])


def test_what_cannot_be_measured_is_no_reason_to_lose_a_training(store: str, tmp_path: Path) -> None:
    tracker = Tracker.at(store)
    run = tracker.open_parent_run("unmeasured")
    begun: list[bool] = []
    found = run_costs.of_run(run, tmp_path, tmp_path / "none.keras", "quick", "cpu", lambda: begun.append(True))
    assert (found, begun) == ({}, [True])
    assert "none.keras" in tracker.get_run(run.id).data.tags["efficiency.absent"]
    assert [*tmp_path.iterdir()] == []


def test_small_networks_have_the_size_classes_and_head_of_their_recipe() -> None:
    (simple, shallow, resnet, vgg) = run_costs.specs(["simple5", "shallow", "resnet50", "vgg16"], ["cpu"], threads=1)
    assert (simple.recipe, simple.image_size, simple.channels, simple.classes) == ("cifar10-simple5", 32, 3, 10)
    assert (shallow.image_size, shallow.channels, shallow.classes) == (28, 1, 10)
    assert (resnet.recipe, resnet.image_size, resnet.classes) == ("tiny-imagenet-tlft", 224, 200)
    assert (vgg.recipe, vgg.image_size) == (resnet.recipe, resnet.image_size)  # backbones side by side
    assert [each.device for each in run_costs.specs(["vgg16"], ["cpu", "gpu"])] == ["cpu", "gpu"]
    assert run_costs.specs(["vgg16"], ["cpu"], image_size=64, classes=3)[0].image_size == 64


def measured(p50: float, model: str = "smallcnn", device: str = "cpu") -> Measurement:
    names = "latency_p50_ms latency_p90_ms latency_p99_ms throughput_images_per_second throughput_batch parameters "
    names += "first_call_ms jpeg_to_label_p50_ms latency_predict_ms memory_peak_bytes weight_bytes"
    figures = dict.fromkeys(names.split(), p50)
    certificate = {"machine": {"cpu": "one"}, "before": {"load_average": [0.5, 0.5, 0.5]}}
    return Measurement(Spec(model, device=device), figures, np.full(10, p50 / 1000), ((1, 1.0),), (), certificate)


def cost(model: str, *p50: float, device: str = "cpu") -> Cost:
    return Cost(Spec(model, device=device), tuple(measured(each, model, device) for each in p50))


def test_a_cost_is_the_median_of_its_rounds_and_named_by_device() -> None:
    found = cost("a", 3.0, 1.0, 2.0, device="gpu")
    assert found.figures["latency_p50_ms"] == 2
    assert found.named["efficiency/gpu_latency_p50_ms"] == 2
    assert found.named["efficiency/parameters"] == 2


def test_noise_is_that_of_the_same_model_measured_again() -> None:
    noise = run_costs._noise([cost("a", 1.0, 1.1), cost("b", 10.0, 10.5)])
    assert noise["latency_p50_ms"] == pytest.approx(0.1)
    assert "parameters" not in noise


def test_measured_once_nothing_is_known_of_the_noise_and_nothing_is_ranked() -> None:
    once = (cost("a", 1.0), cost("b", 2.0))
    assert run_costs._noise(once) == {}
    terminal = Terminal(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    report.print_cost_tables(Session(once, {}), terminal)
    lines = terminal.export_text().splitlines()
    assert lines[1].split()[0] == "a"
    assert "Measured once" in "".join(lines)


def test_a_throughput_goes_with_the_batch_that_gave_it() -> None:
    rounds = [
        replace(each, figures=each.figures | {"throughput_images_per_second": speed, "throughput_batch": batch})
        for each, speed, batch in ((measured(1.0), 100.0, 8.0), (measured(1.0), 60.0, 2.0))
    ]
    found = Cost(rounds[0].spec, tuple(rounds)).figures
    assert (found["throughput_images_per_second"], found["throughput_batch"]) == (100.0, 8.0)


def test_a_throughput_that_one_round_lacks_is_not_made_up() -> None:
    whole = measured(1.0)
    short = replace(whole, figures={key: value for key, value in whole.figures.items() if "throughput" not in key})
    cut = Cost(whole.spec, (whole, short))
    assert "throughput_batch" not in cut.figures
    terminal = Terminal(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    report.print_cost_tables(Session((cut,), {}), terminal)


@pytest.mark.parametrize(
    ("noise", "expected"), [(0.0, [1, 2, 3, 4]), (0.11, [1, 1, 3, 3]), (0.05, [1, 2, 3, 3]), (9.0, [1, 1, 1, 1])]
)
def test_what_differs_by_less_than_the_noise_has_one_rank(noise: float, expected: list[int]) -> None:
    ranked = [cost("a", 1.0), cost("b", 1.1), cost("c", 2.0), cost("d", 2.05)]
    assert report.rank_by_latency(ranked, noise) == expected
    assert report.rank_by_latency([*ranked, cost("a", 0.1, device="gpu")], noise)[-1] == 1


def test_the_table_fits_and_says_of_what_machine_it_speaks() -> None:
    session = Session((cost("b", 20.0, 22.0), cost("a", 1.0)), {"latency_p50_ms": 0.1}, ("c on gpu: no GPU",))
    terminal = Terminal(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    report.print_cost_tables(session, terminal)
    text = terminal.export_text()
    lines = text.splitlines()
    assert lines[1].split()[:3] == ["1", "a", "1"]
    assert lines[2].split()[:3] == ["2", "b", "21"]
    assert "differed by up to 10.0%" in text
    assert "one, 1 threads, load 0.50 before" in text
    assert "Not measured: c on gpu: no GPU" in text
    assert all(len(line) <= 80 for line in lines[:6])


def test_the_command_measures_prints_and_logs(store: str) -> None:
    words = ["measure", "--model", "smallcnn", "--threads", "1", "--quick", "--uri", store, "--experiment", "costs"]
    result = CliRunner().invoke(root.cli, [*words, "--device", "all"], catch_exceptions=False)
    assert "smallcnn on cpu" in result.stderr
    assert "Not measured: smallcnn on gpu: TensorFlow finds 0 GPUs" in result.stdout
    client = MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("costs").experiment_id])
    assert (run.info.status, run.info.run_name) == ("FINISHED", "measure smallcnn")
    assert run.data.params["threads"] == "1"
    assert run.data.metrics["efficiency/cpu_latency_p50_ms"] > 0
    assert "Measured once" in result.stdout
    assert "TensorFlow finds 0 GPUs" in run.data.tags["efficiency.absent"]


def test_several_models_are_runs_below_one_and_json_is_for_machines(store: str) -> None:
    words = ["measure", "--model", "smallcnn,shallow", "--threads", "1", "--quick", "--json", "--uri", store]
    result = CliRunner().invoke(root.cli, [*words, "--experiment", "several"], catch_exceptions=False)
    found = json.loads(result.stdout)
    assert [each["spec"]["model"] for each in found["costs"]] == ["smallcnn", "shallow"]
    client = MlflowClient(store)
    runs = client.search_runs([client.get_experiment_by_name("several").experiment_id])
    parents = {run.data.tags.get("mlflow.parentRunId", "") for run in runs}
    assert len(runs) == 3
    assert len(parents) == 2
    assert {run.info.run_name for run in runs} == {
        "measure smallcnn, shallow",
        "smallcnn on cpu",
        "shallow on cpu",
    }


def test_what_cannot_be_measured_leaves_no_run(store: str) -> None:
    client = MlflowClient(store)
    everywhere = [each.experiment_id for each in client.search_experiments()]
    before = len(client.search_runs(everywhere))
    words = ["measure", "--model", "nope", "--quick", "--uri", store]
    with pytest.raises(EngineError, match="Unknown model 'nope'"):
        CliRunner().invoke(root.cli, words, catch_exceptions=False)
    with pytest.raises(ConfigError, match="at least one model"):
        CliRunner().invoke(root.cli, ["measure", "--model", ",", "--uri", store], catch_exceptions=False)
    assert len(client.search_runs(everywhere)) == before
