"""Decide what is removed and what is kept; nothing is changed here."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from tinybench.core.errors import ConfigError
from tinybench.service.collection.contents import Contents, StoredExperiment, StoredModel, StoredRun
from tinybench.service.collection.destination import Destination, PartialUpload, local_path
from tinybench.service.collection.inventory import Folder, Scan
from tinybench.service.collection.layout import ARTIFACTS

RUN, MODEL, EXPERIMENT, ORPHAN, UPLOAD = "run", "logged model", "experiment", "orphan", "upload"
UNDER_WAY_SECONDS = 3600.0
"""An upload that was written to within this time may be under way, whatever age is asked for."""
_UNITS = (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1))


@dataclass(frozen=True)
class Item:
    """A run, model, experiment or folder that is removed or kept.

    Attributes:
        kind: `run`, `logged model`, `experiment`, `orphan` or `upload`.
        id: Its id; of an upload, its path.
        name: Its name; of an orphan, its folder.
        bytes: The size of its files.
        reason: Why it is removed or kept.
        folder: The folder of its files; empty if it has none.
        upload: What was sent in part, of an upload.
    """

    kind: str
    id: str
    name: str
    bytes: int
    reason: str
    folder: str = ""
    upload: PartialUpload | None = None


@dataclass
class Plan:
    """What is removed and what is kept.

    Attributes:
        removed: What is removed, the largest first.
        kept: What is kept although it was deleted or belongs to nothing, the largest first.
    """

    removed: list[Item] = field(default_factory=list)
    kept: list[Item] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """The size of all that is removed."""
        return sum(item.bytes for item in self.removed)


class Planner:
    """Decides what is removed.

    Args:
        contents: What the database knows of, read after the destination: what is written meanwhile is known to it.
        scan: What the destination holds.
        destination: The destination.
        needed: Who needs what, by its id.
        older_than: Seconds since its deletion, and since its newest file was written, after which a thing is removed.
        with_models: Whether a logged model counts as deleted if its run is deleted.
    """

    def __init__(
        self,
        contents: Contents,
        scan: Scan,
        destination: Destination,
        needed: dict[str, str],
        *,
        older_than: float,
        with_models: bool = False,
    ) -> None:
        self._contents = contents
        self._scan = scan
        self._destination = destination
        self._needed = needed
        self._now = time.time()
        self._older_than = older_than
        self._with_models = with_models
        self._kept: dict[str, str] = {}  # reasons, by the id of what was deleted

    def plan(self) -> Plan:
        """Return what is removed and what is kept."""
        runs = [run for run in self._contents.runs.values() if run.deleted_at is not None]
        models = [model for model in self._contents.models.values() if self._deletion_of(model) is not None]
        deleted: list[tuple[str, StoredRun | StoredModel]] = [(RUN, run) for run in runs]
        deleted += [(MODEL, model) for model in models]
        for _, item in deleted:
            reason = self._reason_to_keep(item)
            if reason:
                self._kept[item.id] = reason
        self._keep_what_is_kept_needs()
        plan = Plan()
        for kind, item in deleted:
            self._add(plan, kind, item.id, item.name, self._age(self._deletion_of(item)), self._folder_of(item))
        self._add_experiments(plan)
        self._add_orphans(plan)
        self._add_uploads(plan)
        plan.removed.sort(key=lambda item: -item.bytes)
        plan.kept.sort(key=lambda item: -item.bytes)
        return plan

    def _deletion_of(self, item: StoredRun | StoredModel) -> float | None:
        """Return when a run or model was deleted; None if it counts as not deleted."""
        if item.deleted_at is None and isinstance(item, StoredModel) and self._with_models:
            run = self._contents.runs.get(item.run)
            return None if run is None else run.deleted_at
        return item.deleted_at

    def _reason_to_keep(self, item: StoredRun | StoredModel) -> str:
        """Return why a deleted run or model is kept; empty if nothing speaks against its removal."""
        deleted_at = self._deletion_of(item)
        assert deleted_at is not None
        if item.id in self._needed:
            return f"needed by {self._needed[item.id]}"
        if self._is_young(deleted_at):
            return f"{self._age(deleted_at)}, which is less than asked for"
        path = self._destination.relative_path(item.artifact_uri)
        if path is None:
            local = local_path(item.artifact_uri)
            is_absent = local is not None and not local.exists()
            return "" if is_absent else f"its files are not in the destination but in {item.artifact_uri}"
        if posixpath.split(path)[1] != ARTIFACTS or posixpath.basename(posixpath.dirname(path)) != item.id:
            return f"its files are in {path}, which is no folder of its own"
        folder = self._scan.folders.get(posixpath.dirname(path))
        if folder is not None and folder.is_foreign:
            return f"{folder.owner.folder} holds files that MLflow's server did not write"
        if folder is not None and self._is_young(folder.newest):
            return f"a file of it was written {self._ago(folder.newest)}"
        return ""

    def _keep_what_is_kept_needs(self) -> None:
        """Keep the parents of kept runs, the runs of kept models and the models that kept runs used."""
        before = -1
        while before != len(self._kept):
            before = len(self._kept)
            for child in [*self._contents.parents]:
                if self._stays(child):
                    self._keep_deleted(self._contents.parents[child], f"parent of run {child}, which is kept")
            for run, used in self._contents.model_inputs:
                if self._stays(run):
                    self._keep_deleted(used, f"used by run {run}, which is kept")
            for model in self._contents.models.values():
                if self._stays(model.id):
                    deleted = "kept" if model.deleted_at is not None else "not deleted (see --with-models)"
                    self._keep_deleted(model.run, f"its logged model {model.id} is {deleted}")

    def _stays(self, id_: str) -> bool:
        """Return whether a run or model exists and is not removed."""
        item = self._contents.runs.get(id_) or self._contents.models.get(id_)
        return item is not None and (self._deletion_of(item) is None or id_ in self._kept)

    def _keep_deleted(self, id_: str, reason: str) -> None:
        if (id_ in self._contents.runs or id_ in self._contents.models) and not self._stays(id_):
            self._kept[id_] = reason

    def _folder_of(self, item: StoredRun | StoredModel) -> str:
        path = self._destination.relative_path(item.artifact_uri)
        return "" if path is None else posixpath.dirname(path)

    def _add(self, plan: Plan, kind: str, id_: str, name: str, reason: str, folder: str) -> None:
        stored = self._scan.folders.get(folder)
        size = 0 if stored is None else stored.bytes
        kept = self._kept.get(id_)
        target = plan.removed if kept is None else plan.kept
        target.append(Item(kind, id_, name, size, reason if kept is None else kept, folder))

    def _add_experiments(self, plan: Plan) -> None:
        stored: list[StoredRun | StoredModel] = [*self._contents.runs.values(), *self._contents.models.values()]
        owners = {item.experiment for item in stored if self._stays(item.id)}
        last = max(self._contents.experiments, key=int, default="")
        for experiment in self._contents.experiments.values():
            if experiment.deleted_at is None:
                continue
            reason = self._reason_to_keep_experiment(experiment, owners, last)
            if reason:
                self._kept[experiment.id] = reason
            traces = [id_ for id_, owner in self._contents.traces.items() if owner == experiment.id]
            size = sum(self._trace_bytes(traces)) if traces and not reason else 0
            path = self._destination.relative_path(experiment.artifact_uri) or ""
            text = f"{self._age(experiment.deleted_at)}{f', with {len(traces)} traces' if traces else ''}"
            target = plan.kept if reason else plan.removed
            target.append(Item(EXPERIMENT, experiment.id, experiment.name, size, reason or text, path))

    def _trace_bytes(self, traces: Iterable[str]) -> Iterable[int]:
        ids = {*traces}
        return (folder.bytes for folder in self._scan.folders.values() if folder.owner.id in ids)

    def _reason_to_keep_experiment(self, experiment: StoredExperiment, owners: set[str], last: str) -> str:
        assert experiment.deleted_at is not None
        if experiment.id in self._needed:
            return f"needed by {self._needed[experiment.id]}"
        if self._is_young(experiment.deleted_at):
            return f"{self._age(experiment.deleted_at)}, which is less than asked for"
        if experiment.id in owners:
            return "runs or logged models in it are kept"
        if self._contents.reuses_ids and experiment.id == last:
            return "SQLite would give its number, and so the permissions for it, to the next experiment"
        return ""

    def _add_orphans(self, plan: Plan) -> None:
        for folder in self._scan.folders.values():
            if self._contents.knows(folder.owner.id):
                continue
            reason = self._reason_to_keep_orphan(folder)
            text = reason or f"belongs to no {folder.owner.kind} of the database"
            target = plan.kept if reason else plan.removed
            path = folder.owner.folder
            target.append(Item(ORPHAN, folder.owner.id, path, folder.bytes, text, path))

    def _reason_to_keep_orphan(self, folder: Folder) -> str:
        if folder.owner.id in self._needed:
            return f"needed by {self._needed[folder.owner.id]}"
        for version in self._contents.versions:
            for source in version.sources:
                path = self._destination.relative_path(source) or ""
                if f"{path}/".startswith(f"{folder.owner.folder}/"):
                    return f"needed by version {version.number} of {version.name}"
        if folder.is_foreign:
            return "holds files that MLflow's server did not write"
        if self._is_young(folder.newest):
            return f"a file of it was written {self._ago(folder.newest)}"
        return ""

    def _add_uploads(self, plan: Plan) -> None:
        gone = tuple(f"{item.folder}/" for item in plan.removed if item.folder and item.kind != EXPERIMENT)
        for upload in self._scan.uploads:
            is_included = not upload.upload_id and upload.path.startswith(gone)
            is_recent = upload.modified > self._now - max(self._older_than, UNDER_WAY_SECONDS)
            if not is_included and not is_recent:
                text = f"sent in part {self._ago(upload.modified)}"
                plan.removed.append(Item(UPLOAD, upload.path, upload.path, upload.size, text, upload=upload))

    def _is_young(self, moment: float) -> bool:
        return moment > self._now - self._older_than

    def _age(self, deleted_at: float | None) -> str:
        return "" if deleted_at is None else f"deleted {self._ago(deleted_at)}"

    def _ago(self, moment: float) -> str:
        seconds = max(0.0, self._now - moment)
        for unit, length in _UNITS:
            if seconds >= 2 * length or length == 1:
                return f"{seconds / length:.0f} {unit} ago"
        return ""


def check_belongs(contents: Contents, scan: Scan, marker: str | None, uri: str, *, accept_orphans: bool) -> None:
    """Refuse a destination that does not look like that of the database.

    Args:
        contents: What the database knows of.
        scan: What the destination holds.
        marker: The identity of the database for which the destination was cleaned before; None if there is none.
        uri: The destination, for the message.
        accept_orphans: Whether more folders may be unknown to the database than known.

    Raises:
        ConfigError: It belongs to another database, or seems to.
    """
    if marker is not None and marker.strip() != contents.identity:
        raise ConfigError(
            f"Invalid value for `--artifacts-destination`: {uri} was cleaned for another database before. Give the "
            "database and the destination of the same server."
        )
    owners = [folder.owner.id for folder in scan.folders.values() if folder.files]
    known = sum(map(contents.knows, owners))
    unknown = len(owners) - known
    is_last_one = marker is not None and unknown == 1  # a removal that was killed leaves one
    if unknown > known and not is_last_one and not accept_orphans:
        raise ConfigError(
            f"Invalid value for `--artifacts-destination`: {unknown} of the {len(owners)} folders in {uri} belong to "
            "nothing in the database, so it may be that of another server. If it is the right one, add "
            "--accept-orphans."
        )
