"""The plan of a benchmark on this machine: which cells there are, and their numbers, which stay theirs for ever."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import filelock

from tinybench.benchmark.cell_key import Contents, describe_data, make_key
from tinybench.benchmark.grid import CellSpec
from tinybench.config import run_config as configuration
from tinybench.config.run_config import RunConfig
from tinybench.core import atomic, paths
from tinybench.core.errors import TinybenchError, TrackingError
from tinybench.core.redaction import redact

_PLAN = "plan.json"
_LOCK = "lock"
_FLAGS = ("is_probe", "is_extra", "is_active")
_SECRET_SETTINGS = ("track.uri", "backbone.mirror")  # they may hold passwords, and decide no result


@dataclass(frozen=True)
class PlannedCell:
    """A cell of a benchmark.

    Attributes:
        number: Its number, counted from 1.
        key: The hash of what decides its result.
        config: Its configuration.
        contents: The hashes of its data and files.
        is_probe: Whether its backbone is probed; otherwise a run is trained.
        is_extra: Whether it was added to settle a pair of models, beyond the seeds of the specification.
        is_active: Whether the present specification has it.
    """

    number: int
    key: str
    config: RunConfig
    contents: Contents
    is_probe: bool = False
    is_extra: bool = False
    is_active: bool = True

    @property
    def spec(self) -> CellSpec:
        """The specification of the cell."""
        return CellSpec(self.config, self.is_probe, self.is_extra)

    @property
    def group(self) -> tuple[str, str, str, str]:
        """Data set, recipe, model and phases, which cells that differ only in their seed share."""
        phases = "probe" if self.is_probe else ",".join(self.config.phases)
        return self.config.dataset, self.config.recipe, self.config.model, phases

    @property
    def key_of_group(self) -> str:
        """The key that the cell would have with seed 0."""
        return make_key(replace(self.config, seed=0), self.contents, is_probe=self.is_probe)


@dataclass
class StoreNotes:
    """Notes of this machine on the runs of a benchmark in one store.

    Attributes:
        parent_run: Id or key of the run of the benchmark; None before it is opened.
        finished: The runs of the finished cells by number, for the time when the store does not answer.
        failures: Why cells failed that may have left no run, by number.
        seconds: How long cells took, by number; 0 for those that were interrupted.
        jobs: The jobs of cells that may outlive the driver, by number.
    """

    parent_run: str | None = None
    finished: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PlanChange:
    """Difference between a specification and the one that the plan had before.

    Attributes:
        is_new: There was none before.
        added: Numbers of the cells that it adds.
        removed: Numbers of the cells that it no longer has.
        settings: What differs in the settings of cells with the same model, data set, recipe and seed, each as
            `key: old → new`.
    """

    is_new: bool = True
    added: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()
    settings: tuple[str, ...] = ()


class GridPlan:
    """The plan of a benchmark.

    Args:
        name: The name of the benchmark.

    Attributes:
        cells: All cells that the benchmark ever had, by number.
        stores: Notes on the runs by store.
        halving: The seeds of the phases that a halving trains; empty if the benchmark is none.
        workers: Cells at a time when it was last run; None before.

    Raises:
        TrackingError: The plan cannot be read.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.folder = benchmark_folder(name)
        self.cells: dict[int, PlannedCell] = {}
        self.stores: dict[str, StoreNotes] = {}
        self.halving: tuple[int, ...] = ()
        self.workers: int | None = None
        self.reload()

    @property
    def active_cells(self) -> list[PlannedCell]:
        """The cells of the present specification."""
        return [cell for cell in self.cells.values() if cell.is_active]

    @property
    def specified_cells(self) -> list[PlannedCell]:
        """The cells that the specification names: of a halving the probes, from which the others follow."""
        return [cell for cell in self.active_cells if cell.is_probe or not self.halving]

    def reload(self) -> None:
        """Read the plan as it is on the disk.

        Raises:
            TrackingError: It cannot be read.
        """
        path = self.folder / _PLAN
        try:
            values = json.loads(path.read_text("utf-8"))
            cells = [_read_cell(item) for item in values["cells"]]
            self.halving = tuple(int(seed) for seed in values.get("halving", []))
            self.workers = values.get("workers")
            self.stores = {store: _read_notes(notes) for store, notes in values["stores"].items()}
        except FileNotFoundError:
            return
        except NotADirectoryError as error:
            raise TrackingError(
                f"Cannot write {self.folder}: {error.strerror}. Set TINYBENCH_STATE to a folder that can be written."
            ) from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError, TinybenchError) as error:
            raise TrackingError(
                f"Cannot read the plan of benchmark {self.name}, {path}: {error}. Move it away: finished cells are "
                "known by their runs."
            ) from error
        self.cells = {cell.number: cell for cell in cells}

    def save(self) -> None:
        """Write the plan.

        Raises:
            TrackingError: The disk is full or cannot be written.
        """
        values = {
            "benchmark": self.name,
            "halving": [*self.halving],
            "workers": self.workers,
            "cells": [_cell_values(cell) for cell in self.cells.values()],
            "stores": {store: asdict(notes) for store, notes in self.stores.items()},
        }
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            atomic.write_text(self.folder / _PLAN, json.dumps(values, indent=1, default=list) + "\n")

    def notes(self, store: str) -> StoreNotes:
        """Return the notes on the runs in a store."""
        return self.stores.setdefault(store, StoreNotes())

    def set_cells(
        self, specs: Sequence[CellSpec], contents: Sequence[Contents], known: Mapping[str, int]
    ) -> PlanChange:
        """Make these the cells of the benchmark, and return what changes; a cell that was there has its old number.

        Cells that were added to settle a pair stay, as long as their settings are those of a cell but for the seed.

        Args:
            specs: The cells.
            contents: The hashes of the data and files of each.
            known: Numbers by key that runs in the store have, which count where the plan was lost.
        """
        before, active = self.specified_cells, self.active_cells
        self.cells = {number: replace(cell, is_active=False) for number, cell in self.cells.items()}
        self.add_cells(specs, contents, known)
        groups = {cell.key_of_group for cell in self.active_cells}
        kept = [cell for cell in active if cell.is_extra and cell.key_of_group in groups]
        self.cells |= {cell.number: replace(self.cells[cell.number], is_active=True) for cell in kept}
        return self.compare(before)

    def add_cells(self, specs: Sequence[CellSpec], contents: Sequence[Contents], known: Mapping[str, int]) -> None:
        """Add cells to those of the benchmark; the arguments are those of `set_cells`."""
        numbers = {**known, **{cell.key: cell.number for cell in self.cells.values()}}
        free = max([0, *known.values(), *self.cells]) + 1
        for spec, content in zip(specs, contents, strict=True):
            key = make_key(spec.config, content, is_probe=spec.is_probe)
            if key not in numbers:
                numbers[key], free = free, free + 1
            number = numbers[key]
            if number not in self.cells or not self.cells[number].is_active:
                self.cells[number] = PlannedCell(number, key, spec.config, content, spec.is_probe, spec.is_extra)
        self.cells = dict(sorted(self.cells.items()))

    def find_contents(self, config: RunConfig) -> Contents:
        """Return the hashes of the data and files of a run, which are those of a cell with the same data and model.

        Raises:
            KeyError: There is no such cell.
        """
        for cell in self.cells.values():
            other = cell.config
            has_same_files = (other.model, other.weights) == (config.model, config.weights)
            if cell.is_active and has_same_files and describe_data(other) == describe_data(config):
                return cell.contents
        raise KeyError(config.model)

    def compare(self, before: Sequence[PlannedCell]) -> PlanChange:
        """Return how the cells of the specification differ from those that it had before."""
        earlier, now = ({cell.number for cell in cells} for cells in (before, self.specified_cells))
        return PlanChange(
            not before,
            tuple(sorted(now - earlier)),
            tuple(sorted(earlier - now)),
            _describe_changes(before, self.specified_cells),
        )

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Lock the plan during the block, and read it as it is then.

        Raises:
            TrackingError: Another process runs the benchmark.
        """
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(self.folder / _LOCK)
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                raise TrackingError(
                    f"Another process runs benchmark {self.name}: wait for it, or stop it first."
                ) from None
        try:
            self.reload()
            yield
        finally:
            lock.release()


def benchmark_folder(name: str) -> Path:
    """Return the folder of a benchmark by its name."""
    return paths.state_folder() / "benchmarks" / name


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TrackingError(
            f"Cannot write {folder}: {error.strerror or error}. Set TINYBENCH_STATE to a folder that can be written."
        ) from error


def stored_settings(config: RunConfig) -> dict[str, Any]:
    """Return the settings of a cell as the plan stores them: without passwords."""
    settings = config.flat()
    for key in _SECRET_SETTINGS:
        if settings[key] is not None and redact(settings[key]) != settings[key]:
            settings[key] = None
    return settings


def _cell_values(cell: PlannedCell) -> dict[str, Any]:
    values = {name: getattr(cell, name) for name in ("number", "key", *_FLAGS)}
    return values | {"contents": dict(cell.contents), "settings": stored_settings(cell.config)}


def _read_cell(values: Mapping[str, Any]) -> PlannedCell:
    """Return a stored cell, with the key that this version gives it: settings that are new have their default."""
    config = configuration.from_flat(values["settings"])
    contents = values["contents"]
    flags = {name: bool(values.get(name)) for name in _FLAGS}
    key = make_key(config, contents, is_probe=flags["is_probe"])
    return PlannedCell(int(values["number"]), key, config, contents, **flags)


def _read_notes(values: Mapping[str, Any]) -> StoreNotes:
    """Return the notes on a store.

    Raises:
        TypeError: They have other fields, or other kinds of values.
    """
    notes = StoreNotes(**values)
    for name in ("finished", "failures", "seconds", "jobs"):
        if not isinstance(getattr(notes, name), dict):
            raise TypeError(f"expected an object as `{name}`")
    return notes


def _describe_changes(before: Sequence[PlannedCell], after: Sequence[PlannedCell]) -> tuple[str, ...]:
    """Return the settings that differ between cells of the same place in the grid."""
    stayed = {cell.key for cell in after}
    earlier = {_place(cell): cell for cell in before if cell.key not in stayed}
    changes: dict[str, None] = {}
    for cell in after:
        old = earlier.get(_place(cell))
        if old is None:
            continue
        texts, new_texts = old.config.flat_text(), cell.config.flat_text()
        names = {"data": "the data", "model": "the model's file", "weights": "the file of weights"}
        for key, text in new_texts.items():
            if text != texts.get(key) and not key.startswith(configuration.NOT_IDENTITY):
                changes[f"{key}: {texts.get(key)} → {text}"] = None
        for name, title in names.items():
            if old.contents.get(name) != cell.contents.get(name):
                changes[f"{title}: other content"] = None
    return tuple(changes)


def _place(cell: PlannedCell) -> tuple[object, ...]:
    config = cell.config
    return config.dataset, config.recipe, config.model, config.seed, cell.is_probe
