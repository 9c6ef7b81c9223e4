"""What boards say of models that a halving left out."""

from __future__ import annotations

import pytest
from made_boards import MadeStore, build_board

from tinybench.commands.leaderboard import rank_models
from tinybench.core.csv_text import to_csv
from tinybench.leaderboard.board_columns import DEFAULT_COLUMNS
from tinybench.leaderboard.board_notes import list_notes
from tinybench.leaderboard.halved_models import list_halved_models
from tinybench.leaderboard.table import write_board
from tinybench.tracking import run_kinds, tags
from tinybench.tracking.tracker import Tracker

LEFT = {"dataset": "made", "recipe": "r", "model": "vgg16", "rung": "probe", "accuracy": 0.7, "last_kept": "resnet50"}
LEFT |= {"behind": 0.1, "low": 0.06, "high": 0.14}


@pytest.fixture
def made(tmp_path) -> MadeStore:
    store = MadeStore(f"sqlite:///{tmp_path}/made.db")
    store.add("resnet50", 0, store.correct(10))
    return store


def add_halving(made: MadeStore, *models: dict[str, object], benchmark: str = "g") -> None:
    made.clock += 1000
    values = {tags.KIND: run_kinds.BENCHMARK, tags.BENCHMARK: benchmark, tags.LEFT_OUT: str(len(models))}
    run = made.client.create_run(made.experiment, made.clock, values)
    table = to_csv([*models[0]], [[*map(str, model.values())] for model in models])
    made.client.log_text(run.info.run_id, table, "tables/left_out.csv")


def test_a_board_says_how_sure_it_was(made):
    add_halving(made, LEFT, LEFT | {"model": "xception", "low": -0.01}, LEFT | {"dataset": "other"})
    board = build_board(made)
    assert [model.model for model in board.halved] == ["vgg16", "xception"]
    sure, unsure = list_notes(board)[-2:]
    assert sure == (
        "vgg16 was left out on made after the probe: validation accuracy 0.700, 0.100 below resnet50, the last one "
        "kept [0.060, 0.140]."
    )
    assert unsure.endswith("; it may be as good.")


def test_the_newest_run_of_a_benchmark_counts(made):
    add_halving(made, LEFT)
    add_halving(made, LEFT | {"model": "xception"})
    add_halving(made, LEFT | {"model": "densenet121"}, benchmark="another")
    assert [model.model for model in list_halved_models(Tracker.at(made.uri))] == ["densenet121", "xception"]


def test_many_models_are_all_told(made):
    """A tag would not hold them."""
    add_halving(made, *(LEFT | {"model": f"model{number}"} for number in range(200)))
    assert len(build_board(made).halved) == 200


@pytest.mark.parametrize("model", [{"model": "vgg16"}, LEFT | {"low": "much"}])
def test_a_table_that_somebody_has_changed_names_nothing(made, model):
    add_halving(made, model)
    assert build_board(made).halved == ()


def test_filters_hold_for_models_that_were_left_out(made):
    add_halving(made, LEFT, LEFT | {"model": "xception"})
    add_halving(made, LEFT | {"model": "densenet121"}, benchmark="another")
    made.add("vgg16", 0, made.correct(20), run_tags={tags.BENCHMARK: "g"})

    def left_out(**filters):
        return [model.model for board in rank_models(uri=made.uri, **filters) for model in board.halved]

    assert left_out() == ["densenet121", "vgg16", "xception"]
    assert left_out(models="vgg16") == ["vgg16"]
    assert left_out(benchmark="g") == ["vgg16", "xception"]


def test_a_board_of_one_benchmark_has_its_cells_alone(made):
    made.add("vgg16", 0, made.correct(20), run_tags={tags.BENCHMARK: "g"})
    (board,) = rank_models(uri=made.uri, benchmark="g")
    assert [row.name for row in board.rows] == ["vgg16"]


@pytest.mark.parametrize("style", ["md", "html", "latex"])
def test_documents_have_the_conclusions(made, style):
    made.add("vgg16", 0, made.correct(200))
    text = write_board(build_board(made), DEFAULT_COLUMNS, style)
    assert "May be the best: resnet50." in text
    assert "resnet50 minus vgg16: +0.4750 " in text
    assert ", better." in text
