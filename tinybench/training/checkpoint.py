"""Checkpoints: everything that a phase needs to resume as if it had never stopped.

A checkpoint is one `.npz` file without pickles: the variables that training changes, the optimizer, the
states of the random generators (which a `.keras` file leaves out), the counters of callbacks, and the metrics
of every epoch with their timestamps. It is written before those metrics are logged, so that after a
crash nothing is lost and metrics that are sent twice, with the same timestamps, are stored once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinybench.core import atomic
from tinybench.core.errors import TrainingError
from tinybench.models.seeding import generator_states
from tinybench.training.progress import Progress


class Checkpoints:
    """The folder with the checkpoints of a phase; only the latest few are kept.

    Args:
        folder: Created if it is absent.
        keep: How many checkpoints to keep.

    Raises:
        TrainingError: The folder cannot be created.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _cannot_write(folder, error) from error
        self.folder = folder
        self.keep = keep
        for leftover in folder.glob("*.part"):  # of a process that was killed; only one works on a run at a time
            leftover.unlink()

    @property
    def start(self) -> Path:
        """The whole model as the phase began, a `.keras` file."""
        return self.folder / "start.keras"

    def save_start(self, model: keras.Model) -> None:
        """Save the whole model as the phase begins.

        Raises:
            TrainingError: The disk is full or cannot be written.
        """
        partial = self.folder / "part.keras"  # Keras saves to no other suffix
        try:
            model.save(partial)
        except OSError as error:
            raise _cannot_write(partial, error) from error
        partial.replace(self.start)

    def save(self, trainer: keras.Model, progress: Progress) -> None:
        """Write a checkpoint of the present state and remove those that are too old.

        Raises:
            TrainingError: The disk is full or cannot be written; earlier checkpoints stay.
        """
        number = progress.epochs[-1].number
        _write_arrays(self.folder / f"epoch-{number:04d}.npz", _checkpoint_variables(trainer), progress.to_json())
        best = self._best(progress.best_epoch)
        stale_best = [path for path in self.folder.glob("best-*.npz") if path != best]
        for path in [*self.paths()[: -self.keep], *stale_best]:
            path.unlink()

    def save_best(self, trainer: keras.Model, epoch: int) -> None:
        """Write the variables that training changes, as the best so far.

        The previous best stays until the next checkpoint is on disk, since a resume would need it.
        """
        _write_arrays(self._best(epoch), _trained_variables(trainer), "{}")

    def paths(self) -> list[Path]:
        """Return the checkpoints on disk, oldest first."""
        return sorted(self.folder.glob("epoch-*.npz"))

    def restore(self, trainer: keras.Model) -> Progress:
        """Load the latest checkpoint into the trainer, if there is one, and return the progress it holds.

        Raises:
            TrainingError: The checkpoint does not belong to this model.
        """
        checkpoints = self.paths()
        if not checkpoints:
            return Progress()
        return Progress.from_json(_read_arrays(checkpoints[-1], _checkpoint_variables(trainer)))

    def restore_best(self, trainer: keras.Model, progress: Progress) -> None:
        """Load the weights of the best epoch, or those that the phase started from if no epoch was better."""
        _read_arrays(self._best(progress.best_epoch), _trained_variables(trainer))

    def _best(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch:04d}.npz"


def _trained_variables(trainer: keras.Model) -> list[Any]:
    """Return what training changes of the model: trained weights, and statistics of layers that are trained."""
    leaves = [layer for layer in trainer._flatten_layers() if layer.trainable and not layer._layers]
    moving = [weight for layer in leaves for weight in layer.non_trainable_weights]
    return [*trainer.trainable_variables, *moving]


def _checkpoint_variables(trainer: keras.Model) -> list[Any]:
    """Return all variables that a resumed phase needs, in the order of a checkpoint's arrays."""
    trainer.optimizer.build(trainer.trainable_variables)
    return [*_trained_variables(trainer), *generator_states(trainer), *trainer.optimizer.variables]


def _write_arrays(path: Path, variables: list[Any], text: str) -> None:
    arrays = {f"v{index:05d}": keras.ops.convert_to_numpy(variable) for index, variable in enumerate(variables)}
    try:
        with atomic.replacing(path) as partial, partial.open("wb") as file:
            np.savez(file, progress=np.asarray(text), **arrays)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> TrainingError:
    return TrainingError(f"Cannot write {path}: {error.strerror or error}. Make room, then resume the run.")


def _read_arrays(path: Path, variables: list[Any]) -> str:
    with np.load(path, allow_pickle=False) as stored:
        arrays = [stored[name] for name in stored.files if name != "progress"]
        shapes = [tuple(variable.shape) for variable in variables]
        if [array.shape for array in arrays] != shapes:
            raise TrainingError(f"{path} belongs to another model: it holds {len(arrays)} arrays, not {len(shapes)}.")
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        return str(stored["progress"])
