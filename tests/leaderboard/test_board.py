"""A board has the right rows, says what it left out, and gives a hint for each planted defect."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from made_boards import MadeStore, build_board

from tinybench.core.errors import TrackingError
from tinybench.leaderboard.board import build_boards
from tinybench.tracking import tags, test_set_uses
from tinybench.tracking.tracker import Tracker


def add_models(made: MadeStore, **wrong: int) -> None:
    """Add three seeds of each model, which err on about so many images."""
    for model, count in wrong.items():
        for seed in range(3):
            made.add(model, seed, made.correct(count + seed - 1))


def test_models_are_ranked_by_the_mean_over_their_seeds(made: MadeStore):
    add_models(made, good=20, bad=160, best=17)
    board = build_board(made)
    assert [row.name for row in board.rows] == ["best", "good", "bad"]
    assert [row.value for row in board.rows] == pytest.approx([0.9575, 0.95, 0.6])
    assert [row.deviation for row in board.rows] == pytest.approx([0.0025] * 3, rel=1e-3)
    assert [row.seeds for row in board.rows] == [(0, 1, 2)] * 3
    assert [row.ranks for row in board.rows] == [(1, 2), (1, 2), (3, 3)]
    assert [row.may_be_best for row in board.rows] == [True, True, False]
    assert {(pair.first, pair.second): pair.conclusion for pair in board.pairs} == {
        ("best", "good"): "unresolved",
        ("best", "bad"): "better",
        ("good", "bad"): "better",
    }
    assert (board.images, board.compares_models, board.left_out, board.hints) == (400, True, {}, ())


def test_a_clean_board_gives_no_hint(made: MadeStore):
    add_models(made, a=20, b=40)
    board = build_board(made)
    assert (board.hints, board.left_out) == ((), {})


def test_one_run_has_no_pair(made: MadeStore):
    made.add("alone", 0, made.correct(20))
    board = build_board(made)
    assert (len(board.rows), board.pairs, board.compares_models) == (1, (), False)
    assert board.rows[0].ranks == (1, 1)
    assert 0.9 < board.rows[0].low < 0.95 < board.rows[0].high < 1


def test_a_model_without_an_error_has_the_exact_interval(made: MadeStore):
    from scipy.stats import binomtest

    made.add("perfect", 0, made.correct(0))
    made.add("hopeless", 0, made.correct(400))
    perfect, hopeless = build_board(made).rows
    expected = binomtest(400, 400).proportion_ci(method="exact")
    assert (perfect.low, perfect.high) == pytest.approx((expected.low, 1))
    assert (hopeless.low, hopeless.high) == pytest.approx((0, 1 - expected.low))


def test_runs_without_predictions_alone_say_so(made: MadeStore):
    from rich.console import Console

    from tinybench.display.board_table import print_board
    from tinybench.leaderboard.board_columns import DEFAULT_COLUMNS

    made.add("a", 0, None, metrics={"test/accuracy": 0.9})
    terminal = Console(record=True, width=120)
    print_board(build_board(made), DEFAULT_COLUMNS, terminal)
    text = terminal.export_text()
    assert "made: no run can be ranked." in text
    assert "Not ranked: 1 run without predictions." in text
    assert "Intervals" not in text


def test_predictions_that_were_away_are_read_when_they_are_back(made: MadeStore):
    from pathlib import Path

    _, phase = made.add("a", 0, made.correct(20))
    folder = Path(made.client.get_run(phase).info.artifact_uri)
    folder.rename(folder.with_name("away"))
    assert build_board(made).left_out == {"runs without predictions": 1}
    folder.with_name("away").rename(folder)
    assert [row.name for row in build_board(made).rows] == ["a"]


def test_phases_of_other_programs_are_no_entries(made: MadeStore):
    made.add("net", 0, made.correct(20))
    for strange in ({tags.KIND: "phase"}, {tags.KIND: "phase", tags.PHASE: "warm-up", tags.PARENT_RUN: "x"}):
        made.client.set_terminated(made.client.create_run(made.experiment, tags=strange).info.run_id)
    assert [row.name for row in build_board(made).rows] == ["net"]


def test_settings_of_later_phases_tell_no_models_apart(made: MadeStore):
    both = {"phases": "transfer, finetune", "finetune.lr": "1e-5"}
    made.add("net", 0, made.correct(20), params=both)
    made.add("net", 1, made.correct(22))
    (row,) = build_board(made, keep=lambda entry: entry.phase == "transfer").rows
    assert (row.name, row.seeds) == ("net", (0, 1))


def test_a_store_without_finished_runs_has_no_board(made: MadeStore):
    made.client.create_run(made.experiment)
    assert build_boards(Tracker.at(made.uri)) == []


def test_settings_tell_models_apart(made: MadeStore):
    made.add("net", 0, made.correct(20), params={"head.dropout": "0.2"})
    made.add("net", 0, made.correct(30), params={"head.dropout": "0.5"})
    assert [row.name for row in build_board(made).rows] == ["net [head.dropout 0.2]", "net [head.dropout 0.5]"]


def test_phases_tell_rows_apart(made: MadeStore):
    made.add("net", 0, made.correct(30), phase="transfer")
    made.add("net", 0, made.correct(20), phase="finetune")
    board = build_board(made, keep=lambda entry: True)
    assert [row.name for row in board.rows] == ["net finetune", "net transfer"]


def test_settings_that_mlflow_run_left_to_the_recipe_count(made: MadeStore):
    made.add("net", 0, made.correct(20), params={"batch_size": "recipe", "recipe.batch_size": "32"})
    made.add("net", 1, made.correct(22))
    (row,) = build_board(made).rows
    assert row.seeds == (0, 1)


def plant_study(made: MadeStore) -> None:
    study = made.client.create_run(made.experiment, made.clock, {tags.KIND: "study", tags.STUDY: "s"}).info.run_id
    made.client.log_param(study, "sweep.objective", "test/accuracy")
    made.client.set_terminated(study)
    made.add("a", 3, made.correct(11), parent=study)


def plant_uses(made: MadeStore) -> None:
    for _ in range(2):
        test_set_uses.add(Tracker.at(made.uri), made.experiment, "t")


DEFECTS: dict[str, tuple[Callable[[MadeStore], object], str]] = {
    "selection by test images": (plant_study, r"^a was chosen by a study on the test images"),
    "another batch size": (
        lambda made: made.add("c", 0, made.correct(30), params={"batch_size": "8"}),
        r"^Another batch size than 32: c \(8\)\.",
    ),
    "latency of another machine": (
        lambda made: (
            made.add("c", 0, made.correct(30), run_tags={"efficiency.machine.cpu": "one"}),
            made.add("d", 0, made.correct(30), run_tags={"efficiency.machine.cpu": "other"}),
        ),
        r"^Latency and memory were measured on different machines: those of . on another than most",
    ),
    "latency of another GPU": (
        lambda made: (
            made.add("c", 0, made.correct(30), run_tags={"efficiency.machine.gpu": "one"}),
            made.add("d", 0, made.correct(30), run_tags={"efficiency.machine.gpu": "other"}),
        ),
        r"^Latency and memory on the GPU were measured on different machines: those of . on another than most",
    ),
    "another machine for one seed of a model": (
        lambda made: [
            made.add("c", seed, made.correct(30 + seed), run_tags={"efficiency.machine.cpu": machine})
            for seed, machine in enumerate(("one", "one", "other"))
        ],
        r"^Latency and memory were measured on different machines: those of c on another than most",
    ),
    "another device for one seed of a model": (
        lambda made: [
            made.add("c", seed, made.correct(30 + seed), run_tags={tags.DEVICE: device})
            for seed, device in enumerate(("gpu:0", "gpu:1 (one of 2; a run uses one)", "cpu"))
        ],
        r"^Another device than gpu: c \(cpu\)\.",
    ),
    "another engine for one seed of a model": (
        lambda made: [
            made.add("c", seed, made.correct(30 + seed), run_tags={tags.ENGINE: engine})
            for seed, engine in enumerate(("openvino", "keras", "openvino"))
        ],
        r"^Another engine than openvino: c \(keras\)\.",
    ),
    "features of another precision": (
        lambda made: [
            made.add("c", seed, made.correct(30 + seed), run_tags={tags.ENGINE_PRECISION: precision})
            for seed, precision in enumerate(("float32", "bfloat16", "float32"))
        ],
        r"^Another precision of the features than float32: c \(bfloat16\)\.",
    ),
    "a smaller batch for some seeds of a model": (
        lambda made: made.add("a", 3, made.correct(21), params={"batch_size": "16"}),
        r"^Another batch size than 32: a \[batch_size 16\] \(16\)\.",
    ),
    "a machine that was shared": (
        lambda made: made.add("c", 0, made.correct(30), run_tags={tags.CELL_WORKERS: "4"}),
        r"^Another number of runs at a time than 1: c \(4\)\. Latencies and training times cannot be compared\.",
    ),
    "another precision": (
        lambda made: (
            made.add("a", 3, made.correct(21), run_tags={"precision": "bfloat16"}),
            made.add("c", 0, made.correct(21), run_tags={"precision": "float32"}),
            made.add("d", 0, made.correct(23), run_tags={"precision": "float32"}),
        ),
        r"^Another precision than float32: a \(bfloat16\)\.",
    ),
    "an imputed metric": (
        lambda made: made.add("c", 0, None, metrics={"test/accuracy": 0.99}),
        r"^Not ranked: 1 run without predictions",
    ),
    "a metric that is not that of the predictions": (
        lambda made: made.add("c", 0, made.correct(100), metrics={"test/accuracy": 0.99}),
        r"^Not ranked: 1 run whose test/accuracy is not that of their predictions",
    ),
    "duplicates across splits": (
        lambda made: made.add("a", 3, made.correct(21), run_tags={"data.warnings": "5 images are in train and test."}),
        r"5 images are in train and test\.",
    ),
    "hostile names of classes": (
        lambda made: made.add("a", 3, made.correct(21), run_tags={"data.warnings": "\x1b[2J<b>cat</b>\nis a class."}),
        r"^\?\[2J<b>cat</b> is a class\.$",
    ),
    "one seed sold as many": (
        lambda made: [made.add("c", seed, made.correct(30), noise=7) for seed in range(3)],
        r"^Not ranked: 2 runs that are copies of another seed",
    ),
    "a seed counted twice": (
        lambda made: made.add("a", 2, made.correct(19)),
        r"^Not ranked: 1 earlier run of the same model and seed",
    ),
    "one seed only": (lambda made: made.add("c", 0, made.correct(30)), r"^One seed only: c\."),
    "test images used for decisions": (plant_uses, r"^The test images were used 2 times to decide"),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_gives_its_hint_or_is_not_ranked(made: MadeStore, name: str):
    from tinybench.leaderboard.board_notes import list_notes

    add_models(made, a=20, b=40)
    plant, expected = DEFECTS[name]
    plant(made)
    notes = list_notes(build_board(made))
    assert any(re.search(expected, note) for note in notes), notes


def test_seeds_on_several_gpus_of_a_kind_give_no_hint(made: MadeStore):
    for seed, device in enumerate(("gpu:0", "gpu:1 (one of 2; a run uses one)")):
        made.add("a", seed, made.correct(20 + seed), run_tags={tags.DEVICE: device, tags.CELL_WORKERS: "1"})
        made.add("b", seed, made.correct(40 + seed), run_tags={tags.DEVICE: device})
    assert build_board(made).hints == ()


def test_phases_of_one_run_are_named_by_their_phase_alone(made: MadeStore):
    both = {"phases": "transfer, finetune", "finetune.lr": "1e-5", "transfer.lr": "1e-3"}
    made.add("net", 0, made.correct(30), phase="transfer", params=both)
    made.add("net", 0, made.correct(20), phase="finetune", params=both)
    made.add("net", 0, made.correct(25), phase="finetune", params=both | {"finetune.lr": "1e-4"})
    board = build_board(made, keep=lambda entry: True)
    assert [row.name for row in board.rows] == [
        "net finetune [finetune.lr 1e-5]",
        "net finetune [finetune.lr 1e-4]",
        "net transfer",
    ]


def test_a_subset_of_the_test_images_is_a_board_of_its_own(made: MadeStore):
    add_models(made, a=20, b=40)
    made.add("c", 0, made.correct(10), test_hash="subset")
    boards = build_boards(Tracker.at(made.uri))
    assert [[row.name for row in board.rows] for board in boards] == [["a", "b"], ["c"]]
    assert boards[0].hints == ("1 run on these data used other test images.",)
    assert boards[1].hints == ("6 runs on these data used other test images.",)


def test_failed_cells_are_shown_as_failed_until_they_finish(made: MadeStore):
    from tinybench.leaderboard.board_notes import list_notes

    add_models(made, a=20, b=40)
    cell = {tags.BENCHMARK: "g", tags.CELL: "7", tags.CELL_KEY: "k", tags.ERROR: "The disk is full."}
    for run_id in made.add("c", 1, None, run_tags=cell):
        made.client.set_terminated(run_id, "FAILED")
    board = build_board(made)
    assert [row.name for row in board.rows] == ["a", "b"]
    assert list_notes(board)[0] == "Failed: cell 7 of g, c, seed 1: The disk is full."
    made.add("c", 1, made.correct(30), run_tags=cell)
    assert build_board(made).failed == ()


def test_runs_that_cannot_be_read_are_told_with_the_way_out(made: MadeStore):
    from tinybench.commands.leaderboard import rank_models

    with pytest.raises(TrackingError, match="has no finished run that fits: train one by tinybench train"):
        rank_models(uri=made.uri)


def test_the_metric_may_be_the_first_five_classes(made: MadeStore):
    add_models(made, a=20, b=40)
    board = build_board(made, metric="top5")
    assert board.metric == "top5"
    assert all(row.value > 0.9 for row in board.rows)
    assert np.isfinite([row.low for row in board.rows]).all()
