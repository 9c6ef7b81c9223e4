"""Open runs for writing, through the journal of this process for their store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinybench.tracking import tags
from tinybench.tracking.journal.journal import is_key, new_key
from tinybench.tracking.journal.journal_writer import JournalWriter, now, process_tags
from tinybench.tracking.run_writer import RunWriter


class StoreWriter(JournalWriter):
    """Opens the runs of one store for writing."""

    def create_run(self, experiment: dict[str, str], name: str, run_tags: Mapping[str, str]) -> RunWriter:
        """Create a run.

        Args:
            experiment: The experiment as {"id": …}, {"name": …}, or {"run": …} for that of a run.
            name: Name of the run.
            run_tags: Tags; the one that names the parent run may hold a key.
        """
        key = new_key()
        text_tags = dict(run_tags) | process_tags()
        self.write({"do": "create", "run": key, "experiment": experiment, "name": name, "tags": text_tags, "at": now()})
        return self._writer(key)

    def adopt_run(self, run_id: str, name: str, *, is_given: bool) -> RunWriter:
        """Write to the run that `mlflow run` created; it gets a name unless the user gave it one.

        Args:
            run_id: The id of the run.
            name: The name.
            is_given: Whether the user gave this name.
        """
        self.write({"do": "adopt", "run": run_id, "name": name, "is_given": is_given})
        writer = self._writer(run_id, missing_params_only=True)
        writer.set_tags(process_tags())
        return writer

    def reopen_run(self, key: str, run_id: str, run_tags: Mapping[str, str], metrics: Mapping[str, float]) -> RunWriter:
        """Mark a run that ended, or whose process died, as RUNNING, and write to it.

        Args:
            key: The key of the run; its id if no journal created it.
            run_id: Its id; its key if the store has not given it an id.
            run_tags: The tags that it has.
            metrics: The latest value of each metric that it has.
        """
        # The run names this process before it is RUNNING
        restart = {"do": "restart", "run": key, "tags": process_tags()}
        self.write(restart | ({} if is_key(run_id) else {"id": run_id}))
        self._known_ids[key] = run_id
        return self._writer(key, logged_tags=run_tags, logged_metrics=metrics, missing_params_only=True)

    def amend_run(self, key: str) -> RunWriter:
        """Write to a run that another process wrote or writes, without a change of its status."""
        return RunWriter(self, key, foreign=True)

    def _writer(self, key: str, **options: Any) -> RunWriter:
        self._running.add(key)
        return RunWriter(self, key, **options)

    def create_child(self, parent: RunWriter, name: str, run_tags: Mapping[str, str]) -> RunWriter:
        """Create a run below another one, in the same experiment."""
        return self.create_run({"run": parent.key}, name, {**run_tags, tags.PARENT_RUN: parent.key})
