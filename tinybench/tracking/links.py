"""Addresses of the pages of runs in the MLflow UI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mlflow.tracking import MlflowClient

from tinybench.core.redaction import redact
from tinybench.tracking import tags
from tinybench.tracking.journal.entry_file import Entry
from tinybench.tracking.journal.journal import is_key


def run_link(client: MlflowClient, uri: str, run_id: str) -> str:
    """Return the address of a run's page; if the store is no server, as `mlflow ui` on this machine shows it.

    It names the mode of the UI for training: without it, MLflow shows a menu for traces and prompts.
    """
    experiment = client.get_run(run_id).info.experiment_id
    address = redact(uri)
    server = address.rstrip("/") if address.startswith("http") else "http://127.0.0.1:5000"
    return f"{server}/#/experiments/{experiment}/runs/{run_id}?workflowType=machine_learning"


def run_links(
    client: MlflowClient, uri: str, entries: Sequence[Entry], ids: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return names and addresses of the runs that entries of a journal open and that belong to no other run."""
    top = [
        entry
        for entry in entries
        if entry["do"] == "adopt" or (entry["do"] == "create" and tags.PARENT_RUN not in entry["tags"])
    ]
    opened = [(entry["name"], ids.get(entry["run"], entry["run"])) for entry in top]
    return [(name, run_link(client, uri, run_id)) for name, run_id in opened if not is_key(run_id)]
