"""MLflow's system metrics on a run that trains."""

from __future__ import annotations

import time

import pytest
from mlflow.tracking import MlflowClient
from small_runs import SMALL
from stores import fresh

import tinybench


@pytest.mark.parametrize("enabled", ["true", "false"])
def test_system_metrics_are_logged_to_the_runs_that_train_if_asked_for(
    enabled: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", enabled)
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    store = fresh(tmp_path_factory)
    began = time.time()
    result = tinybench.train(**SMALL, **{"track.uri": store})
    client = MlflowClient(store)
    for phase in result.phases.values():
        points = client.get_metric_history(phase.run_id, "system/cpu_utilization_percentage")
        assert bool(points) == (enabled == "true")
        assert [point.step for point in points] == list(range(len(points)))
        assert all(began < point.timestamp / 1000 < time.time() for point in points)
