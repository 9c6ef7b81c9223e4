"""Real runs by accuracy and cost."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from mlflow.tracking import MlflowClient
from PIL import Image
from stores import elsewhere, fresh

import tinybench
from tinybench.cli import root
from tinybench.commands import pareto
from tinybench.core.errors import ConfigError, TrackingError

SMALL = {"recipe": "quickstart", "phases": "scratch", "scratch.epochs": 1, "data.per_class": 8, "track.pictures": False}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


@pytest.fixture(scope="module")
def runs(store: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    wanted = {"small": {}, "large": {"network.filters": "48,96"}, "free": {"track.costs": "off"}}
    with elsewhere(tmp_path_factory):
        return {
            name: tinybench.train(**SMALL | {"track.uri": store} | settings).run_id for name, settings in wanted.items()
        }


def test_runs_are_drawn_with_their_data(store: str, runs: dict[str, str], tmp_path: Path) -> None:
    output = tmp_path / "ours.png"
    words = ["pareto", runs["small"], runs["large"], "--output", str(output), "--uri", store]
    result = CliRunner().invoke(root.cli, words, catch_exceptions=False)
    assert result.stdout.splitlines() == [f"wrote {output}", f"wrote {output.with_suffix('.csv')}"]
    with Image.open(output) as picture:
        assert picture.width > 1000
    small, large = csv.DictReader(output.with_suffix(".csv").open(encoding="utf-8"))
    assert runs["small"][:8] in small["name"]
    assert float(small["size"]) < float(large["size"])
    for row in (small, large):
        assert float(row["latency_low"]) <= float(row["latency"]) <= float(row["latency_high"])
        assert float(row["accuracy_low"]) <= float(row["accuracy"]) <= float(row["accuracy_high"])


def test_what_cannot_be_compared_is_refused(store: str, runs: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"has no efficiency/cpu_latency_p50_ms: .*track\.costs"):
        pareto.draw_pareto([runs["small"], runs["free"]], tmp_path / "a.png", uri=store)
    with pytest.raises(ConfigError, match="at least two different runs"):
        pareto.draw_pareto([runs["small"]] * 2, tmp_path / "a.png", uri=store)
    with pytest.raises(ConfigError, match=r"ends in \.png"):
        CliRunner().invoke(root.cli, ["pareto", "a", "b", "--output", "a.pdf"], catch_exceptions=False)


def test_machines_are_never_mixed(store: str, runs: dict[str, str], tmp_path: Path) -> None:
    from tinybench.tracking import run_record
    from tinybench.tracking.tracker import Tracker

    other = run_record.find_final_run(Tracker.at(store), runs["large"]).info.run_id
    client = MlflowClient(store)
    own = client.get_run(other).data.tags["efficiency.machine.cpu"]
    client.set_tag(other, "efficiency.machine.cpu", "another")
    try:
        with pytest.raises(TrackingError, match="different machines"):
            pareto.draw_pareto([runs["small"], runs["large"]], tmp_path / "a.png", uri=store)
    finally:
        client.set_tag(other, "efficiency.machine.cpu", own)
    assert not (tmp_path / "a.png").exists()


def test_the_interval_of_a_median_holds_it_as_often_as_it_says() -> None:
    truth, hits = np.log(2), []
    for seed in range(300):
        low, high = pareto._median_interval(np.random.default_rng(seed).exponential(size=40))
        hits.append(low <= truth <= high)
    assert 0.93 <= np.mean(hits) <= 0.99
    assert pareto._median_interval(np.array([2.0])) == (2, 2)
