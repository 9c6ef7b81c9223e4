"""Halve a grid: probe all backbones, transfer the better half of them, and fine-tune the better half of these.

Models are chosen by the validation images, so that the test images stay unused for that. What is left out is
logged with its distance to the last model that was kept, so that a board can say how sure that was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tinybench.benchmark.cell_key import make_key
from tinybench.benchmark.cell_states import CellState, CellStatus
from tinybench.benchmark.grid import CellSpec
from tinybench.benchmark.grid_overview import GroupOverview, LaterCells
from tinybench.config import run_config as configuration
from tinybench.core.csv_text import to_csv
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.evaluation.paired_difference import accuracy_difference
from tinybench.leaderboard.halved_models import PROBE, TABLE, HalvedModel
from tinybench.tracking import run_record, stored_predictions, tags

if TYPE_CHECKING:
    from tinybench.benchmark.grid_plan import PlannedCell
    from tinybench.config.run_config import RunConfig
    from tinybench.tracking.run_writer import RunWriter
    from tinybench.tracking.tracker import Tracker

_CONFIDENCE = 1.96  # standard errors of a 95 % interval


class Halving:
    """The rungs of a halving, an extension of a benchmark; see `grid_driver.Extension`.

    Args:
        benchmark: The name of the benchmark.
        seeds: The seeds of the phases that are trained; backbones are probed with the first.

    Attributes:
        left_out: The models that were left out.
    """

    def __init__(self, benchmark: str, seeds: Sequence[int]) -> None:
        self._benchmark = benchmark
        self._seeds = tuple(seeds)
        self._scores: dict[str, NDArray[np.bool_]] = {}
        self.left_out: list[HalvedModel] = []

    def extend(
        self, tracker: Tracker, plan_cells: Sequence[PlannedCell], statuses: Mapping[int, CellStatus]
    ) -> list[CellSpec]:
        """Return the cells of all rungs that follow from the results so far.

        Raises:
            TrackingError: The store does not answer, or a run has lost its predictions of the validation images.
        """
        self.left_out = []
        specs: list[CellSpec] = []
        by_key = {cell.key: cell for cell in plan_cells}
        for members in _group_probes(plan_cells):
            survivors, rung = [[cell] for cell in members], PROBE
            for phases in list_rungs(members[0].config.phases):
                survivors = self._choose(tracker, rung, survivors, statuses)
                rung = phases[-1]
                specs_of_models = [[_make_spec(cells[0], phases, seed) for seed in self._seeds] for cells in survivors]
                specs += [spec for specs_of_model in specs_of_models for spec in specs_of_model]
                next_cells = [
                    [by_key.get(make_key(spec.config, cells[0].contents)) for spec in specs_of_model]
                    for cells, specs_of_model in zip(survivors, specs_of_models, strict=True)
                ]
                survivors = [[cell for cell in cells if cell is not None] for cells in next_cells]
                if any(None in cells for cells in next_cells):  # this rung has not been run
                    break
        return specs

    def _choose(
        self,
        tracker: Tracker,
        rung: str,
        models: Sequence[Sequence[PlannedCell]],
        statuses: Mapping[int, CellStatus],
    ) -> list[list[PlannedCell]]:
        """Return the better half of the models of a rung, the best first; those without a result are not among them."""
        scores: dict[str, dict[int, NDArray[np.bool_]]] = {}
        cells_of_model = {}
        for cells in models:
            finished = [cell for cell in cells if statuses[cell.number].state == CellState.FINISHED]
            if finished:
                name = finished[0].config.model
                cells_of_model[name] = finished
                scores[name] = {
                    cell.config.seed: self._read_scores(tracker, statuses[cell.number].run_id) for cell in finished
                }
        accuracies = {name: float(np.mean([hits.mean() for hits in seeds.values()])) for name, seeds in scores.items()}
        order = sorted(scores, key=lambda name: -accuracies[name])
        kept = order[: count_kept(len(models))]
        for name in order[len(kept) :]:
            config = cells_of_model[name][0].config
            last_kept = cells_of_model[kept[-1]][0].config.model_name
            difference = compare_scores(scores[kept[-1]], scores[name])
            where = self._benchmark, config.dataset, config.recipe
            self.left_out.append(HalvedModel(*where, config.model_name, rung, last_kept, accuracies[name], *difference))
        return [cells_of_model[name] for name in kept]

    def _read_scores(self, tracker: Tracker, run_id: str) -> NDArray[np.bool_]:
        if run_id not in self._scores:
            run = run_record.find_final_run(tracker, run_id)
            predictions = stored_predictions.read_predictions(tracker, run, "validation")
            if predictions is None:
                raise TrackingError(
                    f"Run {run_id} has no predictions of the validation images, by which the next rung is chosen: "
                    "wait until the store has them, and go on."
                )
            self._scores[run_id] = predictions.logits.argmax(axis=1) == predictions.labels
        return self._scores[run_id]

    def preview(self, groups: Sequence[GroupOverview]) -> list[LaterCells]:
        """Return how many cells follow the probes."""
        later = []
        trained = [group.config for group in groups if not group.is_probe]
        there = {(config.dataset, config.recipe, config.phases) for config in trained}
        for members in _group_overviews(groups):
            config, models = members[0].config, len(members)
            for phases in list_rungs(config.phases):
                models = count_kept(models)
                if (config.dataset, config.recipe, phases) in there:
                    continue
                costs = [_sum_phases(group, phases) for group in members]
                slowest = sorted(seconds for seconds in costs if seconds is not None)[-models:]
                seconds = sum(slowest) * len(self._seeds) if None not in costs else None
                later.append(LaterCells(config, phases, models, models * len(self._seeds), seconds))
        return later

    def conclude(self, parent: RunWriter) -> list[str]:
        """Log which models were left out, and return a sentence about each."""
        if not self.left_out:
            return []
        rows = [asdict(model) for model in self.left_out]
        parent.set_tags({tags.LEFT_OUT: str(len(rows))})
        parent.log_text(to_csv([*rows[0]], [[*map(str, row.values())] for row in rows]), TABLE)
        return [model.describe() for model in self.left_out]


def list_probes(cells: Iterable[RunConfig]) -> list[CellSpec]:
    """Return a probe for each data set, recipe and model of a grid.

    Args:
        cells: The cells of the grid; of those that differ only in their seed, the first is probed.

    Raises:
        ConfigError: A model has no pretrained backbone that could be probed, or a data set has folds.
    """
    probes: dict[tuple[str, str, str], CellSpec] = {}
    for config in cells:
        if config.phases[0] == "scratch":
            raise ConfigError(
                "Invalid value for `--halving`: it begins with a probe of backbones, and the phases of "
                f"{config.model_name} are {', '.join(config.phases)}. Leave the option or the model out."
            )
        if config.data.folds:
            raise ConfigError("Invalid value for `--halving`: it cannot choose by folds. Leave `data.folds` out.")
        probes.setdefault((config.dataset, config.recipe, config.model), CellSpec(config, is_probe=True))
    return [*probes.values()]


def list_rungs(phases: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the phases of each rung that follows the probe: transfer, and then transfer and fine-tuning."""
    return [tuple(phases[: number + 1]) for number in range(len(phases))]


