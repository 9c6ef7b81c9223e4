"""Read from the database of an MLflow server what it knows of: runs, logged models, versions and traces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.store.model_registry.dbmodels.models import (
    SqlModelVersion,
    SqlModelVersionTag,
    SqlRegisteredModelAlias,
    SqlRegisteredModelTag,
)
from mlflow.store.tracking.dbmodels.models import (
    SqlExperiment,
    SqlExperimentTag,
    SqlInput,
    SqlLoggedModel,
    SqlRun,
    SqlTag,
    SqlTraceInfo,
)
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import create_engine, inspect
from sqlalchemy.exc import SQLAlchemyError

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.redaction import redact
from tinybench.tracking import store, tags

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_READ_TAGS = (tags.PARENT_RUN, tags.SOURCE_RUN, tags.KEY)
_REFUSED = '"refuse"'


@dataclass(frozen=True)
class StoredRun:
    """A run.

    Attributes:
        id: Its id.
        name: Its name.
        experiment: The id of its experiment.
        deleted_at: When it was deleted, in seconds since 1970; None if it is not deleted.
        artifact_uri: The address of its artifacts.
    """

    id: str
    name: str
    experiment: str
    deleted_at: float | None
    artifact_uri: str


@dataclass(frozen=True)
class StoredModel:
    """A logged model.

    Attributes:
        id: Its id.
        name: Its name.
        experiment: The id of its experiment.
        deleted_at: When it was deleted, in seconds since 1970; None if it is not deleted.
        artifact_uri: The address of its files.
        run: The id of the run that logged it; empty if there is none.
    """

    id: str
    name: str
    experiment: str
    deleted_at: float | None
    artifact_uri: str
    run: str


@dataclass(frozen=True)
class StoredExperiment:
    """An experiment.

    Attributes:
        id: Its id.
        name: Its name.
        deleted_at: When it was deleted, in seconds since 1970; None if it is not deleted.
        artifact_uri: The address below which the artifacts of its runs are.
        counts_test_uses: It counts how often test images were used, which `tinybench promote` adds up.
    """

    id: str
    name: str
    deleted_at: float | None
    artifact_uri: str
    counts_test_uses: bool


@dataclass(frozen=True)
class StoredVersion:
    """A version of a registered model.

    Attributes:
        name: The registered model.
        number: The version.
        run: The id of the run that it came from; empty if there is none.
        sources: The addresses of its files.
        aliases: Its aliases.
        was_champion: It is or was the champion, so that `tinybench rollback` may go back to it.
    """

    name: str
    number: int
    run: str
    sources: tuple[str, ...]
    aliases: tuple[str, ...]
    was_champion: bool


@dataclass
class Contents:
    """The runs, models and versions of a database.

    Attributes:
        runs: All runs by id.
        models: All logged models by id.
        experiments: All experiments by id.
        versions: All versions of registered models.
        traces: The experiment of each trace by the trace's id.
        parents: The parent of each run that has one.
        sources: The run that each run continues, where it continues one.
        keys: The key by which journals name a run, by its id.
        model_inputs: Pairs of a run and a logged model that it used.
        reuses_ids: The next experiment would get the id of the last one if that is removed.
        identity: Tells databases apart.
    """

    runs: dict[str, StoredRun] = field(default_factory=dict)
    models: dict[str, StoredModel] = field(default_factory=dict)
    experiments: dict[str, StoredExperiment] = field(default_factory=dict)
    versions: list[StoredVersion] = field(default_factory=list)
    traces: dict[str, str] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    model_inputs: list[tuple[str, str]] = field(default_factory=list)
    reuses_ids: bool = False
    identity: str = ""

    def knows(self, artifact_owner: str) -> bool:
        """Return whether an id is that of a run, logged model or trace."""
        return artifact_owner in self.runs or artifact_owner in self.models or artifact_owner in self.traces


def open_database(uri: str, destination: str) -> SqlAlchemyStore:
    """Return MLflow's access to an existing database.

    Args:
        uri: The database.
        destination: The address of artifacts.

    Raises:
        ConfigError: There is no database of an MLflow server at the address.
        TrackingError: It does not answer, or belongs to another version of MLflow.
    """
    path = store.sqlite_path(uri)
    if path is not None and not path.is_file():
        raise ConfigError(f"Invalid value for `--backend-store-uri`: there is no file {str(path)!r}.")
    try:
        store.ping(uri)
        engine = create_engine(uri)
        is_mlflow = inspect(engine).has_table(SqlRun.__tablename__)
        engine.dispose()
        if is_mlflow:
            return SqlAlchemyStore(uri, destination)
    except ImportError as error:
        raise ConfigError(f"Cannot use {redact(uri)}: {error}: pip install 'tinybench[server]'.") from error
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise TrackingError(f"Cannot use {redact(uri)}: {store.describe_error(error)}") from error
    raise ConfigError(
        f"Invalid value for `--backend-store-uri`: expected the database of an MLflow server, got {redact(uri)}, which "
        "has no table of runs."
    )


def read_locations(database: SqlAlchemyStore) -> list[str]:
    """Return the addresses below which the artifacts of each experiment are.

    Raises:
        TrackingError: The database does not answer.
    """
    with _session(database) as session:
        return [str(uri) for (uri,) in session.query(SqlExperiment.artifact_location) if uri]


def read_contents(database: SqlAlchemyStore) -> Contents:
    """Return what a database knows of.

    Raises:
        TrackingError: The database does not answer.
    """
    with _session(database) as session:
        return _read(session, reuses_ids=database.db_type == "sqlite")


@contextmanager
def _session(database: SqlAlchemyStore) -> Iterator[Session]:
    try:
        with database.ManagedSessionMaker() as session:
            yield session
    except (MlflowException, SQLAlchemyError) as error:
        raise TrackingError(f"Cannot read {redact(database.db_uri)}: {store.describe_error(error)}") from error


def _read(session: Session, *, reuses_ids: bool) -> Contents:
    counting = {
        str(experiment)
        for (experiment,) in session.query(SqlExperimentTag.experiment_id).filter(
            SqlExperimentTag.key.startswith(tags.TEST_SET_USES)
        )
    }
    run_tags = {key: dict(_read_tags(session, key)) for key in _READ_TAGS}
    return Contents(
        {run.id: run for run in _read_runs(session)},
        {model.id: model for model in _read_models(session)},
        {experiment.id: experiment for experiment in _read_experiments(session, counting)},
        [*_read_versions(session)],
        {
            str(trace): str(experiment)
            for trace, experiment in session.query(SqlTraceInfo.request_id, SqlTraceInfo.experiment_id)
        },
        run_tags[tags.PARENT_RUN],
        run_tags[tags.SOURCE_RUN],
        run_tags[tags.KEY],
        [
            (str(run), str(model))
            for run, model in session.query(SqlInput.source_id, SqlInput.destination_id).filter(
                SqlInput.destination_type == "MODEL_INPUT"
            )
        ],
        reuses_ids,
        _identify(session),
    )


def _read_runs(session: Session) -> Iterator[StoredRun]:
    columns = (SqlRun.run_uuid, SqlRun.name, SqlRun.experiment_id, SqlRun.artifact_uri, SqlRun.lifecycle_stage)
    times = (SqlRun.deleted_time, SqlRun.end_time, SqlRun.start_time)
    for run, name, experiment, uri, stage, deleted, ended, started in session.query(*columns, *times):
        deleted_at = _deletion_time(stage, deleted or ended or started)  # MLflow before 1.29 wrote no time
        yield StoredRun(run, name or "", str(experiment), deleted_at, uri or "")


def _read_models(session: Session) -> Iterator[StoredModel]:
    table = SqlLoggedModel
    columns = (table.model_id, table.name, table.experiment_id, table.artifact_location, table.source_run_id)
    for model, name, experiment, uri, run, stage, updated in session.query(
        *columns, table.lifecycle_stage, table.last_updated_timestamp_ms
    ):
        yield StoredModel(model, name, str(experiment), _deletion_time(stage, updated), uri, run or "")


def _read_experiments(session: Session, counting: set[str]) -> Iterator[StoredExperiment]:
    columns = (SqlExperiment.experiment_id, SqlExperiment.name, SqlExperiment.artifact_location)
    for experiment, name, uri, stage, updated in session.query(
        *columns, SqlExperiment.lifecycle_stage, SqlExperiment.last_update_time
    ):
        id_ = str(experiment)
        yield StoredExperiment(id_, name, _deletion_time(stage, updated), uri or "", id_ in counting)


def _read_versions(session: Session) -> Iterator[StoredVersion]:
    aliases: dict[tuple[str, int], list[str]] = {}
    for name, number, alias in session.query(
        SqlRegisteredModelAlias.name, SqlRegisteredModelAlias.version, SqlRegisteredModelAlias.alias
    ):
        aliases.setdefault((name, int(number)), []).append(alias)
    champions = {*_read_champions(session)}
    table = SqlModelVersion
    for name, number, run, source, storage in session.query(
        table.name, table.version, table.run_id, table.source, table.storage_location
    ):
        sources = tuple(filter(None, (source, storage)))
        key = (name, int(number))
        yield StoredVersion(*key, run or "", sources, tuple(sorted(aliases.get(key, ()))), key in champions)


def _read_champions(session: Session) -> Iterator[tuple[str, int]]:
    """Yield names and numbers of versions that were champion, as `tinybench history` finds them.

    A move is told by a tag of the registered model. A tag of the version is written before the move, so that it tells
    of one that was killed, too.
    """
    model_tags, version_tags = SqlRegisteredModelTag, SqlModelVersionTag
    for name, value in session.query(model_tags.name, model_tags.value).filter(model_tags.key.startswith(tags.MOVED)):
        with suppress(ValueError, TypeError, KeyError, OverflowError):
            yield name, int(json.loads(value)["version"])
    for name, number, value in session.query(version_tags.name, version_tags.version, version_tags.value).filter(
        version_tags.key.startswith(tags.DECISION)
    ):
        if _REFUSED not in value:
            yield name, int(number)


def _read_tags(session: Session, key: str) -> Iterator[tuple[str, str]]:
    yield from session.query(SqlTag.run_uuid, SqlTag.value).filter(SqlTag.key == key).tuples()


def _identify(session: Session) -> str:
    first = session.query(SqlExperiment.creation_time).order_by(SqlExperiment.experiment_id).first()
    return "" if first is None else str(first[0])


def _deletion_time(stage: str, milliseconds: Any) -> float | None:
    return None if stage != LifecycleStage.DELETED else (milliseconds or 0) / 1000


def by_value(pairs: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the keys of a mapping by their value."""
    result: dict[str, list[str]] = {}
    for key, value in pairs.items():
        result.setdefault(value, []).append(key)
    return result
