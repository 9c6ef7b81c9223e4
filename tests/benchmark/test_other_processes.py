"""Cells that another process runs, and a store that does not answer."""

from __future__ import annotations

from small_grid import LONG, cell_runs, epochs_logged, options, specs, start, uri, wait_until

from tinybench.benchmark import cell_runner, grid_driver
from tinybench.benchmark.benchmark_callbacks import BenchmarkCallbacks
from tinybench.benchmark.cell_states import CellState
from tinybench.config.sections import TrackConfig


class Messages(BenchmarkCallbacks):
    def __init__(self) -> None:
        self.begun: list[int] = []
        self.messages: list[str] = []

    def on_message(self, text):
        self.messages.append(text)

    def on_cell_begin(self, cell, *, resumed):
        self.begun.append(cell.number)


def test_a_cell_of_another_machine_is_waited_for(own_folders, monkeypatch):
    """A driver whose notes are elsewhere, as on another machine, sees by the store that the cell is trained already."""
    long = LONG | {"transfer.epochs": 250}
    with start(*options(**long), folder=own_folders) as first:
        wait_until(lambda: epochs_logged() or first.poll() is not None)
        assert first.poll() is None, first.stdout.read()
        monkeypatch.setenv("TINYBENCH_STATE", str(own_folders / "another-state"))
        monkeypatch.setattr(cell_runner, "_LOOK_SECONDS", 1.0)
        seen = Messages()
        result = grid_driver.run_cells("g", specs("smallcnn", **long), TrackConfig(uri=uri()), seen)
        out = first.communicate(timeout=120)[0]
    assert first.returncode == 0, out
    assert "Waiting for what another process runs: cell 1." in seen.messages
    assert seen.begun == []
    assert result.statuses[1].state == CellState.FINISHED
    assert [run.info.status for run in cell_runs()[1]] == ["FINISHED"]


def test_cells_that_the_store_has_not_got_yet_are_not_run_again(own_folders):
    track = TrackConfig(uri="http://127.0.0.1:9")
    seen = Messages()
    result = grid_driver.run_cells("g", specs("smallcnn"), track, seen)
    assert seen.begun == [1]
    assert result.statuses[1].state == CellState.FINISHED
    again = Messages()
    result = grid_driver.run_cells("g", specs("smallcnn"), track, again)
    assert again.begun == []
    assert result.statuses[1].state == CellState.FINISHED
    assert result.statuses[1].run_id
