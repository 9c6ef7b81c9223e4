"""Finding finished runs in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException

from tinybench import recipes
from tinybench.cli.impact_table import Step
from tinybench.core.errors import ConfigError
from tinybench.tracking.model_logging import MODEL_TAG
from tinybench.tracking.tracker import FOLD_TAG, PHASE_TAG, SOURCE_TAG, WARNING_TAG, Tracker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow.entities import Run as MlflowRun

_HASH_TAG = "tinybench.config_hash"


def find_progression(tracker: Tracker, identities: Mapping[str, str]) -> list[Step]:
    """Each recipe with what its run found; `identities` gives the hash of its own settings by name."""
    known, steps = recipes.all_recipes(), []
    for name, identity in identities.items():
        found = find_recipe_run(tracker, name, identity)
        if found is None:
            steps.append(Step(known[name]))
        else:
            run, own = found
            steps.append(
                Step(
                    known[name],
                    run.data.metrics,
                    own,
                    param(run, "model"),
                    run.info.run_id,
                    int(folds) if (folds := param(run, "data.folds")).isdigit() else 0,
                    run.data.tags.get(WARNING_TAG, ""),
                )
            )
    return steps


def find_recipe_run(tracker: Tracker, recipe: str, identity: str) -> tuple[MlflowRun, bool] | None:
    """The newest finished run of a recipe; one with the recipe's own settings goes before all others.

    Args:
        tracker: The store; all of its experiments are looked through.
        recipe: A recipe's name.
        identity: Hash of the recipe's own settings.

    Returns:
        The run, and whether its settings are the recipe's own; None where there is none.
    """
    finished = f"params.recipe = '{recipe}' and attributes.status = 'FINISHED'"
    for wanted, own in ((f"{finished} and tags.`{_HASH_TAG}` = '{identity}'", True), (finished, False)):
        found = _find_newest(tracker, wanted)
        if found is not None:
            return found, own
    return None


def _find_newest(tracker: Tracker, wanted: str) -> MlflowRun | None:
    """The newest run that was trained as a whole: no phase, no fold, no later evaluation."""
    experiments = [each.experiment_id for each in tracker.client.search_experiments()]
    newest = ["attributes.start_time DESC"]
    page = tracker.client.search_runs(experiments, wanted, order_by=newest)
    while page:
        for run in page:
            if not (run.data.tags.keys() & {PHASE_TAG, FOLD_TAG} or SOURCE_TAG in run.data.tags):
                return run
        if not page.token:
            return None
        page = tracker.client.search_runs(experiments, wanted, order_by=newest, page_token=page.token)
    return None


def find_model_runs(tracker: Tracker, search: str = "") -> Iterator[MlflowRun]:
    """Finished runs that logged a model: no phase, no fold, no trial.

    Args:
        tracker: The store; all of its experiments are looked through.
        search: MLflow's filter, beside that.

    Raises:
        ConfigError: MLflow does not understand the filter.
    """
    wanted = f"attributes.status = 'FINISHED' and tags.`{MODEL_TAG}` != ''" + (f" and {search}" if search else "")
    experiments = [each.experiment_id for each in tracker.client.search_experiments()]
    token = None
    while True:
        try:
            page = tracker.client.search_runs(experiments, wanted, max_results=1000, page_token=token)
        except MlflowException as error:
            raise ConfigError(f"Invalid value for `--filter`: {str(error).splitlines()[0]}") from error
        yield from page
        token = page.token
        if not token:
            return


def param(run: MlflowRun, key: str) -> str:
    """A setting of a run as text. Under `mlflow run`, what was left alone is under `recipe.<key>`."""
    params: dict[str, str] = run.data.params
    return params.get(f"recipe.{key}") or params.get(key, "")
