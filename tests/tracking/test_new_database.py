"""The file of a SQLite store is there completely, or not at all."""

import errno
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest
from mlflow.tracking import MlflowClient
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tinybench.tracking.new_database import create_database
from tinybench.tracking.store import connect


@pytest.fixture
def interrupted_at_400() -> Iterator[None]:
    """Ctrl-C at the 400th statement, in the middle of MLflow's migrations."""
    count = 0

    def interrupt(*_):
        nonlocal count
        count += 1
        if count == 400:
            raise KeyboardInterrupt

    event.listen(Engine, "before_cursor_execute", interrupt)
    yield
    event.remove(Engine, "before_cursor_execute", interrupt)
    assert count >= 400


def test_an_interrupted_creation_leaves_nothing_and_the_next_one_succeeds(tmp_path, interrupted_at_400):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(KeyboardInterrupt):
        connect(uri)
    assert [*tmp_path.iterdir()] == []
    assert [experiment.name for experiment in connect(uri).search_experiments()] == ["Default"]


@pytest.mark.parametrize(
    "pool", [ThreadPoolExecutor, lambda count: ProcessPoolExecutor(count, get_context("spawn"))],
    ids=["threads", "processes"],
)  # fmt: skip
def test_of_two_at_once_one_makes_the_file_and_nothing_else_is_left(tmp_path, pool):
    file = tmp_path / "mlflow.db"
    with pool(2) as workers:
        list(workers.map(create_database, [file, file]))
    assert [*tmp_path.iterdir()] == [file]
    assert MlflowClient(f"sqlite:///{file}").create_experiment("first")


def test_a_file_that_came_meanwhile_is_kept(tmp_path, monkeypatch):
    file = tmp_path / "mlflow.db"
    link = os.link

    def link_late(new, target):
        file.write_bytes(b"of another process")
        link(new, target)

    monkeypatch.setattr(os, "link", link_late)
    create_database(file)
    assert file.read_bytes() == b"of another process"


def test_a_disk_without_hard_links_will_do(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    file = tmp_path / "new" / "mlflow.db"
    create_database(file)
    assert [*file.parent.iterdir()] == [file]
    assert connect(f"sqlite:///{tmp_path}/new/mlflow.db").create_experiment("first")


def test_an_address_with_options_of_the_driver_is_left_to_mlflow(tmp_path):
    create_database(tmp_path / "mlflow.db?timeout=60")
    assert [*tmp_path.iterdir()] == []
