"""Check the tracking store for a run that is not opened yet."""

from __future__ import annotations

from tinybench.config.sections import TrackConfig
from tinybench.core.redaction import redact
from tinybench.tracking import store
from tinybench.tracking.tracker import Tracker


def check_store(config: TrackConfig) -> str:
    """Return what a run would say about its store before it begins; empty if there is nothing to say.

    Nothing is created: a SQLite file that does not exist is made by the run itself.

    Raises:
        ConfigError: MLFLOW_RUN_ID or MLFLOW_EXPERIMENT_ID names what such a run cannot use.
        TrackingError: The address is not one of a store, or the experiment is deleted or moved.
    """
    address = config.uri or store.default_uri()
    file = store.sqlite_path(address)
    if file is not None and not file.exists():
        return ""
    tracker = Tracker(config, may_be_away=True)
    tracker.check_parent_run()
    if tracker.error is None or tracker.offline:
        return ""
    return f"{redact(address)} does not answer: the run would stay on this machine until it does."
