"""Models measured without training, in a real store."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from measured_costs import cost
from mlflow.tracking import MlflowClient
from stores import fresh

from tinybench.cli import root
from tinybench.commands import measure
from tinybench.core.errors import ConfigError, EngineError


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


def test_small_networks_have_the_size_classes_and_head_of_their_recipe() -> None:
    (simple, shallow, resnet, vgg) = measure.build_specs(
        ["simple5", "shallow", "resnet50", "vgg16"], ["cpu"], threads=1
    )
    assert (simple.recipe, simple.image_size, simple.channels, simple.classes) == ("cifar10-simple5", 32, 3, 10)
    assert (shallow.image_size, shallow.channels, shallow.classes) == (28, 1, 10)
    assert (resnet.recipe, resnet.image_size, resnet.classes) == ("tiny-imagenet-tlft", 224, 200)
    assert (vgg.recipe, vgg.image_size) == (resnet.recipe, resnet.image_size)  # backbones side by side
    assert [each.device for each in measure.build_specs(["vgg16"], ["cpu", "gpu"])] == ["cpu", "gpu"]
    assert measure.build_specs(["vgg16"], ["cpu"], image_size=64, classes=3)[0].image_size == 64


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


def test_a_notebook_shows_the_fastest_first_and_what_is_missing() -> None:
    costs = (cost("<slow>", 20.0, 22.0), cost("fast", 1.0, 1.0))
    html = measure.MeasureResult(costs, {"latency_p50_ms": 0.1}, ("<c> on gpu: no GPU",))._repr_html_()
    assert html.index("<td>fast</td><td>cpu</td><td>1</td>") < html.index(
        "<td>&lt;slow&gt;</td><td>cpu</td><td>21</td>"
    )
    assert "differed by up to 10.0%" in html
    assert "<td>&lt;c&gt; on gpu: no GPU</td>" in html
    assert "not measured" not in measure.MeasureResult(costs, {})._repr_html_()
