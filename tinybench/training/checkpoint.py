"""Checkpoints: everything that a phase needs to go on as if it had never stopped.

A checkpoint is one `.npz` file without pickles: the variables that training changes, the optimizer, the
states of the random generators (which a `.keras` file leaves out), the callbacks' counters, and every
epoch's metrics with their timestamps. It is written before those metrics are logged, so that after a
crash nothing is lost and, sent again with the same timestamps, nothing is doubled.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tinybench.core.errors import TrainingError
from tinybench.training.progress import Progress


class Store:
    """A folder with a phase's checkpoints; only the latest few are kept."""

    def __init__(self, folder: Path, keep: int = 2) -> None:
        """Args: the folder, made if it is absent, and how many checkpoints to keep."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from error
        self.folder = folder
        self.keep = keep

    @property
    def start(self) -> Path:
        """The whole model as the phase began, a `.keras` file."""
        return self.folder / "start.keras"

    def save_start(self, model: keras.Model) -> None:
        """Keep the whole model as the phase begins."""
        part = self.folder / "part.keras"
        try:
            model.save(part)
        except OSError as error:
            raise _unwritable(part, error) from error
        part.replace(self.start)

    def save(self, trainer: keras.Model, progress: Progress) -> None:
        """Write a checkpoint of this moment and remove the ones that are too old.

        Raises:
            TrainingError: the disk is full or cannot be written; earlier checkpoints stay.
        """
        number = progress.epochs[-1].number
        _write(self.folder / f"epoch-{number:04d}.npz", _resumable(trainer), progress.to_json())
        stale = [best for best in self.folder.glob("best-*.npz") if best != self._best(progress.best_epoch)]
        for old in [*self.checkpoints()[: -self.keep], *stale]:
            old.unlink()

    def save_best(self, trainer: keras.Model, epoch: int) -> None:
        """Write the variables that training changes, as the best so far.

        The best before stays until the next checkpoint, which may not come to be.
        """
        _write(self._best(epoch), _changing(trainer), "{}")

    def checkpoints(self) -> list[Path]:
        """The kept checkpoints, oldest first."""
        return sorted(self.folder.glob("epoch-*.npz"))

    def restore(self, trainer: keras.Model) -> Progress:
        """Put the trainer back to the latest checkpoint; a fresh start gets seeded generators.

        Raises:
            TrainingError: the checkpoint does not belong to this model.
        """
        kept = self.checkpoints()
        if not kept:
            return Progress()
        return Progress.from_json(_read(kept[-1], _resumable(trainer)))

    def restore_best(self, trainer: keras.Model, progress: Progress) -> None:
        """Put the weights of the best epoch back, or those that the phase started from."""
        _read(self._best(progress.best_epoch), _changing(trainer))

    def _best(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch:04d}.npz"


def seed_generators(trainer: keras.Model, seed: int) -> None:
    """Give every random layer a state that is a function of the seed and its place alone.

    Without this, the state would depend on how many layers the process made before.
    """
    _seed(_generators(trainer), [seed])


def seed_layers(layers: list[keras.layers.Layer], seeds: list[int]) -> None:
    """The same for layers that belong to no model."""
    _seed([variable for layer in layers for variable in _generators(layer)], seeds)


def _seed(states: list[Any], seeds: list[int]) -> None:
    for place, state in enumerate(states):
        fresh = np.random.SeedSequence([*seeds, place]).generate_state(2)
        state.assign(np.asarray(fresh % 2**31, dtype=state.dtype))


def _changing(trainer: keras.Model) -> list[Any]:
    """What training changes of the model: trained weights, and statistics of layers that are trained."""
    leaves = [layer for layer in trainer._flatten_layers() if layer.trainable and not layer._layers]
    moving = [weight for layer in leaves for weight in layer.non_trainable_weights]
    return [*trainer.trainable_variables, *moving]


def _resumable(trainer: keras.Model) -> list[Any]:
    trainer.optimizer.build(trainer.trainable_variables)
    return [*_changing(trainer), *_generators(trainer), *trainer.optimizer.variables]


def _generators(layer: keras.layers.Layer) -> list[Any]:
    """The states of random generators in a layer or model."""
    weights = {id(weight) for weight in layer.weights}
    return [variable for variable in layer.variables if id(variable) not in weights and "seed" in variable.path]


def _write(path: Path, variables: list[Any], text: str) -> None:
    part = path.with_suffix(".part")
    arrays = {f"v{place:05d}": keras.ops.convert_to_numpy(variable) for place, variable in enumerate(variables)}
    try:
        with part.open("wb") as file:
            np.savez(file, progress=np.asarray(text), **arrays)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> TrainingError:
    return TrainingError(f"Cannot write {path}: {error.strerror or error}. Make room, then resume the run.")


def _read(path: Path, variables: list[Any]) -> str:
    with np.load(path, allow_pickle=False) as stored:
        arrays = [stored[name] for name in stored.files if name != "progress"]
        shapes = [tuple(variable.shape) for variable in variables]
        if [array.shape for array in arrays] != shapes:
            raise TrainingError(f"{path} belongs to another model: it holds {len(arrays)} arrays, not {len(shapes)}.")
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)
        return str(stored["progress"])
