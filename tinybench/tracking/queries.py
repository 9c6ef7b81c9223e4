"""Find finished runs in a store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException

from tinybench import recipes
from tinybench.core.errors import ConfigError
from tinybench.tracking import tags
from tinybench.tracking.experiments import list_experiment_ids
from tinybench.tracking.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow.entities import Run as MlflowRun

    from tinybench.recipes.recipe import Expected, Recipe

STUDY_PARAM = "sweep.study"
"""The parameter of a study's run that has the name of the study."""


@dataclass(frozen=True)
class RecipeResult:
    """A recipe with the result of its newest finished run.

    Attributes:
        recipe: The recipe, with its published metrics.
        metrics: Metrics of the run; empty if there is no run.
        own_settings: Whether the run has the recipe's own settings.
        model: The model that the run trained.
        run_id: The run; empty if there is none.
        folds: The number of its folds; 0 for a run without folds.
        warning: What is worth knowing about its data.
    """

    recipe: Recipe
    metrics: dict[str, float] = field(default_factory=dict)
    own_settings: bool = True
    model: str = ""
    run_id: str = ""
    folds: int = 0
    warning: str = ""

    @property
    def title(self) -> str:
        """The recipe's name, with * for other settings than its own and † for a warning about the data."""
        marks = ("" if self.own_settings else "*") + ("†" if self.warning else "")
        return f"{self.recipe.name} {marks}".rstrip()

    @property
    def published(self) -> list[Expected]:
        """The metrics that were published for this model after the recipe's last phase."""
        last = self.recipe.build().phases[-1]
        return [
            expected
            for expected in self.recipe.expected
            if expected.phase == last and expected.model in ("", self.model)
        ]


def find_progression(tracker: Tracker, identities: Mapping[str, str]) -> list[RecipeResult]:
    """Return the results of several recipes.

    Args:
        tracker: The store; all of its experiments are searched.
        identities: The hash of the recipe's own settings by the recipe's name, in the order of the results.
    """
    all_recipes, results = recipes.all_recipes(), []
    for name, identity in identities.items():
        match = find_recipe_run(tracker, name, identity)
        if match is None:
            results.append(RecipeResult(all_recipes[name]))
            continue
        run, own_settings = match
        folds = param(run, "data.folds")
        results.append(
            RecipeResult(
                all_recipes[name],
                run.data.metrics,
                own_settings,
                param(run, "model"),
                run.info.run_id,
                int(folds) if folds.isdigit() else 0,
                run.data.tags.get(tags.DATA_WARNINGS, ""),
            )
        )
    return results


def find_recipe_run(tracker: Tracker, recipe: str, identity: str) -> tuple[MlflowRun, bool] | None:
    """Return the newest finished run of a recipe, preferably one with the recipe's own settings.

    Args:
        tracker: The store; all of its experiments are searched.
        recipe: A recipe's name.
        identity: The hash of the recipe's own settings.

    Returns:
        The run, and whether its settings are the recipe's own; None if there is no finished run.
    """
    finished = f"params.recipe = '{recipe}' and attributes.status = 'FINISHED'"
    with_own_settings = f"{finished} and tags.`{tags.CONFIG_HASH}` = '{identity}'"
    for query, own_settings in ((with_own_settings, True), (finished, False)):
        run = _find_newest(tracker, query)
        if run is not None:
            return run, own_settings
    return None


def _find_newest(tracker: Tracker, query: str) -> MlflowRun | None:
    """Return the newest run that is complete in itself: not that of a phase, of a fold, or of a later evaluation."""
    tracker.send_left_behind()
    experiments = list_experiment_ids(tracker.client)
    newest_first = ["attributes.start_time DESC"]
    page = tracker.client.search_runs(experiments, query, order_by=newest_first)
    while page:
        for run in page:
            if not run.data.tags.keys() & {tags.PHASE, tags.FOLD, tags.SOURCE_RUN}:
                return run
        if not page.token:
            return None
        page = tracker.client.search_runs(experiments, query, order_by=newest_first, page_token=page.token)
    return None


def find_model_runs(tracker: Tracker, search: str = "") -> Iterator[MlflowRun]:
    """Yield the finished runs that logged a model; runs of phases, folds and trials do not.

    Args:
        tracker: The store; all of its experiments are searched.
        search: A further condition in MLflow's filter language.

    Raises:
        ConfigError: MLflow does not understand the filter.
    """
    query = f"attributes.status = 'FINISHED' and tags.`{tags.MODEL_URI}` != ''" + (f" and {search}" if search else "")
    tracker.send_left_behind()
    yield from find_runs(tracker, query)


def find_runs(tracker: Tracker, search: str = "") -> Iterator[MlflowRun]:
    """Yield the runs of all experiments, the newest first.

    Args:
        tracker: The store.
        search: A condition in MLflow's filter language; empty for all runs.

    Raises:
        ConfigError: MLflow does not understand the filter.
    """
    try:
        yield from tracker.search_runs(search, page_size=1000)
    except MlflowException as error:
        if not search:
            raise
        raise ConfigError(f"Invalid value for `--filter`: {str(error).splitlines()[0]}") from error


def find_study_runs(tracker: Tracker) -> dict[str, MlflowRun]:
    """Return the newest run of each study by the study's name; runs of trials are not among them.

    Args:
        tracker: The store; all of its experiments are searched.
    """
    tracker.send_left_behind()
    experiments, oldest_first = list_experiment_ids(tracker.client), ["attributes.start_time ASC"]
    runs: dict[str, MlflowRun] = {}
    token = None
    while True:
        page = tracker.client.search_runs(
            experiments, f"params.`{STUDY_PARAM}` != ''", order_by=oldest_first, page_token=token
        )
        runs |= {run.data.params[STUDY_PARAM]: run for run in page}
        token = page.token
        if not token:
            return runs


def find_benchmark_runs(tracker: Tracker, name: str) -> Iterator[MlflowRun]:
    """Yield the run of a benchmark and those of its cells, the newest first, with what this machine has not sent.

    Args:
        tracker: The store; if it may be away, what is in the journals of this machine.
        name: The name of the benchmark.

    Raises:
        TrackingError: The store does not answer, and this machine knows no run.
    """
    tracker.send_left_behind()
    for run in tracker.search_runs(f"tags.`{tags.BENCHMARK}` = '{name}'", page_size=1000):
        if run.data.tags.get(tags.BENCHMARK) == name:
            yield tracker.get_run(run.info.run_id) if run.info.status == "RUNNING" else run


def param(run: MlflowRun, key: str) -> str:
    """Return a setting of a run as text; `mlflow run` logs one that the user did not set under `recipe.<key>`."""
    params: dict[str, str] = run.data.params
    return params.get(f"recipe.{key}") or params.get(key, "")
