"""The table of a progression: what each step gained, and what is not known."""

from __future__ import annotations

import io

from rich.console import Console

from tinybench import recipes
from tinybench.display import impact_table
from tinybench.tracking.queries import RecipeResult

KNOWN = recipes.all_recipes()


def shown(*steps: RecipeResult) -> list[str]:
    text = io.StringIO()
    impact_table.print_impact_table(steps, Console(file=text, width=100))
    return [" ".join(line.split()) for line in text.getvalue().splitlines()]


def figures(accuracy: float, **others: float) -> dict[str, float]:
    return {"test/accuracy": accuracy, "efficiency/parameters": 315_722.0} | others


def test_each_line_says_what_it_gained_over_the_one_before():
    lines = shown(
        RecipeResult(KNOWN["cifar10-simple5"], figures(0.65, **{"test/loss": 1.1, "best/overfitting_gap": 0.178})),
        RecipeResult(KNOWN["cifar10-vgg10"], figures(0.8)),
        RecipeResult(KNOWN["cifar10-efficientnetv2-96"], figures(0.79) | {"efficiency/parameters": 6_255_962.0}),
    )
    assert lines[2] == "cifar10-simple5 316K 65.00 1.100 +17.8"
    assert lines[3] == "cifar10-vgg10 316K 80.00 +15.00"
    assert lines[4] == "cifar10-efficientnetv2-96 6.26M 79.00 -1.00"


def test_a_recipe_without_a_run_is_said_and_does_not_count_as_a_step():
    lines = shown(
        RecipeResult(KNOWN["cifar10-simple5"], figures(0.65)),
        RecipeResult(KNOWN["cifar10-vgg10"]),
        RecipeResult(KNOWN["cifar10-resnet20"], figures(0.85)),
    )
    assert lines[3] == "cifar10-vgg10 no run"
    assert "+20.00" in lines[4]


def test_a_run_with_other_settings_is_marked():
    lines = shown(RecipeResult(KNOWN["cifar10-simple5"], figures(0.65), own_settings=False))
    assert lines[2].startswith("cifar10-simple5 * 316K")
    assert "*: not with the recipe's own settings" in " ".join(lines[3:5])
    assert "cifar10-simple5 * test/accuracy 0.6747 0.65 test" in lines


def test_a_run_is_named_with_its_folds_and_what_is_to_be_known_of_its_data():
    steps = [
        RecipeResult(
            KNOWN["cifar10-conv6"], {"test/log_loss": 0.456}, run_id="a1", folds=5, warning="half of the data"
        ),
        RecipeResult(
            KNOWN["cifar10-simple5"], figures(0.65), own_settings=False, run_id="b2", warning="half of the data"
        ),
    ]
    lines = shown(*steps)
    assert lines[2] == "cifar10-conv6 † 0.456"
    assert "cifar10-conv6 †: run a1, 5 folds" in lines
    assert "cifar10-simple5 *†: run b2" in lines
    assert [line for line in lines if "half of" in line] == ["†: half of the data"]


def test_every_published_figure_stands_beside_ours():
    lines = shown(
        RecipeResult(KNOWN["cifar10-simple5"], figures(0.65, **{"best/overfitting_gap": 0.2})),
        RecipeResult(KNOWN["mnist-shallow"], {"folds/accuracy_mean": 0.9782}),
    )
    assert "cifar10-simple5 test/accuracy 0.6747 0.65 test" in lines
    assert "cifar10-simple5 test/loss 1.104 test" in lines
    assert "cifar10-simple5 best/overfitting_gap 0.178 0.2 validation" in lines
    assert "mnist-shallow folds/accuracy_mean 0.974 0.9782 validation" in lines


def test_the_published_figure_is_that_of_the_model_after_the_last_phase():
    lines = shown(RecipeResult(KNOWN["tiny-imagenet-tlft"], figures(0.7), model="resnet50"))
    assert "tiny-imagenet-tlft test/accuracy 0.755 0.7 test" in lines
    assert not [line for line in lines if "0.628" in line or "0.697" in line]
