"""Back up artifacts from a real S3 protocol, and restore them to a bucket or a folder."""

from __future__ import annotations

import boto3
import pytest
from backed_up import backup, listed, log_small_runs, restore
from copied_stores import census
from stores import fresh

from tinybench.core.errors import ConfigError, DataError, TrackingError

moto_server = pytest.importorskip("moto.server", reason="moto[server] answers the S3 protocol")


@pytest.fixture(scope="module")
def s3():
    """A client of an S3 server that MLflow uses as well."""
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_S3_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "planted-key-id")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret-key")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield boto3.client("s3", endpoint_url=f"http://{host}:{port}")
    server.stop()


@pytest.fixture
def store(s3, tmp_path_factory):
    """A store whose artifacts are in a bucket of their own."""
    bucket = f"bucket-{len(s3.list_buckets()['Buckets'])}"
    s3.create_bucket(Bucket=bucket)
    uri = fresh(tmp_path_factory)
    log_small_runs(uri, f"s3://{bucket}/artifacts")
    s3.put_object(Bucket=bucket, Key="artifacts-of-somebody-else/a.txt", Body=b"not ours")
    return uri, f"s3://{bucket}/artifacts"


def keys(s3, address: str) -> dict[str, bytes]:
    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    items = s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get("Contents", [])
    return {
        item["Key"].removeprefix(prefix): s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in items
    }


def test_from_bucket_to_bucket(s3, store, tmp_path):
    s3.create_bucket(Bucket="other")
    backup(*store, tmp_path / "backups")
    code, printed = restore(tmp_path / "backups", f"sqlite:///{tmp_path}/new.db", "s3://other/restored")
    assert code == 0, printed
    assert keys(s3, "s3://other/restored") == keys(s3, store[1])
    assert len(keys(s3, store[1])) == 6
    assert census(f"sqlite:///{tmp_path}/new.db")["runs"] == census(store[0])["runs"]
    assert "proved on" in listed(tmp_path / "backups")[0]


def test_from_bucket_to_folder(s3, store, tmp_path):
    backup(*store, tmp_path / "backups")
    assert restore(tmp_path / "backups", f"sqlite:///{tmp_path}/new.db", tmp_path / "new")[0] == 0
    restored = {f"/{path.relative_to(tmp_path / 'new')}": path.read_bytes()
                for path in (tmp_path / "new").rglob("*.txt")}  # fmt: skip
    assert restored == keys(s3, store[1])
    assert census(f"sqlite:///{tmp_path}/new.db")["runs"] == census(store[0])["runs"]


def test_a_flipped_byte_leaves_the_bucket_empty(s3, store, tmp_path):
    s3.create_bucket(Bucket="refused")
    backup(*store, tmp_path / "backups")
    objects = sorted((tmp_path / "backups" / "objects").iterdir(), key=lambda path: path.stat().st_size)
    objects[0].write_bytes(b"X" + objects[0].read_bytes()[1:])
    with pytest.raises(DataError, match=rf"{objects[0].name} of .*txt is damaged"):
        restore(tmp_path / "backups", f"sqlite:///{tmp_path}/new.db", "s3://refused/restored")
    assert keys(s3, "s3://refused/restored") == {}


def test_a_bucket_with_files_is_not_restored_to(s3, store, tmp_path):
    backup(*store, tmp_path / "backups")
    before = keys(s3, store[1])
    with pytest.raises(ConfigError, match=r"expected a new or empty one, got s3://.* with files"):
        restore(tmp_path / "backups", f"sqlite:///{tmp_path}/new.db", store[1])
    assert keys(s3, store[1]) == before


def test_a_missing_bucket_is_told_without_keys(s3, store, tmp_path):
    with pytest.raises(TrackingError, match=r"Cannot use s3://nowhere/x: .*NoSuchBucket") as caught:
        backup(store[0], "s3://nowhere/x", tmp_path / "backups")
    assert "planted" not in str(caught.value)
