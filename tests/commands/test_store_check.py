"""A dry run tells what opening the run would, and creates nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from stores import fresh

from tinybench.commands.store_check import check_store
from tinybench.config.sections import TrackConfig
from tinybench.core.errors import ConfigError, TrackingError


@pytest.fixture
def config(tmp_path_factory: pytest.TempPathFactory) -> TrackConfig:
    return TrackConfig(uri=fresh(tmp_path_factory))


def test_a_store_that_can_be_used_has_nothing_to_say(config: TrackConfig):
    assert check_store(config) == ""
    assert MlflowClient(config.uri).get_experiment_by_name("tinybench") is None


def test_a_store_that_does_not_exist_is_not_created(tmp_path: Path):
    assert check_store(TrackConfig(uri=f"sqlite:///{tmp_path}/new.db")) == ""
    assert [*tmp_path.iterdir()] == []


def test_a_deleted_experiment(config: TrackConfig):
    client = MlflowClient(config.uri)
    client.delete_experiment(client.create_experiment("tinybench"))
    with pytest.raises(TrackingError, match=r"The experiment 'tinybench' in .* is deleted"):
        check_store(config)


def test_a_leftover_run_of_the_environment(config: TrackConfig, monkeypatch: pytest.MonkeyPatch):
    client = MlflowClient(config.uri)
    run = client.create_run("0").info.run_id
    client.set_terminated(run)
    monkeypatch.setenv("MLFLOW_RUN_ID", run)
    with pytest.raises(ConfigError, match=f"MLFLOW_RUN_ID names run {run}, which is FINISHED already"):
        check_store(config)


def test_a_server_that_is_away_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch):
    config = TrackConfig(uri="http://user:secret@127.0.0.1:9")
    told = check_store(config)
    assert told.endswith("127.0.0.1:9 does not answer: the run would stay on this machine until it does.")
    assert "secret" not in told
    monkeypatch.setenv("TINYBENCH_OFFLINE", "1")
    assert check_store(config) == ""
