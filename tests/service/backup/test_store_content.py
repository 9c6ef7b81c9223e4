"""The digests of a database: equal for equal content in any order, and different for any change."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing

import pytest
import sqlalchemy
import stores
from copied_stores import default_store
from hypothesis import given, settings
from hypothesis import strategies as st

from tinybench.service.backup import store_content
from tinybench.service.backup.artifact_root import ArtifactRoot
from tinybench.service.backup.sqlite_dump import connect

VALUES = st.one_of(
    st.none(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False), st.binary(max_size=9), st.text(max_size=9)
)


def digest(rows: list[tuple[object, ...]]) -> store_content.StoreContent:
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE metrics (run_uuid TEXT, key, value)")
        for row in rows:
            connection.exec_driver_sql("INSERT INTO metrics VALUES (?, ?, ?)", row)
        return store_content.read(connection, ArtifactRoot(("/a",)))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), VALUES, VALUES), max_size=8), st.randoms())
def test_the_order_of_rows_does_not_matter_and_their_values_do(rows, order):
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert store_content.compare(digest(rows), digest(shuffled)) == []
    for index, (run, key, value) in enumerate(rows):
        changed = [*rows[:index], (run, key, f"{value}x"), *rows[index + 1 :]]
        assert [line.split()[:2] for line in store_content.compare(digest(rows), digest(changed))] == [["run", run]]
        assert store_content.compare(digest(rows), digest(rows[:index] + rows[index + 1 :]))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store with a run, a model with a version and an alias."""
    uri = stores.fresh(tmp_path_factory)
    with default_store(uri) as client:
        run_id = client.create_run("0").info.run_id
        client.log_metric(run_id, "loss", 1.0)
        client.log_param(run_id, "a", "b")
        client.set_tag(run_id, "c", "d")
        model = client.create_logged_model("0", "m", source_run_id=run_id)
        client.create_registered_model("name")
        client.create_model_version("name", f"models:/{model.model_id}", run_id)
        client.set_registered_model_alias("name", "champion", "1")
    return uri.removeprefix("sqlite:///")


@pytest.fixture
def database(made, tmp_path):
    """A copy of it that may be changed."""
    with closing(sqlite3.connect(made)) as source, closing(sqlite3.connect(tmp_path / "a.db")) as copy:
        source.backup(copy)
    return tmp_path / "a.db"


CHANGES = {
    "run": "UPDATE metrics SET value = value + 1e-15",
    "run ": "UPDATE params SET value = 'B'",
    "run  ": "DELETE FROM tags WHERE key = 'c'",
    "run   ": "UPDATE runs SET status = 'FAILED'",
    "logged model": "UPDATE logged_models SET name = 'M'",
    "registered model": "UPDATE registered_models SET description = 'x'",
    "model version": "UPDATE model_versions SET status = 'x'",
    "alias": "UPDATE registered_model_aliases SET version = 2",
    "alias ": "DELETE FROM registered_model_aliases",
    "table experiments": "UPDATE experiments SET name = 'X' WHERE experiment_id = 0",
    "table trace_tags": "INSERT INTO trace_tags (key, value, request_id) VALUES ('a', 'b', 'c')",
}


@pytest.mark.parametrize("kind", list(CHANGES))
def test_a_change_of_any_kind_is_named(database, kind):
    root = ArtifactRoot.of("anywhere")
    with connect(database) as connection:
        before = store_content.read(connection, root)
    with closing(sqlite3.connect(database)) as changed, changed:
        assert changed.execute(CHANGES[kind]).rowcount >= 1
    with connect(database) as connection:
        (difference,) = store_content.compare(before, store_content.read(connection, root))
    assert difference.startswith(kind.strip())


def test_counts_are_those_of_the_tables(database):
    with connect(database) as connection:
        counts = store_content.count(store_content.read(connection, ArtifactRoot.of("anywhere")))
    wanted = {"runs": 1, "metric points": 1, "parameters": 1, "logged models": 1, "model versions": 1, "aliases": 1}
    assert wanted.items() <= counts.items()


@pytest.mark.parametrize(
    "address", ["/old art/1/a", "file:///old%20art/1/a", "/old art", "/old artifacts/1", "s3://b/1"]
)
def test_addresses_move_with_the_artifacts_and_compare_alike(tmp_path, address):
    before, after = ArtifactRoot.of("/old art"), ArtifactRoot.of("/new/place")
    with connect(tmp_path / "a.db") as connection:
        connection.exec_driver_sql("CREATE TABLE runs (run_uuid TEXT, artifact_uri TEXT)")
        connection.exec_driver_sql("CREATE TABLE trace_tags (request_id TEXT, key TEXT, value TEXT)")
        connection.exec_driver_sql("INSERT INTO runs VALUES ('r', ?)", (address,))
        for key in ("mlflow.artifactLocation", "note"):
            connection.exec_driver_sql("INSERT INTO trace_tags VALUES ('t', ?, ?)", (key, address))
        content = store_content.read(connection, before)
        before.move(connection, after)
        assert store_content.compare(content, store_content.read(connection, after)) == []
        moved = connection.exec_driver_sql("SELECT artifact_uri FROM runs").scalar()
        assert dict(connection.exec_driver_sql("SELECT key, value FROM trace_tags").all()) == {
            "mlflow.artifactLocation": moved,
            "note": address,
        }
    expected = {
        "/old art/1/a": "/new/place/1/a",
        "file:///old%20art/1/a": "file:///new/place/1/a",
        "/old art": "/new/place",
    }
    assert moved == expected.get(address, address)


def test_the_path_of_a_proxied_address_is_that_below_the_root():
    root = ArtifactRoot.of("s3://bucket/prefix/")
    assert root.relative("mlflow-artifacts:/1/models/m/artifacts") == "1/models/m/artifacts"
    assert root.relative("mlflow-artifacts://host:5000/1/a") == "1/a"
    assert root.relative("s3://bucket/prefix/1/a") == "1/a"
    assert root.relative("s3://bucket/prefixes/1/a") is None


def test_random_rows_do_not_cancel_out():
    rows = [("a", number, random.Random(number).random()) for number in range(50)]
    assert store_content.compare(digest(rows), digest([*rows, rows[0], rows[0]]))
