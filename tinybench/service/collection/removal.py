"""Remove what was planned, in an order that a second removal can finish whenever the first one was killed.

A run or model first goes from the database, if it is still deleted and nothing has come to need it, and then its folder
from the destination. A process that is killed in between leaves a folder that belongs to nothing: an orphan, which the
next removal finds. Experiments go last, because orphans are searched for in their folders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.store.db.base_sql_model import Base
from mlflow.store.model_registry.dbmodels.models import SqlModelVersion
from mlflow.store.tracking.dbmodels.models import (
    SqlEntityAssociation,
    SqlExperiment,
    SqlInput,
    SqlInputTag,
    SqlLatestMetric,
    SqlLoggedModel,
    SqlMetric,
    SqlParam,
    SqlRun,
    SqlTag,
    SqlTraceInfo,
)
from sqlalchemy import delete, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from tinybench.service.collection.plan import EXPERIMENT, MODEL, ORPHAN, RUN, UPLOAD, Item, Plan
from tinybench.tracking import store

if TYPE_CHECKING:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy.orm import Session

    from tinybench.service.collection.destination import Destination

_ORDER = (MODEL, RUN, ORPHAN, UPLOAD, EXPERIMENT)  # a model may count as deleted because its run is
_RUN_TABLES = (SqlMetric, SqlLatestMetric, SqlParam, SqlTag)
_RUN_TYPES = ("RUN", "RUN_INPUT", "RUN_OUTPUT")
_MODEL_TYPES = ("MODEL_INPUT", "MODEL_OUTPUT")


@dataclass
class Removed:
    """What was removed.

    Attributes:
        items: What was removed.
        changed: What was not removed because it was restored or came to be needed meanwhile.
        failures: Why other things could not be removed, by what they are.
    """

    items: list[Item] = field(default_factory=list)
    changed: list[Item] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """The size of all that was removed."""
        return sum(item.bytes for item in self.items)


class Remover:
    """Removes runs, models, experiments, orphans and uploads.

    Args:
        database: The database.
        destination: The destination of artifacts.
    """

    def __init__(self, database: SqlAlchemyStore, destination: Destination) -> None:
        self._database = database
        self._destination = destination

    def remove(self, plan: Plan, on_item: Callable[[Item], None] | None = None) -> Removed:
        """Remove what was planned; what fails is noted, and the rest goes on.

        Args:
            plan: What is removed.
            on_item: Called before each removal.
        """
        result = Removed()
        for item in sorted(plan.removed, key=lambda item: _ORDER.index(item.kind)):
            if on_item is not None:
                on_item(item)
            try:
                is_removed = self._remove(item)
            except (MlflowException, SQLAlchemyError, OSError) as error:
                result.failures[f"{item.kind} {item.id}"] = store.describe_error(error)
                continue
            (result.items if is_removed else result.changed).append(item)
        return result

    def _remove(self, item: Item) -> bool:
        """Remove one thing; return False if it is not to be removed any more."""
        if item.upload is not None:
            self._destination.remove_upload(item.upload)
            return True
        if item.kind == EXPERIMENT:
            return self._remove_experiment(item)
        with self._database.ManagedSessionMaker(read_only=False) as session:
            if not _DATABASE_PART[item.kind](session, item.id):
                return False
        if item.folder:
            self._destination.remove_folder(item.folder)
        return True

    def _remove_experiment(self, item: Item) -> bool:
        """Remove the traces of an experiment, the files of these, and then the experiment."""
        experiment_id = int(item.id)
        is_inside = SqlTraceInfo.experiment_id == experiment_id
        with self._database.ManagedSessionMaker(read_only=False) as session:
            if not _is_empty_and_deleted(session, experiment_id):
                return False
            traces = [*session.scalars(select(SqlTraceInfo.request_id).where(is_inside))]
            session.execute(delete(SqlTraceInfo).where(is_inside))
        for trace in filter(_is_folder_name, traces if item.folder else ()):  # clients choose the ids of traces
            self._destination.remove_folder(f"{item.folder}/traces/{trace}")
        with self._database.ManagedSessionMaker(read_only=False) as session:
            if not _is_empty_and_deleted(session, experiment_id):
                return False
            _remove_experiment(session, experiment_id)
        if item.folder:
            self._destination.remove_empty_folders(item.folder)
        return True


def _is_folder_name(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name


def _remove_run(session: Session, run_id: str) -> bool:
    """Remove a run from the database if it is still deleted and not registered."""
    is_deleted = SqlRun.lifecycle_stage == LifecycleStage.DELETED
    if not _lock(session, SqlRun, SqlRun.run_uuid == run_id, is_deleted) or _is_registered(session, run_id):
        return False
    for table in _RUN_TABLES:  # their foreign keys do not cascade
        session.execute(delete(table).where(table.run_uuid == run_id))
    _remove_links(session, run_id, _RUN_TYPES)
    session.execute(delete(SqlRun).where(SqlRun.run_uuid == run_id))
    return True


def _remove_model(session: Session, model_id: str) -> bool:
    """Remove a logged model from the database if it, or its run, is still deleted and not registered."""
    table = SqlLoggedModel
    of_deleted_run = select(SqlRun.run_uuid).where(SqlRun.lifecycle_stage == LifecycleStage.DELETED)
    is_deleted = or_(table.lifecycle_stage == LifecycleStage.DELETED, table.source_run_id.in_(of_deleted_run))
    if not _lock(session, table, table.model_id == model_id, is_deleted) or _is_registered(session, model_id):
        return False
    _remove_links(session, model_id, _MODEL_TYPES)
    session.delete(session.get_one(table, model_id))
    return True


def _has_no_owner(session: Session, id_: str) -> bool:
    """Return whether a folder still belongs to nothing."""
    return not _is_registered(session, id_) and not any(
        session.scalar(select(column).where(column == id_))
        for column in (SqlRun.run_uuid, SqlLoggedModel.model_id, SqlTraceInfo.request_id)
    )


def _lock(session: Session, table: Any, *conditions: Any) -> bool:
    """Lock a row until the end of the transaction; return False if there is none.

    It is written to, because SQLite locks nothing for a `SELECT`.
    """
    statement = update(table).where(*conditions).values(lifecycle_stage=table.lifecycle_stage)
    result: Any = session.execute(statement, execution_options={"synchronize_session": False})
    return bool(result.rowcount)


_DATABASE_PART: dict[str, Callable[[Session, str], bool]] = {
    RUN: _remove_run,
    MODEL: _remove_model,
    ORPHAN: _has_no_owner,
}


def _is_registered(session: Session, id_: str) -> bool:
    """Return whether a version of a registered model has come from a run or model meanwhile."""
    table = SqlModelVersion
    return (
        session.scalar(
            select(table.version)
            .where(or_(table.run_id == id_, table.source.contains(id_), table.storage_location.contains(id_)))
            .limit(1)
        )
        is not None
    )


def _remove_links(session: Session, id_: str, types: Iterable[str]) -> None:
    """Remove the rows that link a run or model to data sets, models and traces."""
    table = SqlInput
    is_end = or_(
        (table.source_id == id_) & table.source_type.in_(types),
        (table.destination_id == id_) & table.destination_type.in_(types),
    )
    links = select(table.input_uuid).where(is_end)
    session.execute(delete(SqlInputTag).where(SqlInputTag.input_uuid.in_(links)))
    session.execute(delete(table).where(is_end))
    associations = SqlEntityAssociation
    session.execute(delete(associations).where(or_(associations.source_id == id_, associations.destination_id == id_)))


def _is_empty_and_deleted(session: Session, experiment_id: int) -> bool:
    """Lock an experiment, and return whether it is still deleted and no run or model is in it."""
    is_deleted = SqlExperiment.lifecycle_stage == LifecycleStage.DELETED
    if not _lock(session, SqlExperiment, SqlExperiment.experiment_id == experiment_id, is_deleted):
        return False
    return not any(
        session.scalar(select(column).where(table.experiment_id == experiment_id).limit(1))
        for table, column in ((SqlRun, SqlRun.run_uuid), (SqlLoggedModel, SqlLoggedModel.model_id))
    )


def _remove_experiment(session: Session, experiment_id: int) -> None:
    """Remove an experiment, and the sums over its traces, which refer to it without a foreign key."""
    for table in Base.metadata.sorted_tables:
        columns: Any = table.columns
        if "experiment_id" in columns and not columns["experiment_id"].foreign_keys and table.name != "experiments":
            session.execute(delete(table).where(columns["experiment_id"] == experiment_id))
    session.delete(session.get(SqlExperiment, experiment_id))
