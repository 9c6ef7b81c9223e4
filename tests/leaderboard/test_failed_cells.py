"""Cells that failed are shown with their reasons, also where every cell of a data set failed."""

from __future__ import annotations

import csv
import io
from contextlib import closing

import pytest
import small_grid
from made_boards import MadeStore, build_board

from tinybench.benchmark.cell_states import CellState, CellStatus
from tinybench.benchmark.cell_table import log_cells
from tinybench.benchmark.grid_plan import PlannedCell
from tinybench.commands.leaderboard import rank_models
from tinybench.core.errors import TrackingError
from tinybench.display.board_table import print_boards
from tinybench.leaderboard.board import build_boards
from tinybench.leaderboard.board_columns import DEFAULT_COLUMNS
from tinybench.leaderboard.board_notes import list_notes
from tinybench.leaderboard.table import FORMATS
from tinybench.tracking import tags
from tinybench.tracking.tracker import Tracker

REASON = "vgg10 cannot be built at image_size=16"


def add_benchmark(made: MadeStore, status: CellStatus, ended: str = "FAILED") -> None:
    """Add a run of the benchmark `g`, on digits, with the table of its only cell."""
    made.clock += 1000
    run = made.client.create_run(made.experiment, made.clock, {tags.KIND: "benchmark", tags.BENCHMARK: "g"})
    (config,) = small_grid.cells("vgg10")
    with closing(Tracker.at(made.uri)) as tracker:
        log_cells(tracker.amend(run), [PlannedCell(1, "k", config, {})], {1: status})
        tracker.require_flush()
    made.client.set_terminated(run.info.run_id, ended)


FAILED = CellStatus(CellState.FAILED, "", REASON)


def test_a_cell_that_failed_before_it_had_a_run_is_shown(made: MadeStore):
    made.add("a", 0, made.correct(20))
    add_benchmark(made, FAILED)
    board, without = build_boards(Tracker.at(made.uri))
    assert (board.dataset, board.failed) == ("made", ())
    assert (without.dataset, without.rows, without.images) == ("digits", (), 0)
    assert list_notes(without) == [f"Failed: cell 1 of g, vgg10, seed 0: {REASON}"]


def test_a_cell_that_has_finished_since_is_not_shown_as_failed(made: MadeStore):
    add_benchmark(made, FAILED)
    assert len(build_boards(Tracker.at(made.uri))) == 1
    add_benchmark(made, CellStatus(CellState.FINISHED, "0" * 32), "FINISHED")
    assert build_boards(Tracker.at(made.uri)) == []


def test_a_cell_that_failed_in_its_run_is_named_once(made: MadeStore):
    cell = {tags.BENCHMARK: "g", tags.CELL: "1", tags.CELL_KEY: "k", tags.ERROR: "The disk is full."}
    for run_id in made.add("c", 1, None, run_tags=cell):
        made.client.set_terminated(run_id, "FAILED")
    add_benchmark(made, CellStatus(CellState.FAILED, "0" * 32, "The disk is full."))
    (board,) = build_boards(Tracker.at(made.uri))
    assert [cell.describe() for cell in board.failed] == ["Failed: cell 1 of g, c, seed 1: The disk is full."]


def test_a_benchmark_without_a_table_fails_nothing(made: MadeStore):
    made.add("a", 0, made.correct(20))
    run = made.client.create_run(made.experiment, made.clock, {tags.KIND: "benchmark", tags.BENCHMARK: "g"})
    made.client.set_terminated(run.info.run_id, "FAILED")
    assert build_board(made).failed == ()


@pytest.mark.parametrize("style", FORMATS)
def test_a_board_without_rows_has_its_failed_cells_in_every_format(made: MadeStore, style: str, capsys):
    add_benchmark(made, FAILED)
    print_boards(rank_models("digits", uri=made.uri), DEFAULT_COLUMNS, style)
    text = " ".join(capsys.readouterr().out.replace("\\", "").split())
    assert REASON in text
    assert "vgg10" in text
    if style not in ("csv", "json"):
        assert "digits: no run can be ranked." in text


def test_csv_has_failed_cells_as_rows_of_their_own(made: MadeStore, capsys):
    made.add("a", 0, made.correct(20))
    add_benchmark(made, FAILED)
    print_boards(rank_models(uri=made.uri), ("model", "value"), "csv")
    ranked, failed = (list(csv.reader(io.StringIO(part))) for part in capsys.readouterr().out.split("\n\n"))
    assert ranked == [["data set", "model", "top-1"], ["made", "a", "0.9500"]]
    assert failed == [["data set", "model", "failed"], ["digits", "vgg10", f"seed 0: {REASON}"]]


def test_filters_hold_for_failed_cells(made: MadeStore):
    made.add("a", 0, made.correct(20))
    add_benchmark(made, FAILED)
    assert [board.dataset for board in rank_models(models="vgg10", uri=made.uri)] == ["digits"]
    assert [board.dataset for board in rank_models(models="a", uri=made.uri)] == ["made"]
    assert [board.dataset for board in rank_models(recipe="quickstart", uri=made.uri)] == ["digits"]
    with pytest.raises(TrackingError, match="has no finished run that fits"):
        rank_models("made", models="vgg10", uri=made.uri)
