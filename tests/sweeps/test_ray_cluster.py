"""A sweep on a real Ray cluster of two nodes, of which one is lost in the middle."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import stores
from small_study import TEXT

from tinybench.config.sections import TrackConfig
from tinybench.core.errors import ConfigError, EngineError
from tinybench.sweeps import driver, optuna_storage, space_file
from tinybench.sweeps.study import Study
from tinybench.sweeps.sweep_callbacks import SweepCallbacks

ray = pytest.importorskip("ray", reason="the extra ray is not installed")

from ray.cluster_utils import Cluster  # noqa: E402

from tinybench.sweeps.ray_cluster import RayWorkers  # noqa: E402


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_lost_node_loses_no_trial(tmp_path_factory, monkeypatch):
    place = Path(stores.fresh(tmp_path_factory).removeprefix("sqlite:///")).parent
    monkeypatch.setenv("TINYBENCH_STATE", str(place / "state"))
    monkeypatch.setenv("TINYBENCH_CACHE", str(place / "cache"))
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = nodes.add_node(num_cpus=1)
    nodes.wait_for_nodes()
    text = TEXT.replace("trials = 4", "trials = 6").replace("transfer.epochs = 2", "transfer.epochs = 15")
    storage = f"sqlite:///{place}/optuna.db"

    def create_workers(name, space, uri):
        return RayWorkers(name, space, storage, uri, 2, address=nodes.address, cpu=1, gpu=0, memory=None)

    def lose():
        while True:
            time.sleep(1)
            try:
                found = Study.load(optuna_storage.connect(storage), "cluster")
            except Exception:
                continue
            counts = found.counts()
            if counts.running == 2 and counts.finished:
                nodes.remove_node(second, allow_graceful=False)
                return

    thread = threading.Thread(target=lose, daemon=True)
    thread.start()
    try:
        done = driver.start(
            space_file.read(text, "cluster"),
            {},
            name="cluster",
            storage=storage,
            track=TrackConfig(uri=f"sqlite:///{place}/mlflow.db"),
            create_workers=create_workers,
            callbacks=SweepCallbacks(),
        )
    finally:
        nodes.shutdown()
    assert not thread.is_alive()
    counted = done.study.counted_trials()
    assert [trial.user_attrs["slot"] for trial in counted] == list(range(6))
    assert done.study.counts().complete == 6
    assert [trial for trial in done.study.trials() if "retry_of" in trial.user_attrs]
    assert done.winner is not None


SPACE = space_file.read(TEXT, "small")


def test_a_cluster_that_is_not_there_is_told_in_one_line():
    with pytest.raises(EngineError, match=r"Cannot reach a Ray cluster at 127\.0\.0\.1:1") as caught:
        RayWorkers("s", SPACE, "sqlite:///o.db", "sqlite:///m.db", 1, address="127.0.0.1:1", cpu=1, gpu=0, memory=None)
    assert "\n" not in str(caught.value)


def test_what_other_machines_cannot_reach_is_refused():
    with pytest.raises(ConfigError, match="other machines cannot reach sqlite"):
        RayWorkers("s", SPACE, "sqlite:///o.db", "http://m", 1, address="ray://head:10001", cpu=1, gpu=0, memory=None)


def test_a_memory_that_is_no_size_is_refused():
    with pytest.raises(ConfigError, match="`--memory`: expected a size such as 20GB, got 'much'"):
        RayWorkers("s", SPACE, "sqlite:///o.db", "http://m", 1, address="auto", cpu=1, gpu=0, memory="much")
