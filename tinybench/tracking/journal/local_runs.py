"""Read runs from the journals of this machine, where the store does not have them yet or does not answer."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunData, RunInfo, RunStatus, RunTag
from mlflow.entities import Run as MlflowRun

from tinybench.tracking import tags
from tinybench.tracking.journal.entry_file import Entry
from tinybench.tracking.journal.journal import Journal, find_journals


class LocalRun:
    """A run as the journals of this machine hold it.

    Attributes:
        key: The run's key, or its id if no journal created it.
        id: The id that the store gave; the key if it has given none.
        unsent: Number of entries that are not settled.
        is_complete: Whether the journals hold the run from its creation on.
        journal_ids: The ids of the journals.
    """

    def __init__(self, key: str, run_id: str) -> None:
        self.key = key
        self.id = run_id
        self.unsent = 0
        self.is_complete = False
        self.journal_ids: set[str] = set()
        self._entries: list[tuple[Journal, Entry]] = []

    def add(self, journal: Journal, entry: Entry) -> None:
        """Add an entry of the run."""
        self._entries.append((journal, entry))
        self.journal_ids.add(journal.id)
        self.unsent += entry["n"] >= journal.sent.upto
        self.is_complete |= entry["do"] == "create"

    def apply_to(self, base: MlflowRun | None) -> MlflowRun:
        """Return the run as it is when everything is sent.

        Args:
            base: The run in the store, to which only unsent entries are added; None to begin from nothing.
        """
        params = dict(base.data.params) if base else {}
        run_tags = dict(base.data.tags) if base else {}
        latest: dict[str, Metric] = {metric.key: metric for metric in base.data._metric_objs} if base else {}
        fields: dict[str, Any] = {
            "status": base.info.status if base else "RUNNING",
            "start_time": base.info.start_time if base else None,
            "end_time": base.info.end_time if base else None,
            "run_name": base.info.run_name if base else self.key,
        }
        for journal, entry in self._entries:
            if base is not None and entry["n"] < journal.sent.upto:
                continue
            action = entry["do"]
            if action == "create":
                fields |= {"start_time": entry["at"], "run_name": entry["name"]}
                run_tags |= entry["tags"] | {tags.KEY: self.key}
            elif action == "params":
                params |= entry["values"]
            elif action == "tags":
                run_tags |= entry["values"]
            elif action == "metrics":
                for name, value in entry["values"].items():
                    latest[name] = Metric(name, value, entry["at"], entry["step"])
            elif action == "model":
                run_tags[tags.MODEL_URI] = f"models:/{journal.sent.ids.get(entry['key'], entry['key'])}"
            elif action == "restart":
                fields |= {"status": "RUNNING", "end_time": None}
                run_tags.pop(tags.ERROR, None)
                run_tags |= entry.get("tags", {})
            elif action == "end":
                fields |= {"status": entry["status"], "end_time": entry["at"]}
                run_tags |= {tags.ERROR: entry["reason"]} if "reason" in entry else {}
        info = RunInfo(
            run_id=base.info.run_id if base else self.id,
            experiment_id=base.info.experiment_id if base else "",
            user_id=run_tags.get(tags.USER, ""),
            lifecycle_stage="active",
            artifact_uri=base.info.artifact_uri if base else "",
            **fields | {"status": RunStatus.to_string(RunStatus.from_string(fields["status"]))},
        )
        data = RunData(
            list(latest.values()),
            [Param(key, value) for key, value in params.items()],
            [RunTag(key, value) for key, value in run_tags.items()],
        )
        return MlflowRun(info, data)

    def metric_points(self, name: str) -> list[Metric]:
        """Return the points of a metric in the order in which they were logged."""
        return [
            Metric(name, entry["values"][name], entry["at"], entry["step"])
            for _, entry in self._entries
            if entry["do"] == "metrics" and name in entry["values"]
        ]

    def artifacts(self) -> list[str]:
        """Return the paths of the artifacts."""
        return list(dict.fromkeys(entry["path"] for _, entry in self._entries if entry["do"] == "file"))

    def copy_artifact(self, path: str, target: Path) -> bool:
        """Copy the latest artifact of a path to a file; return whether the journals hold it."""
        for journal, entry in reversed(self._entries):
            if entry["do"] == "file" and entry["path"] == path:
                try:
                    journal.link_file(entry["sha256"], target)
                except FileNotFoundError:
                    return False
                return True
        return False

    @property
    def experiment(self) -> dict[str, str]:
        """The experiment, as it was given at the creation of the run; empty for a run that no journal created."""
        return next((dict(entry["experiment"]) for _, entry in self._entries if entry["do"] == "create"), {})


class LocalRuns:
    """The runs in the journals of this machine for one store, as they are now.

    Args:
        uri: The store, as `store.identity` names it.
        without: The id of a journal that is left out.
    """

    def __init__(self, uri: str, *, without: str | None = None) -> None:
        self._runs: dict[str, LocalRun] = {}
        self._children: dict[str, list[LocalRun]] = defaultdict(list)
        ids: dict[str, str] = {}
        journals = [journal for journal in find_journals(uri) if journal.id != without]
        for journal in journals:
            ids |= journal.sent.ids
        for journal in journals:
            for entry in journal.read()[0]:
                key = str(entry["run"])
                if entry["do"] == "restart" and "id" in entry:
                    ids[key] = str(entry["id"])
                run = self._runs.setdefault(key, LocalRun(key, ids.get(key, key)))
                run.add(journal, entry)
                if entry["do"] == "create" and tags.PARENT_RUN in entry["tags"]:
                    parent = entry["tags"][tags.PARENT_RUN]
                    self._children[ids.get(parent, parent)].append(run)
        self._by_id = {run.id: run for run in self._runs.values()}

    def get(self, run: str) -> LocalRun | None:
        """Return a run by its key or its id; None if no journal has entries of it."""
        return self._runs.get(run) or self._by_id.get(run)

    def children(self, parent: str) -> list[LocalRun]:
        """Return the runs that journals created below a run, which is given by its key or its id."""
        run = self.get(parent)
        return [*self._children.get(run.id if run else parent, [])]

    def __iter__(self) -> Any:
        return iter(self._runs.values())
