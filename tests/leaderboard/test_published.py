"""The published metrics beside ours, and whether they are reproduced."""

from __future__ import annotations

import pytest
from made_boards import MadeStore, build_board

from tinybench.leaderboard.board_columns import COLUMNS, add_published
from tinybench.leaderboard.published import find_published, is_reproduced
from tinybench.recipes.resolve import resolve

RECIPE = {"recipe": "tiny-imagenet-tlft", "head.dropout": "0.3"}


@pytest.mark.parametrize(
    ("model", "wrong", "published", "reproduced"),
    [("vgg16", 170, 0.575, "yes"), ("resnet50", 30, 0.697, "above"), ("efficientnetb0", 300, 0.584, "below")],
)
def test_the_published_accuracy_is_that_of_the_model_and_phase(
    made: MadeStore, model: str, wrong: int, published: float, reproduced: str
):
    made.add(model, 0, made.correct(wrong), params=RECIPE)
    (row,) = build_board(made).rows
    assert find_published(row, "test/accuracy") == published
    assert COLUMNS["reproduced"].read(row) == reproduced
    assert is_reproduced(row) == (reproduced == "yes")


def test_another_recipe_or_model_has_published_nothing(made: MadeStore):
    made.add("vgg16", 0, made.correct(20))
    made.add("smallcnn", 0, made.correct(20), params=RECIPE)
    for row in build_board(made).rows:
        assert find_published(row, "test/accuracy") is None
        assert COLUMNS["reproduced"].read(row) == ""


def test_published_metrics_are_written_behind_ours(made: MadeStore):
    made.add("vgg16", 0, made.correct(170), params=RECIPE, metrics={"test/f1_macro": 0.5})
    (row,) = build_board(made).rows
    assert add_published(COLUMNS["f1"]).read(row) == "0.5000 (0.573)"
    assert add_published(COLUMNS["model"]).read(row) == "vgg16"


def test_what_is_published_of_validation_images_is_beside_the_best_epoch(made: MadeStore):
    metrics = {"best/val_loss": 1.5, "best/val_accuracy": 0.6, "best/val_top5": 0.8}
    made.add("vgg16", 0, made.correct(170), params=RECIPE, metrics=metrics)
    (row,) = build_board(made).rows
    shown = [add_published(COLUMNS[name]).read(row) for name in ("val_loss", "val_top1", "val_top5")]
    assert shown == ["1.5000 (1.72)", "0.6000 (0.57)", "0.8000 (0.81)"]


def test_what_is_published_of_accuracy_is_not_compared_with_another_metric(made: MadeStore):
    made.add("vgg16", 0, made.correct(170), params=RECIPE)
    (row,) = build_board(made, metric="log_loss").rows
    assert is_reproduced(row) is None
    assert (COLUMNS["published"].read(row), COLUMNS["reproduced"].read(row)) == ("", "")


def test_other_settings_than_those_of_the_recipe_are_a_hint(made: MadeStore):
    own = resolve("tiny-imagenet-tlft", {"model": "vgg16"}).flat_text()
    of_recipe = {key: own[key] for key in ("head.dropout", "transfer.epochs", "batch_size")}
    made.add("vgg16", 0, made.correct(20), params={"recipe": "tiny-imagenet-tlft", **of_recipe})
    assert build_board(made).hints == ()
    shorter = of_recipe | {"transfer.epochs": "1", "data.root": "/elsewhere"}
    made.add("vgg16", 1, made.correct(20), params={"recipe": "tiny-imagenet-tlft", **shorter})
    epochs = of_recipe["transfer.epochs"]
    assert any(
        f"was trained with other settings: here transfer.epochs 1 and not {epochs}." in hint
        for hint in build_board(made).hints
    )
