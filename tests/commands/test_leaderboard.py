"""`tinybench.rank_models` returns boards to Python, and says in one line what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_boards import MadeStore
from stores import fresh

import tinybench
from tinybench.core.errors import ConfigError


@pytest.fixture
def made(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeStore:
    monkeypatch.setenv("TINYBENCH_CACHE", str(tmp_path / "cache"))
    made = MadeStore(fresh(tmp_path_factory))
    for seed in range(2):
        made.add("good", seed, made.correct(20 + seed), metrics={"test/f1_macro": 0.9 + seed / 10, "test/ece": 0.1})
    made.add("bad", 0, made.correct(120), metrics={"test/f1_macro": 0.5, "efficiency/parameters": 7.0})
    return made


def test_a_board_becomes_a_frame(made: MadeStore):
    (board,) = tinybench.rank_models("made", uri=made.uri)
    frame = board.to_frame()
    assert [*frame["model"]] == ["good", "bad"]
    assert [*frame["seeds"]] == [2, 1]
    assert [*frame["accuracy"]] == pytest.approx([0.94875, 0.7])
    assert [*frame["test/f1_macro"]] == pytest.approx([0.95, 0.5])
    assert [*frame["lowest_rank"]] == [1, 2]
    assert [*frame["may_be_best"]] == [True, False]
    assert frame["efficiency/parameters"].isna().tolist() == [True, False]
    assert (frame["low"] < frame["accuracy"]).all()
    assert board._repr_html_().startswith("<table><caption>made, 400 test images</caption>")


def test_boards_are_sorted_and_filtered(made: MadeStore):
    (board,) = tinybench.rank_models(metric="log_loss", sort="model", uri=made.uri)
    assert [(row.name, row.ranks) for row in board.rows] == [("bad", (2, 2)), ("good", (1, 1))]
    (board,) = tinybench.rank_models(models=["bad"], uri=made.uri)
    assert [row.name for row in board.rows] == ["bad"]
    assert board.to_frame()["highest_rank"].tolist() == [1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"metric": "f1_macro"},
            r"`metric`: expected one of accuracy, .*, log_loss, got 'f1_macro'",
        ),
        ({"phase": "tune"}, r"`phase`: expected one of last, scratch, transfer, finetune, all, got 'tune'"),
        ({"delta": 0}, r"`delta`: expected a number in \(0, 1\], got 0\."),
        ({"sort": "p51"}, r"`sort`: expected one of rank, .*, got 'p51'\. Did you mean"),
    ],
)
def test_a_wrong_value_is_told_before_the_store_is_read(values: dict[str, str], message: str):
    with pytest.raises(ConfigError, match=message):
        tinybench.rank_models(uri="sqlite:////nowhere/mlflow.db", **values)


def test_run_benchmark_is_that_of_the_command():
    from tinybench.commands.benchmark import run_benchmark

    assert tinybench.run_benchmark is run_benchmark
    assert {"run_benchmark", "rank_models"} <= {*tinybench.__all__}


def test_the_default_difference_is_that_of_boards():
    from tinybench.commands.leaderboard import DELTA
    from tinybench.leaderboard.board import MARGIN

    assert DELTA == MARGIN
