"""Store the checkpoints of a phase with its run, so that another machine can resume it."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tinybench.core.errors import TrackingError
from tinybench.tracking import tags
from tinybench.training import run_directory
from tinybench.training.checkpoint import Checkpoints

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.tracking.run_writer import RunWriter
    from tinybench.tracking.tracker import Tracker

_FOLDER = "resume"
_START = "start.keras"
_SLOTS = ("a.zip", "b.zip")  # written in turn, so that one is whole while the other is being sent
_MEMBER = re.compile(r"(epoch-\d{4}|best-\d{4})\.npz|[a-z_]+\.json")


class RemoteCheckpoints:
    """Uploads the checkpoints of a phase to its run as they are written.

    Args:
        run: The run of the phase.
        checkpoints: The checkpoints on this machine.
    """

    def __init__(self, run: RunWriter, checkpoints: Checkpoints) -> None:
        self._run = run
        self._checkpoints = checkpoints
        self._uploaded: Path | None = None

    def upload_start(self) -> None:
        """Store the model as the phase began, unless the run has it because it was resumed."""
        if self._run.logged_tags.get(tags.REMOTE_CHECKPOINTS) != "true":
            self._run.log_artifact(self._checkpoints.start, _FOLDER)
            self._run.set_tags({tags.REMOTE_CHECKPOINTS: "true"})

    def upload_latest(self) -> None:
        """Store the latest checkpoint, if it is new, with the best weights that belong to it."""
        paths = self._checkpoints.paths()
        if not paths or paths[-1] == self._uploaded:
            return
        self._uploaded = paths[-1]
        slot = _SLOTS[int(paths[-1].stem.removeprefix("epoch-")) % 2]
        folder = self._checkpoints.folder
        with TemporaryDirectory(dir=folder) as temporary:
            archive_path = Path(temporary) / slot
            with zipfile.ZipFile(archive_path, "w", zipfile.ZIP_STORED) as archive:
                for path in [paths[-1], *folder.glob("best-*.npz"), *folder.glob("*.json")]:
                    archive.write(path, path.name)
            self._run.replace_artifact(archive_path, _FOLDER)

    def clear(self) -> None:
        """Replace the stored files by empty ones, since MLflow's clients cannot delete: the phase is finished."""
        with TemporaryDirectory() as temporary:
            for name in (*_SLOTS, _START):
                path = Path(temporary) / name
                zipfile.ZipFile(path, "w").close()
                self._run.replace_artifact(path, _FOLDER)


def require_checkpoints(tracker: Tracker, run_id: str, config: RunConfig) -> None:
    """Raise if a phase of a run has epochs whose checkpoints are not here: it would begin anew and log them again.

    Args:
        tracker: The store.
        run_id: The parent run.
        config: Its configuration.

    Raises:
        TrackingError: The checkpoints are on another machine.
    """
    if config.data.folds or config.track.checkpoints == "remote":
        return
    for phase in config.phases:
        run = tracker.find_phase_run(run_id, phase)
        folder = run_directory.run_directory(run_id) / phase
        if run is None or run.info.status == "FINISHED" or Checkpoints(folder, config.checkpoint.keep).start.exists():
            continue
        epochs = len(tracker.read_epochs(run.info.run_id))
        if epochs:
            raise TrackingError(
                f"Run {run_id} has {epochs} epochs of {phase}, but their checkpoints are not on this machine. "
                "Resume it on the one that trained them. A run with --track.checkpoints remote is resumed anywhere."
            )


def download(tracker: Tracker, run_id: str, folder: Path) -> None:
    """Fetch the checkpoints of a phase from its run into an empty folder; do nothing if the run has none.

    Args:
        tracker: The store.
        run_id: The run of the phase.
        folder: The folder of the phase's checkpoints, which is created.

    Raises:
        TrackingError: The checkpoints are damaged.
    """
    with TemporaryDirectory() as temporary:
        try:
            start = tracker.download_artifact(run_id, f"{_FOLDER}/{_START}", Path(temporary))
        except OSError:
            return
        folder.mkdir(parents=True, exist_ok=True)
        archives = [path for slot in _SLOTS if (path := _fetch(tracker, run_id, slot, Path(temporary)))]
        whole = [path for path in archives if _is_whole(path)]
        if archives and not whole:
            raise TrackingError(f"The checkpoints of run {run_id} are damaged: start a new run.")
        if whole:
            with zipfile.ZipFile(max(whole, key=_latest_epoch)) as archive:
                archive.extractall(folder)  # `_is_whole` has checked the names
        shutil.copyfile(start, folder / _START)  # last: with it the folder counts as one of a phase that has begun


def _fetch(tracker: Tracker, run_id: str, slot: str, folder: Path) -> Path | None:
    """Return a downloaded archive; None if the run has none of this name."""
    try:
        return tracker.download_artifact(run_id, f"{_FOLDER}/{slot}", folder)
    except OSError:
        return None


def _is_whole(path: Path) -> bool:
    """Return whether an archive is a checkpoint that was sent to its end.

    An archive that was cut off may end with one of the archives in it, whose members have other names.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            has_names = all(map(_MEMBER.fullmatch, names)) and any(name.startswith("epoch-") for name in names)
            return has_names and archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def _latest_epoch(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        return max(name for name in archive.namelist() if name.startswith("epoch-"))
