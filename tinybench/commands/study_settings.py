"""Find the best settings of a study by its name: in the storage of studies, on this machine, or in the study's run."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tinybench.config import settings_file
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.redaction import redact
from tinybench.core.suggestion import suggest
from tinybench.sweeps import optuna_storage, study_files, study_results
from tinybench.sweeps.study import Study
from tinybench.tracking import queries, store
from tinybench.tracking.tracker import Tracker


def read_best_settings(name: str, *, storage: str, uri: str | None = None) -> dict[str, Any]:
    """Return the settings of the best trial of a study by dotted key.

    Args:
        name: Name of the study.
        storage: Address of the database of studies, which is asked first.
        uri: The tracking store, whose runs of studies are asked last; MLflow's default if None.

    Raises:
        ConfigError: There is no such study; the message names the nearest one, or all.
        TrackingError: The study has no complete trial, or a store does not answer.
    """
    database = optuna_storage.connect_existing(storage)
    names = [] if database is None else optuna_storage.list_studies(database)
    if database is not None and name in names:
        return _read_study(Study.load(database, name))
    file = study_files.study_folder(name) / study_results.BEST_SETTINGS
    if file.is_file():
        return settings_file.read(file)
    address = uri or store.default_uri()
    path = store.sqlite_path(address)
    if path is not None and not path.exists():
        raise ConfigError(_explain_unknown(name, sorted(names), redact(storage)))
    tracker = Tracker.at(uri)
    runs = queries.find_study_runs(tracker)
    if name in runs:
        with TemporaryDirectory() as folder:
            return settings_file.read(
                tracker.download_artifact(runs[name].info.run_id, study_results.BEST_SETTINGS, Path(folder))
            )
    raise ConfigError(_explain_unknown(name, sorted({*names, *runs}), f"{redact(storage)} and {redact(tracker.uri)}"))


def _read_study(study: Study) -> dict[str, Any]:
    best = study.best_trials()
    if not best:
        raise TrackingError(study_results.explain_no_result(study))
    return settings_file.parse(study_results.format_settings(study, best[0]), f"study {study.name}")


def _explain_unknown(name: str, names: list[str], stores: str) -> str:
    if not names:
        return f"Invalid value for `--from`: there is no file {name}, and no study in {stores}."
    known = f"expected a file, or one of the studies {', '.join(names)}"
    return f"Invalid value for `--from`: {known}, got {name!r}.{suggest(name, names)}"
