"""Cells that another process runs, and a store that does not answer."""

from __future__ import annotations

import pytest
from small_grid import LONG, Recorder, cell_runs, epochs_logged, options, specs, start, uri, wait_until

from tinybench.benchmark import cell_runner, grid_driver
from tinybench.benchmark.cell_processes import CellProcesses
from tinybench.benchmark.cell_runner import CellRunner
from tinybench.benchmark.cell_states import CellState, CellStatus
from tinybench.benchmark.grid_plan import GridPlan
from tinybench.config.sections import TrackConfig
from tinybench.core.errors import EngineError
from tinybench.tracking.tracker import Tracker


def test_a_cell_of_another_machine_is_waited_for(own_folders, monkeypatch):
    """A driver whose notes are elsewhere, as on another machine, sees by the store that the cell is trained already."""
    long = LONG | {"transfer.epochs": 250}
    with start(*options(**long), folder=own_folders) as first:
        wait_until(lambda: epochs_logged() or first.poll() is not None)
        assert first.poll() is None, first.stdout.read()
        monkeypatch.setenv("TINYBENCH_STATE", str(own_folders / "another-state"))
        monkeypatch.setattr(cell_runner, "_LOOK_SECONDS", 1.0)
        seen = Recorder()
        result = grid_driver.run_cells("g", specs("smallcnn", **long), TrackConfig(uri=uri()), seen)
        out = first.communicate(timeout=120)[0]
    assert first.returncode == 0, out
    assert "Waiting for what another process runs: cell 1." in seen.messages
    assert seen.begun == []
    assert result.statuses[1].state == CellState.FINISHED
    assert [run.info.status for run in cell_runs()[1]] == ["FINISHED"]


def test_cells_that_the_store_has_not_got_yet_are_not_run_again(own_folders):
    track = TrackConfig(uri="http://127.0.0.1:9")
    seen = Recorder()
    result = grid_driver.run_cells("g", specs("smallcnn"), track, seen)
    assert seen.begun == [(1, False)]
    assert result.statuses[1].state == CellState.FINISHED
    again = Recorder()
    result = grid_driver.run_cells("g", specs("smallcnn"), track, again)
    assert again.begun == []
    assert result.statuses[1].state == CellState.FINISHED
    assert result.statuses[1].run_id


@pytest.fixture
def away(own_folders) -> CellRunner:
    """The runner of a cell whose store does not answer."""
    plan = GridPlan("g")
    plan.set_cells(specs("smallcnn"), [{"data": "0" * 64}], {})
    tracker = Tracker(TrackConfig(uri="http://127.0.0.1:9"), may_be_away=True)
    runner = CellRunner(plan, tracker, Recorder(), 1)
    assert runner.is_away
    return runner


def test_what_another_process_runs_is_not_begun_while_the_store_is_away(away):
    away.statuses = {1: CellStatus(CellState.RUNNING, "a run")}
    assert away._look_elsewhere(CellProcesses(1, away.tracker.uri)) == []
    assert away.statuses[1].state == CellState.RUNNING


def test_a_job_of_another_engine_that_may_still_wait_is_not_run_a_second_time(away):
    away.statuses = {1: CellStatus(CellState.WAITING)}
    away.notes.jobs["1"] = "1234"
    engine = CellProcesses(1, away.tracker.uri)
    with pytest.raises(EngineError, match=r"^Cell 1 was submitted as job 1234, which may still wait: go on with"):
        away._adopt_jobs(engine)
    assert away.notes.jobs == {"1": "1234"}
    away.statuses = {1: CellStatus(CellState.KILLED, "a run")}  # it has run, and its run says how it ended
    away._adopt_jobs(engine)
    assert away.notes.jobs == {}


def test_the_job_of_a_cell_that_is_not_in_the_specification_is_remembered(away):
    away.notes.jobs["7"] = "1234"
    away._adopt_jobs(CellProcesses(1, away.tracker.uri))
    assert away.notes.jobs == {"7": "1234"}
