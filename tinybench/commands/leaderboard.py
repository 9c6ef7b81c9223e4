"""Rank the models of a store: the public function, and what the command line calls as well."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from tinybench.config.run_config import PHASES
from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.redaction import redact
from tinybench.core.suggestion import suggest
from tinybench.data.load_request import is_named

if TYPE_CHECKING:
    from tinybench.leaderboard.dataset_board import DatasetBoard
    from tinybench.leaderboard.entries import Entry
    from tinybench.leaderboard.failed_cells import FailedCell
    from tinybench.leaderboard.halved_models import HalvedModel

DELTA = 0.01
"""The largest difference that does not matter, unless the user names another one."""
_WHICH_PHASES = ("last", *PHASES, "all")


def rank_models(
    dataset: str | None = None,
    *,
    models: str | Collection[str] = (),
    recipe: str | None = None,
    benchmark: str | None = None,
    phase: str = "last",
    metric: str = "accuracy",
    delta: float = DELTA,
    sort: str | None = None,
    uri: str | None = None,
) -> list[DatasetBoard]:
    """Rank the models of finished runs by their stored predictions for the test images.

    Runs that differ only in their seed are runs of one model.

    Args:
        dataset: Only this data set, by its name or its short name.
        models: Only these models, by their names or the paths of their files.
        recipe: Only runs of this recipe.
        benchmark: Only the cells of this benchmark.
        phase: Which phase of each run is ranked: `last`, `all`, or the name of one.
        metric: `accuracy`, `top5`, `balanced_accuracy` or `log_loss`.
        delta: The difference below which two models are equivalent, in the unit of the metric.
        sort: The column by which the rows are sorted, such as `p50`, or `-p50` for the reverse order; by the metric if
            None.
        uri: The tracking store; MLflow's default if None.

    Returns:
        A board for each set of test images, the one with the most models first; boards of data sets of which there
        are only failed cells of benchmarks are the last. `to_frame` of a board returns its rows as a DataFrame.

    Raises:
        ConfigError: A value is not allowed.
        TrackingError: The store does not answer, or has no finished run that fits.
    """
    quiet_libraries.quieten_libraries()
    with quiet_libraries.filter_startup_noise():
        from tinybench.leaderboard import board_columns
        from tinybench.leaderboard.board import build_boards
        from tinybench.leaderboard.entries import name_file
        from tinybench.leaderboard.ranking_metrics import METRICS
        from tinybench.tracking import tags
        from tinybench.tracking.tracker import Tracker
    _check("metric", metric, tuple(METRICS))
    _check("phase", phase, _WHICH_PHASES)
    if not 0 < delta <= 1:
        raise ConfigError(f"Invalid value for `delta`: expected a number in (0, 1], got {delta!r}.")
    if sort is not None:
        board_columns.check_sort(sort)
    wanted = {models} if isinstance(models, str) else {*models}
    tracker = Tracker.at(uri)
    tracker.send_left_behind()

    def fits(names: set[str], of_dataset: str, of_recipe: str, of_benchmark: str) -> bool:
        is_model = benchmark in (None, of_benchmark) and (not wanted or not names.isdisjoint(wanted))
        return is_model and recipe in (None, of_recipe) and (dataset is None or is_named(of_dataset, dataset))

    def is_wanted(entry: Entry) -> bool:
        of_phase = entry.is_last if phase == "last" else phase in ("all", entry.phase)
        names = {entry.model, entry.settings.get("model", "")}
        return of_phase and fits(names, entry.dataset, entry.recipe, entry.run.tags.get(tags.BENCHMARK, ""))

    def is_wanted_name(named: FailedCell | HalvedModel) -> bool:
        # A model of which there is no finished run has no more than the name of its file
        names = {named.model, *(model for model in wanted if name_file(model) == named.model)}
        return fits(names, named.dataset, named.recipe, named.benchmark)

    boards = build_boards(tracker, metric=metric, margin=delta, keep=is_wanted, keep_named=is_wanted_name)
    if not boards:
        raise TrackingError(
            f"{redact(tracker.uri)} has no finished run that fits: train one by tinybench train, or leave out a filter."
        )
    return boards if sort is None else [board_columns.sort_board(board, sort) for board in boards]


def _check(key: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise ConfigError(
            f"Invalid value for `{key}`: expected one of {', '.join(choices)}, got {value!r}.{suggest(value, choices)}"
        )
