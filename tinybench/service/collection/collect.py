"""Remove for ever what was deleted from a tracking server: the page to read first of this package."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from tinybench.core.errors import ConfigError
from tinybench.service.collection.contents import open_database, read_contents, read_locations
from tinybench.service.collection.destination import Destination, LocalFolder, local_path
from tinybench.service.collection.inventory import MARKER, scan
from tinybench.service.collection.needed import list_needed
from tinybench.service.collection.plan import Item, Plan, Planner, check_belongs
from tinybench.service.collection.removal import Removed, Remover

_REGISTRY = "MLFLOW_REGISTRY_STORE_URI"


@dataclass(frozen=True)
class Collection:
    """The plan of a collection, and its outcome.

    Attributes:
        plan: What is removed and what is kept.
        removed: What was removed; None in a dry run.
    """

    plan: Plan
    removed: Removed | None = None


def collect(
    backend_store_uri: str,
    artifacts_destination: str,
    *,
    older_than: float,
    dry_run: bool = False,
    with_models: bool = False,
    accept_orphans: bool = False,
    on_plan: Callable[[Plan], None] | None = None,
    on_item: Callable[[Item], None] | None = None,
) -> Collection:
    """Remove deleted runs, logged models and experiments with their artifacts, and artifacts that belong to nothing.

    The server may run meanwhile.

    Args:
        backend_store_uri: The database of runs and registered models.
        artifacts_destination: The folder or S3 address to which the server writes artifacts.
        older_than: Seconds since its deletion, and since its newest file was written, after which a thing is removed.
        dry_run: Whether only to plan.
        with_models: Whether a logged model counts as deleted if its run is deleted.
        accept_orphans: Whether more folders may be unknown to the database than known to it.
        on_plan: Called with the plan before anything is removed.
        on_item: Called before each removal.

    Raises:
        ConfigError: There is no such database or destination, or they do not belong together.
        TrackingError: The database or the destination cannot be read, or a journal of this machine.
    """
    registry = os.environ.get(_REGISTRY)
    if registry and registry != backend_store_uri:
        raise ConfigError(
            f"{_REGISTRY} is set: registered models are in another database, so what they need is unknown. Unset it, "
            "or remove nothing."
        )
    destination = _open_destination(artifacts_destination)
    database = open_database(backend_store_uri, artifacts_destination)
    locations = {destination.relative_path(uri) for uri in read_locations(database)}
    scanned = scan(destination, {location for location in locations if location is not None})
    contents = read_contents(database)  # after the scan: whatever has files by now is known to the database
    marker = destination.read_text(MARKER)
    check_belongs(contents, scanned, marker, destination.uri, accept_orphans=accept_orphans)
    needed = list_needed(contents)
    plan = Planner(contents, scanned, destination, needed, older_than=older_than, with_models=with_models).plan()
    if on_plan is not None:
        on_plan(plan)
    if dry_run:
        return Collection(plan)
    if marker is None and plan.removed:
        destination.write_text(MARKER, f"{contents.identity}\n")
    return Collection(plan, Remover(database, destination).remove(plan, on_item))


def _open_destination(uri: str) -> Destination:
    """Return the destination at an address.

    Raises:
        ConfigError: There is none at the address, or it is of a kind that cannot be cleaned.
    """
    if uri.startswith("s3://"):
        from tinybench.service.collection.s3_destination import S3Folder

        return S3Folder(uri)
    path = local_path(uri)
    if path is None:
        raise ConfigError(f"Invalid value for `--artifacts-destination`: expected a folder or s3://…, got {uri!r}.")
    return LocalFolder(path)