def count_kept(models: int) -> int:
    """Return how many of the models of a rung go on: half of them, rounded up."""
    return math.ceil(models / 2)


def compare_scores(
    first: Mapping[int, NDArray[np.bool_]], second: Mapping[int, NDArray[np.bool_]]
) -> tuple[float, float, float]:
    """Return how much more accurate the first model is, with the 95 % interval.

    Args:
        first: Whether the model is correct on each validation image, by seed.
        second: The same for the other model. Models with the same seed have the same validation images; without a
            common seed the images count as different ones.

    Returns:
        The difference of the mean accuracies and the ends of its interval. The images of several seeds may be the same
        and count once.
    """
    seeds = sorted({*first} & {*second})
    if not seeds or any(len(first[seed]) != len(second[seed]) for seed in seeds):
        return _compare_unpaired(first, second)
    rows = np.array([accuracy_difference(first[seed], second[seed]) for seed in seeds])
    value = float(rows[:, 0].mean())
    below, above = value - rows[:, 1], rows[:, 2] - value
    by_seeds = _half_width_of_mean(rows[:, 0])
    return value, value - math.hypot(below.mean(), by_seeds), value + math.hypot(above.mean(), by_seeds)


def _half_width_of_mean(values: NDArray[np.float64]) -> float:
    """Return half the width of the 95 % interval of a mean by Student's t; 0 for one value, which says nothing."""
    from scipy.stats import t

    if len(values) == 1:
        return 0.0
    return float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values)))


def _compare_unpaired(
    first: Mapping[int, NDArray[np.bool_]], second: Mapping[int, NDArray[np.bool_]]
) -> tuple[float, float, float]:
    means, variances = [], []
    for scores in (first, second):
        accuracies = np.array([hits.mean() for hits in scores.values()])
        images = min(len(hits) for hits in scores.values())
        means.append(float(accuracies.mean()))
        share = (means[-1] * images + 1) / (images + 2)  # few images without an error do not show that there are none
        variances.append(share * (1 - share) / images)
    value, half = means[0] - means[1], _CONFIDENCE * math.sqrt(sum(variances))
    return value, value - half, value + half


def _group_probes(cells: Iterable[PlannedCell]) -> list[list[PlannedCell]]:
    groups: dict[tuple[str, str], list[PlannedCell]] = {}
    for cell in cells:
        if cell.is_probe:
            groups.setdefault((cell.config.dataset, cell.config.recipe), []).append(cell)
    return [*groups.values()]


def _group_overviews(groups: Iterable[GroupOverview]) -> list[list[GroupOverview]]:
    members: dict[tuple[str, str], list[GroupOverview]] = {}
    for group in groups:
        if group.is_probe:
            members.setdefault((group.config.dataset, group.config.recipe), []).append(group)
    return [*members.values()]


def _sum_phases(group: GroupOverview, phases: Sequence[str]) -> float | None:
    """Return the time of some phases of a model; None if it is not estimated."""
    if group.cost is None or not group.cost.phases:
        return None
    return group.cost.start + sum(group.cost.phases[phase] for phase in phases)


def _make_spec(cell: PlannedCell, phases: tuple[str, ...], seed: int) -> CellSpec:
    return CellSpec(configuration.replace(cell.config, {"phases": phases, "seed": seed}))
