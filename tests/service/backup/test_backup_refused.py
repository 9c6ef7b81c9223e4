"""A backup or restore that is refused leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from backed_up import backup, restore, small_store

from tinybench.core.errors import DataError, TinybenchError


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A store of small runs, with its artifacts; no test changes it."""
    return small_store(tmp_path_factory, tmp_path_factory.mktemp("small"))


def tree(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_a_refused_backup_leaves_nothing(small, tmp_path):
    uri, artifacts = small
    (tmp_path / "there").mkdir()
    before = tree(artifacts), tree(tmp_path)
    for words in (
        (uri, artifacts, artifacts / "deep" / "backups"),
        (uri, tmp_path / "none", tmp_path / "new" / "backups"),
        (f"sqlite:///{tmp_path}/none.db", artifacts, tmp_path / "new"),
        (f"sqlite:///{tmp_path}/none.db", artifacts, tmp_path / "there"),
        ("mysql://u@127.0.0.1:9/x", artifacts, tmp_path / "there"),
    ):
        with pytest.raises(TinybenchError):
            backup(*words)
        assert (tree(artifacts), tree(tmp_path)) == before


def test_a_refused_backup_leaves_earlier_ones(small, tmp_path):
    uri, artifacts = small
    backup(uri, artifacts, tmp_path / "backups")
    before = tree(tmp_path)
    with pytest.raises(TinybenchError):
        backup(f"sqlite:///{tmp_path}/none.db", artifacts, tmp_path / "backups")
    assert tree(tmp_path) == before


def test_a_refused_restore_leaves_nothing(small, tmp_path):
    backup(*small, tmp_path / "backups")
    for file in (tmp_path / "backups" / "objects").iterdir():
        file.write_bytes(b"damaged")
    (tmp_path / "there").mkdir()
    before = tree(tmp_path)
    for database, artifacts in (("a/b/new.db", "c/d"), ("new.db", "there")):
        with pytest.raises(DataError, match="damaged"):
            restore(tmp_path / "backups", f"sqlite:///{tmp_path}/{database}", tmp_path / artifacts)
        assert tree(tmp_path) == before
