"""Finding finished runs in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinybench import recipes
from tinybench.report.impact import Step
from tinybench.tracking.tracker import FOLD_TAG, PHASE_TAG, Tracker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow.entities import Run as MlflowRun

_HASH_TAG = "tinybench.config_hash"


def progression(tracker: Tracker, identities: Mapping[str, str]) -> list[Step]:
    """Each recipe with what its run found; `identities` gives the hash of its own settings by name."""
    known, steps = recipes.all_recipes(), []
    for name, identity in identities.items():
        found = of_recipe(tracker, name, identity)
        steps.append(Step(known[name]) if found is None else Step(known[name], found[0].data.metrics, found[1]))
    return steps


def of_recipe(tracker: Tracker, recipe: str, identity: str) -> tuple[MlflowRun, bool] | None:
    """The newest finished run of a recipe; one with the recipe's own settings goes before all others.

    Args:
        tracker: The store; all of its experiments are looked through.
        recipe: A recipe's name.
        identity: Hash of the recipe's own settings.

    Returns:
        The run, and whether its settings are the recipe's own; None where there is none.
    """
    experiments = [each.experiment_id for each in tracker.client.search_experiments()]
    wanted = f"params.recipe = '{recipe}' and attributes.status = 'FINISHED'"
    found = tracker.client.search_runs(experiments, wanted, order_by=["attributes.start_time DESC"])
    whole = [run for run in found if not run.data.tags.keys() & {PHASE_TAG, FOLD_TAG}]
    own = [run for run in whole if run.data.tags.get(_HASH_TAG) == identity]
    if own:
        return own[0], True
    return (whole[0], False) if whole else None
