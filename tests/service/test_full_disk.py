"""A disk of artifacts that is full: it is told, nothing is lost, and what was kept is sent once there is room."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from stores import elsewhere
from team_server import ADMIN, TeamServer

from tinybench.tracking.store_writer import StoreWriter

_SIZE = 2_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for one file of `_SIZE`."""
    folder = tmp_path / "artifacts"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE + 500_000}", "tmpfs", str(folder)]
    if not sys.platform.startswith("linux") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system of a given size can be mounted here: that takes root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_told_and_nothing_is_lost(
    small_disk: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", ADMIN[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", ADMIN[1])
    with TeamServer(tmp_path) as server, elsewhere(tmp_path_factory):
        client = MlflowClient(server.uri)
        writer = StoreWriter(server.uri, client)
        run = writer.create_run({"id": "0"}, "full", {})
        for number in range(2):
            (tmp_path / f"{number}.bin").write_bytes(bytes([number]) * _SIZE)
            run.log_artifact(tmp_path / f"{number}.bin", "")
        run.log_metrics({"loss": 1.0}, 1, 1)
        writer.flush()
        notice = writer.take_notice()
        assert notice is not None
        assert "the disk of its artifacts is full" in notice
        assert writer.count_unsent() >= 1
        subprocess.run(["mount", "-o", f"remount,size={3 * _SIZE}", str(small_disk)], check=True)
        assert writer.flush()
        run_id = writer.id_of(run.id)
        assert {(file.path, file.file_size) for file in client.list_artifacts(run_id)} == {
            (f"{number}.bin", _SIZE) for number in range(2)
        }
        assert [point.value for point in client.get_metric_history(run_id, "loss")] == [1.0]
        writer.close()
    assert "The disk of the artifacts is full" in server.log.read_text()
    assert "Traceback" not in server.log.read_text()
