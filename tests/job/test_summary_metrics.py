"""What a parent run shows of the metrics of its last phase."""

from __future__ import annotations

from tinybench import recipes
from tinybench.job.summary_metrics import select_summary


def test_everything_that_is_read_from_the_parent_is_shown() -> None:
    for recipe in recipes.all_recipes().values():
        if not recipe.build().data.folds:
            published = {expected.metric: 0.5 for expected in recipe.expected if not expected.metric.startswith("val/")}
            assert select_summary(published) == published, (
                f"compare --recipes reads them from the parent: {recipe.name}"
            )


def test_what_cannot_rank_runs_is_not_shown() -> None:
    assert select_summary({"efficiency/ratio": 8.0, "test/mcc_high": 0.5, "best/temperature": 1.5}) == {}
