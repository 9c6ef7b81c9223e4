"""Cells as tasks of a real Ray cluster, whose driver is interrupted or killed, and of which a node is lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from small_grid import LONG, Recorder, cell_runs, epochs_logged, options, specs, start, status_of_runs, uri, wait_until

from tinybench.benchmark import grid_driver
from tinybench.benchmark.engine_options import EngineOptions, choose_engine
from tinybench.config.sections import TrackConfig
from tinybench.core.errors import ConfigError, EngineError, TrackingError
from tinybench.tracking import tags

pytest.importorskip("ray", reason="the extra ray is not installed")

from ray.cluster_utils import Cluster

NODE = {"num_cpus": 1, "object_store_memory": 100_000_000, "include_dashboard": False}


@pytest.fixture
def nodes(own_folders) -> Iterator[Cluster]:
    """A cluster with one CPU, whose tasks have the folders of the test."""
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    yield cluster
    cluster.shutdown()


def words_of(nodes: Cluster) -> list[str]:
    return ["--engine", "ray", "--address", nodes.address]


@pytest.mark.slow
def test_cells_run_as_tasks_and_one_that_fails_says_why(nodes):
    seen = Recorder()
    cells = specs("smallcnn", "vgg10")  # five poolings need images of 32 pixels
    opener = choose_engine(EngineOptions("ray", address=nodes.address), "g", print)
    with pytest.raises(TrackingError, match=r"^1 of 2 cells failed\. The first: cell 2, vgg10 cannot be built at"):
        grid_driver.run_cells("g", cells, TrackConfig(uri=uri()), seen, workers=2, open_engine=opener)
    assert seen.ended[1] == ("finished", "")
    assert seen.ended[2][1].startswith("vgg10 cannot be built at image_size=16")
    assert [run.info.status for run in cell_runs()[1]] == ["FINISHED"]


@pytest.mark.slow
def test_tasks_end_as_killed_with_their_driver_and_are_resumed(nodes, own_folders):
    """Kill -9 ends the driver, and the cell ends itself; the next driver resumes it, and is ended by Ctrl-C."""
    words = [*options(**LONG), *words_of(nodes)]
    driver = start(*words, folder=own_folders)
    wait_until(lambda: epochs_logged() >= 3 or driver.poll() is not None)
    driver.kill()
    driver.communicate()
    wait_until(lambda: status_of_runs() == {"KILLED": 2, "RUNNING": 1})  # of cell and phase, and the benchmark's own
    first = cell_runs()[1][0]
    assert first.data.tags[tags.ERROR] == "Terminated by SIGTERM."

    driver = start(*words, folder=own_folders)
    epochs = epochs_logged()
    wait_until(lambda: epochs_logged() > epochs + 1 or driver.poll() is not None)
    driver.send_signal(signal.SIGINT)
    text, _ = driver.communicate(timeout=120)
    assert driver.returncode == 130, text
    assert "cell 1 is resumed" in text
    assert text.rstrip().endswith("Go on with: tinybench benchmark --resume g")
    assert status_of_runs() == {"KILLED": 3}
    assert [run.info.run_id for run in cell_runs()[1]] == [first.info.run_id]


@pytest.mark.slow
def test_sigterm_ends_the_driver_as_elsewhere_although_ray_has_a_handler_of_its_own(nodes, own_folders):
    driver = start(*options(**LONG), *words_of(nodes), folder=own_folders)
    wait_until(lambda: epochs_logged() >= 1 or driver.poll() is not None)
    driver.terminate()
    text, _ = driver.communicate(timeout=120)
    assert driver.returncode == 143, text
    assert "Terminated by SIGTERM." in text
    assert status_of_runs() == {"KILLED": 3}


@pytest.mark.slow
def test_a_cell_whose_node_is_lost_says_so(nodes, own_folders):
    second = nodes.add_node(**NODE | {"num_cpus": 2})
    nodes.wait_for_nodes()
    driver = start(*options(**LONG), *words_of(nodes), "--cpu", "2", folder=own_folders)  # which only this node has
    wait_until(lambda: epochs_logged() >= 1 or driver.poll() is not None)
    nodes.remove_node(second, allow_graceful=False)
    text, _ = driver.communicate(timeout=120)
    assert driver.returncode == 1, text
    assert "cell 1: failed: The node of the Ray cluster on which it ran is lost." in text
    wait_until(lambda: status_of_runs() == {"FAILED": 1, "KILLED": 2})


def test_a_cluster_that_is_not_there_is_told_in_one_line():
    with pytest.raises(EngineError, match=r"^Cannot reach a Ray cluster at 127\.0\.0\.1:1: ") as caught:
        choose_engine(EngineOptions("ray", address="127.0.0.1:1"), "g", print)
    assert "\n" not in str(caught.value)


def test_a_memory_that_is_no_size_is_refused():
    with pytest.raises(ConfigError, match="`--memory`: expected a size such as 20GB, got 'much'"):
        choose_engine(EngineOptions("ray", memory="much"), "g", print)


def test_a_store_that_other_machines_cannot_reach_is_refused(unused_tcp_listener):
    opener = choose_engine(EngineOptions("ray", address=f"ray://127.0.0.1:{unused_tcp_listener}"), "g", print)
    with pytest.raises(ConfigError, match=r"`--track\.uri`: other machines cannot reach sqlite:///m\.db"):
        opener("sqlite:///m.db", 1)


@pytest.fixture
def unused_tcp_listener() -> Iterator[int]:
    """The port of something that listens."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_the_address_of_the_store_is_not_in_the_environment_of_the_tasks():
    from tinybench.benchmark.ray_cells import ENVIRONMENT, RayCells
    from tinybench.hardware import ray_connection

    connection = ray_connection.RayConnection("auto", ENVIRONMENT)
    cells = RayCells(1, "http://me:secret@host", connection, ray_connection.make_resources(1, 0, None))
    assert "secret" not in repr(connection._variables)
    assert cells._variables["MLFLOW_TRACKING_URI"] == "http://me:secret@host"
    with pytest.raises(EngineError, match="Cell 1 was submitted as job 1234"):
        cells.adopt(1, "1234")
