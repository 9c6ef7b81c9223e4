"""A store in which everything that `tinybench server gc` must keep, and everything that it must remove, is planted."""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from mlflow.entities import (
    Dataset,
    DatasetInput,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Param,
    RunTag,
    TraceInfo,
    TraceLocation,
    TraceState,
)
from mlflow.entities.experiment_tag import ExperimentTag
from mlflow.entities.model_registry import ModelVersionTag, RegisteredModelTag
from mlflow.store.db.base_sql_model import Base
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import text

from tinybench.tracking import tags

DAY = 86400.0
OLD = 40 * DAY  # older than `--older-than` of its default, 30 days


class Uploads:
    """Writes artifacts as the server does; in the tests of S3, another class writes them there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, path: str, content: bytes, age: float) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        os.utime(file, (time.time() - age,) * 2)


@dataclass
class Planted:
    """The store.

    Attributes:
        kept: Folders that must survive, by what is planted there.
        removed: Folders that must go, by what is planted there.
        gone: The ids that must go from the database.
        reasons: A part of the reason for which a deleted run, model or experiment is kept, by its id.
    """

    uri: str
    uploads: Uploads
    kept: dict[str, str] = field(default_factory=dict)
    removed: dict[str, str] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    reasons: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = SqlAlchemyStore(self.uri, "mlflow-artifacts:/")
        self.registry = Registry(self.uri)

    def sql(self, statement: str, **values: object) -> None:
        with self.store.engine.begin() as connection:
            connection.execute(text(statement), values)

    def experiment(self, name: str, location: str | None = None) -> str:
        return self.store.create_experiment(name, location)

    def run(
        self,
        experiment: str,
        name: str,
        *,
        deleted: float | None = None,
        parent: str = "",
        size: int = 10,
        age: float = OLD,
        keep: str | None = None,
    ) -> str:
        """Create a run with metrics, parameters, a tag and an artifact; delete it that many seconds ago."""
        run_tags = [RunTag("planted", name), *([RunTag(tags.PARENT_RUN, parent)] if parent else [])]
        run = self.store.create_run(experiment, "somebody", 1_700_000_000_000, run_tags, name).info
        metrics = [Metric("loss", step, step, step) for step in range(3)]
        self.store.log_batch(run.run_id, metrics, [Param("lr", "0.1")], [])
        folder = f"{run.artifact_uri.removeprefix('mlflow-artifacts:/')}"
        self.uploads.write(f"{folder}/predictions/test.npz", b"x" * size, age)
        if deleted is not None:
            self.store.delete_run(run.run_id)
            self.age_run(run.run_id, deleted)
        self.expect(run.run_id, folder.removesuffix("/artifacts"), name, deleted, keep)
        return str(run.run_id)

    def age_run(self, run_id: str, age: float) -> None:
        self.sql("UPDATE runs SET deleted_time = :t WHERE run_uuid = :r", t=int(1000 * (time.time() - age)), r=run_id)

    def model(
        self, experiment: str, name: str, run: str | None, *, deleted: float | None = None, keep: str | None = None
    ) -> str:
        model = self.store.create_logged_model(experiment, name, run)
        folder = model.artifact_location.removeprefix("mlflow-artifacts:/")
        self.uploads.write(f"{folder}/MLmodel", b"flavors: {}\n", OLD)
        if deleted is not None:
            self.delete_model(model.model_id, deleted)
        self.expect(model.model_id, folder.removesuffix("/artifacts"), name, deleted, keep)
        return str(model.model_id)

    def delete_model(self, model_id: str, age: float) -> None:
        self.store.delete_logged_model(model_id)
        moment = int(1000 * (time.time() - age))
        self.sql("UPDATE logged_models SET last_updated_timestamp_ms = :t WHERE model_id = :m", t=moment, m=model_id)

    def delete_experiment(self, experiment: str, age: float, keep: str | None = None) -> None:
        self.store.delete_experiment(experiment)
        moment = int(1000 * (time.time() - age))
        self.sql("UPDATE experiments SET last_update_time = :t WHERE experiment_id = :e", t=moment, e=int(experiment))
        if keep is None:
            self.gone.add(experiment)
        else:
            self.reasons[experiment] = keep

    def trace(self, experiment: str, *, kept: bool) -> str:
        trace = f"tr-{uuid.uuid4().hex}"
        location = TraceLocation.from_experiment_id(experiment)
        self.store.start_trace(TraceInfo(trace, location, int(1000 * time.time()), TraceState.OK))
        folder = f"{experiment}/traces/{trace}"
        self.uploads.write(f"{folder}/artifacts/traces.json", b"{}", OLD)
        (self.kept if kept else self.removed)[folder] = "trace"
        return trace

    def orphan(self, folder: str, *, age: float = OLD, size: int = 10, keep: str | None = None) -> str:
        self.uploads.write(f"{folder}/artifacts/weights.bin", b"o" * size, age)
        name = folder.rpartition("/")[2]
        (self.removed if keep is None else self.kept)[folder] = "orphan"
        if keep is not None:
            self.reasons[name] = keep
        return name

    def version(self, name: str, source: str, run: str | None = None, model: str | None = None) -> str:
        return str(self.registry.create_model_version(name, source, run, model_id=model).version)

    def expect(self, id_: str, folder: str, name: str, deleted: float | None, keep: str | None) -> None:
        """Note what is to become of a run or model."""
        if deleted is not None and keep is None:
            self.removed[folder] = name
            self.gone.add(id_)
        else:
            self.kept[folder] = name
            if keep is not None:
                self.reasons[id_] = keep

    def rows(self) -> dict[str, str]:
        """A hash of the rows of each table."""
        with self.store.engine.connect() as connection:
            return {
                table.name: hashlib.sha256(
                    repr(sorted(map(repr, connection.execute(table.select())))).encode()
                ).hexdigest()
                for table in Base.metadata.sorted_tables
            }

    def everything(self) -> str:
        """Every row of every table as text."""
        with self.store.engine.connect() as connection:
            return "\n".join(
                f"{table.name} {tuple(row)}"
                for table in Base.metadata.sorted_tables
                for row in connection.execute(table.select())
            )

    def close(self) -> None:
        self.store.engine.dispose()
        self.registry.engine.dispose()


def plant(uri: str, uploads: Uploads) -> Planted:
    """Plant one of each kind."""
    planted = Planted(uri, uploads)
    main = planted.experiment("main")
    _plant_registered(planted, main)
    _plant_needed_by_runs(planted, main)
    _plant_garbage(planted, main)
    _plant_experiments(planted)
    _plant_orphans(planted, main)
    return planted


def _plant_registered(planted: Planted, main: str) -> None:
    registry = planted.registry
    registry.create_registered_model("digits")
    study = planted.run(main, "study", deleted=OLD, keep="parent of run")
    champion = planted.run(main, "champion", deleted=OLD, parent=study, keep="version 1 of digits (champion)")
    planted.run(main, "finetune phase", deleted=OLD, parent=champion, keep="version 1 of digits (champion), of which")
    begun_from = planted.run(main, "begun from", deleted=OLD, keep="version 1 of digits (champion), of which")
    planted.store.restore_run(champion)
    planted.store.set_tag(champion, RunTag(tags.SOURCE_RUN, begun_from))
    model = planted.model(main, "model of the champion", champion, deleted=OLD, keep="version 1 of digits (champion)")
    planted.store.delete_run(champion)
    planted.age_run(champion, OLD)
    planted.version("digits", f"mlflow-artifacts:/{main}/models/{model}/artifacts", champion, model)
    registry.set_registered_model_alias("digits", "champion", "1")
    former = planted.run(main, "former champion", deleted=OLD, keep="version 2 of digits (a former champion")
    planted.version("digits", f"runs:/{former}/model", former)
    decision = {"action": "promote", "version": 2, "run_id": former, "name": "digits"}
    registry.set_registered_model_tag("digits", RegisteredModelTag(f"{tags.MOVED}2026-01-01", json.dumps(decision)))
    killed = planted.run(main, "its promotion was killed", deleted=OLD, keep="version 3 of digits (a former champion")
    planted.version("digits", f"mlflow-artifacts:/{main}/{killed}/artifacts/model")  # names no run
    tag = ModelVersionTag(f"{tags.DECISION}2026-01-02", json.dumps(decision | {"version": 3}))
    registry.set_model_version_tag("digits", "3", tag)
    plain = planted.model(main, "plain version", None, deleted=OLD, keep="version 4 of digits")
    planted.version("digits", "somewhere")
    planted.sql("UPDATE model_versions SET source = :s, storage_location = :s WHERE version = 4", s=f"models:/{plain}")


def _plant_needed_by_runs(planted: Planted, main: str) -> None:
    parent = planted.run(main, "parent of an active run", deleted=OLD, keep="parent of run")
    child = planted.run(main, "active", parent=parent)
    used = planted.model(main, "used", None)
    planted.store.log_inputs(child, models=[LoggedModelInput(used)])
    planted.delete_model(used, OLD)
    planted.reasons[used] = f"used by run {child}"
    logging = planted.run(main, "its model is active", deleted=OLD, keep="is not deleted (see --with-models)")
    planted.model(main, "model of a deleted run", logging)
    planted.run(main, "young", deleted=2 * DAY, keep="deleted 2 days ago")
    planted.run(main, "still written", deleted=OLD, age=120, keep="a file of it was written")
    elsewhere = planted.run(main, "elsewhere", deleted=OLD, keep="not in the destination")
    planted.sql("UPDATE runs SET artifact_uri = 's3://other/1/artifacts' WHERE run_uuid = :r", r=elsewhere)
    shared = planted.run(main, "no folder of its own", deleted=OLD, keep="no folder of its own")
    planted.sql("UPDATE runs SET artifact_uri = :u WHERE run_uuid = :r", u=f"mlflow-artifacts:/{main}", r=shared)
    planted.trace(main, kept=True)


def _plant_garbage(planted: Planted, main: str) -> None:
    garbage = planted.run(main, "garbage", size=1000)
    dataset = Dataset("frame", "digest", "local", "source")
    planted.store.log_inputs(garbage, [DatasetInput(dataset, [])])
    outcome = planted.model(main, "garbage model", garbage)
    planted.store.log_outputs(garbage, [LoggedModelOutput(outcome, 0)])
    planted.store.log_batch(garbage, [Metric("accuracy", 0.5, 9, 4, model_id=outcome)], [], [])
    planted.store.delete_run(garbage)
    planted.age_run(garbage, OLD)
    planted.delete_model(outcome, OLD)
    planted.gone |= {garbage, outcome}
    for id_ in (garbage, outcome):
        folder = next(folder for folder in planted.kept if folder.endswith(id_))
        planted.removed[folder] = planted.kept.pop(folder)
    parent = planted.run(main, "garbage parent", deleted=OLD)
    planted.run(main, "garbage child", deleted=OLD, parent=parent)


def _plant_experiments(planted: Planted) -> None:
    counted = planted.experiment("counts uses of test images")
    planted.store.set_experiment_tag(counted, ExperimentTag(f"{tags.TEST_SET_USES}abc", "3"))
    planted.run(counted, "in a counting experiment", deleted=OLD)
    planted.delete_experiment(counted, OLD, keep="how often test images were used")
    _age_all_runs(planted, counted)
    whole = planted.experiment("garbage experiment")
    for number in range(2):
        planted.run(whole, f"in a garbage experiment {number}", deleted=OLD)
    planted.trace(whole, kept=False)
    planted.delete_experiment(whole, OLD)
    _age_all_runs(planted, whole)
    custom = planted.experiment("with a location", "mlflow-artifacts:/teams/vision")
    planted.run(custom, "in a location", deleted=OLD)
    planted.orphan(f"teams/vision/{uuid.uuid4().hex}")
    active = planted.experiment("runs in it are kept")
    planted.run(active, "young, in a deleted experiment", deleted=DAY, keep="less than asked for")
    planted.delete_experiment(active, OLD, keep="runs or logged models in it are kept")  # its runs: now
    last = planted.experiment("the last one")
    if planted.store.db_type == "sqlite":
        planted.delete_experiment(last, OLD, keep="SQLite would give its number")
    else:
        planted.delete_experiment(last, OLD)


def _age_all_runs(planted: Planted, experiment: str) -> None:
    moment = int(1000 * (time.time() - OLD))
    planted.sql("UPDATE runs SET deleted_time = :t WHERE experiment_id = :e", t=moment, e=int(experiment))


def _plant_orphans(planted: Planted, main: str) -> None:
    planted.orphan(f"{main}/{uuid.uuid4().hex}", size=5000)
    planted.orphan(f"{main}/models/m-{uuid.uuid4().hex}")
    planted.orphan(f"{main}/traces/tr-{uuid.uuid4().hex}")
    planted.orphan(f"77/{uuid.uuid4().hex}")  # of an experiment that is gone
    planted.orphan(f"{main}/{uuid.uuid4().hex}", age=60, keep="a file of it was written")
    registered = planted.orphan(f"{main}/models/m-{uuid.uuid4().hex}", keep="version 5 of digits")
    planted.version("digits", f"mlflow-artifacts:/{main}/models/{registered}/artifacts")
    of_file_store = uuid.uuid4().hex
    planted.uploads.write(f"{main}/{of_file_store}/meta.yaml", b"run_id: x", OLD)
    planted.orphan(f"{main}/{of_file_store}", keep="holds files that MLflow's server did not write")
    active = planted.run(main, "active with strange artifacts")
    inner = f"{main}/{active}/artifacts/9/{uuid.uuid4().hex}/artifacts/inner.bin"
    planted.uploads.write(inner, b"inner", OLD)
    planted.uploads.write(f"{main}/{active}/artifacts/.artifact.uploading.old", b"half", OLD)
    planted.uploads.write(f"{main}/{active}/artifacts/.artifact.uploading.new", b"half", 60)
    planted.uploads.write(f"{main}/notes/readme.txt", b"of no owner", OLD)
    planted.kept[f"{main}/{active}/artifacts/9"] = "inside an active run"
    planted.kept[f"{main}/{active}/artifacts/.artifact.uploading.new"] = "upload under way"
    planted.removed[f"{main}/{active}/artifacts/.artifact.uploading.old"] = "half-sent upload"
    planted.kept[f"{main}/notes"] = "of no owner"
