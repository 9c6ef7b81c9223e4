"""The contract of a benchmark that is resumed: each point of it, with real runs in a real store."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from mlflow.tracking import MlflowClient
from small_grid import LONG, Recorder, cell_runs, epochs_logged, options, specs, start, status_of_runs, uri, wait_until
from small_runs import all_runs, artifacts

from tinybench.benchmark import grid_driver
from tinybench.benchmark.cell_states import CellState
from tinybench.benchmark.grid_plan import GridPlan
from tinybench.config.sections import TrackConfig
from tinybench.core.errors import TinybenchError, TrackingError
from tinybench.tracking import run_kinds, tags


def run(configs, seen=None, name="g", **options):
    seen = seen or Recorder()
    return grid_driver.run_cells(name, configs, TrackConfig(uri=uri()), seen, **options), seen


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Iterator[Path]:
    """The folder of a benchmark of two cells that is finished."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("CACHE", "STATE"):
            patch.setenv(f"TINYBENCH_{name}", str(folder / name.lower()))
        result, seen = run(specs("smallcnn", "simple5"), workers=2)
        assert {number: state for number, (state, _) in seen.ended.items()} == {1: "finished", 2: "finished"}
        assert sorted(seen.begun) == [(1, False), (2, False)]
        assert all(status.metrics["test/accuracy"] >= 0 for status in result.statuses.values())
        yield folder


@pytest.fixture
def again(finished: Path, monkeypatch) -> Path:
    """The folder of that benchmark, as it was when it ended."""
    monkeypatch.chdir(finished)
    for name in ("CACHE", "STATE"):
        monkeypatch.setenv(f"TINYBENCH_{name}", str(finished / name.lower()))
    return finished


def test_each_cell_is_a_run_below_the_run_of_the_benchmark(again):
    runs = all_runs(uri())
    parent = next(run for run in runs if run.data.tags[tags.KIND] == run_kinds.BENCHMARK)
    found = cell_runs()
    assert [len(found[number]) for number in (1, 2)] == [1, 1]
    for number, model in ((1, "smallcnn"), (2, "simple5")):
        run_of_cell = found[number][0]
        assert run_of_cell.info.status == "FINISHED"
        assert run_of_cell.data.params["model"] == model
        assert run_of_cell.data.tags[tags.KIND] == run_kinds.TRAINING
        assert run_of_cell.data.tags[tags.PARENT_RUN] == parent.info.run_id
        assert run_of_cell.data.tags[tags.BENCHMARK] == "g"
        assert run_of_cell.data.tags[tags.CELL_WORKERS] == "2"
    assert parent.info.status == "FINISHED"
    assert artifacts(uri(), parent.info.run_id) == {"tables/cells.csv"}
    text = Path(MlflowClient(uri()).download_artifacts(parent.info.run_id, "tables/cells.csv")).read_text().splitlines()
    assert text[0] == "cell,dataset,recipe,phases,model,seed,state,run,test/accuracy,reason"
    assert text[2].startswith(f"2,digits,quickstart,transfer,simple5,0,finished,{found[2][0].info.run_id},0.")


def test_finished_cells_are_never_run_again(again):
    before = len(all_runs(uri()))
    _, seen = run(specs("smallcnn", "simple5"))
    assert seen.begun == []
    assert seen.overviews[0].count(CellState.FINISHED) == 2
    assert len(all_runs(uri())) == before


def test_also_not_after_the_plan_was_lost_or_what_changes_no_result(again):
    plan = GridPlan("g")
    text = (plan.folder / "plan.json").read_text()
    (plan.folder / "plan.json").unlink()
    before = len(all_runs(uri()))
    try:
        _, seen = run(specs("simple5", "smallcnn", **{"engine": "keras", "track.costs": "off", "cache.budget": "9GB"}))
        numbers = {cell.config.model: cell.number for cell in seen.overviews[0].cells}
    finally:
        (plan.folder / "plan.json").write_text(text)
    assert seen.begun == []
    assert numbers == {"smallcnn": 1, "simple5": 2}
    assert len(all_runs(uri())) == before, "the run of the benchmark is known by its tag"


def test_a_preview_counts_and_writes_nothing(again, monkeypatch):
    plan = (GridPlan("g").folder / "plan.json").read_bytes()
    configs = specs("smallcnn", "simple5", seeds=(0, 1))
    overview = grid_driver.preview("g", configs, TrackConfig(uri=uri()))
    assert (len(overview.cells), overview.count(CellState.FINISHED), overview.change.added) == (4, 2, (3, 4))
    assert [(group.finished, group.measured) for group in overview.groups] == [(1, True), (1, True)]
    assert overview.seconds == sum(group.cost.seconds for group in overview.groups)
    assert (GridPlan("g").folder / "plan.json").read_bytes() == plan

    monkeypatch.chdir("/")
    monkeypatch.setenv("TINYBENCH_STATE", str(again / "no-state"))
    overview = grid_driver.preview("g", configs, TrackConfig(uri=f"sqlite:///{again}/none.db"))
    assert overview.count(CellState.WAITING) == 4
    assert not (again / "none.db").exists()
    assert not (again / "no-state").exists()


def test_a_second_driver_is_told_of_the_first(again):
    with GridPlan("g").hold(), pytest.raises(TrackingError, match="Another process runs benchmark g"):
        run(specs("smallcnn"))


def test_there_must_be_a_benchmark_to_go_on_with():
    with pytest.raises(TrackingError, match=r"There is no benchmark 'none' on this machine to go on with: give its"):
        run(None, name="none")


def test_what_can_only_fail_is_told_before_anything_is_written(own_folders):
    configs = specs("smallcnn")
    with pytest.raises(TinybenchError, match="Unknown model 'nosuch'"):
        run([*configs, *specs("nosuch")])
    assert not (own_folders / "mlflow.db").exists()


def test_a_killed_driver_loses_nothing_and_its_cell_is_resumed_from_its_checkpoint(own_folders):
    """Kill -9 ends the driver; its cell ends itself as KILLED; the next driver resumes it in the same run."""
    driver = start(*options(**LONG), folder=own_folders)
    wait_until(lambda: epochs_logged() >= 3 or driver.poll() is not None)
    assert driver.poll() is None, driver.stdout.read()
    driver.kill()
    driver.communicate()
    wait_until(lambda: status_of_runs() == {"KILLED": 2, "RUNNING": 1})  # of cell and phase, and the benchmark's own
    wait_until(lambda: tags.ERROR in cell_runs()[1][0].data.tags)
    first = cell_runs()[1][0]
    assert first.data.tags[tags.ERROR] == "Terminated by SIGTERM."

    driver = start(*options(**LONG), folder=own_folders)
    lines = []
    for line in driver.stdout:
        lines.append(line.strip())
        if " is resumed: " in line:
            break
    epochs = epochs_logged()
    wait_until(lambda: epochs_logged() > epochs + 1 or driver.poll() is not None)
    driver.send_signal(signal.SIGINT)
    rest, _ = driver.communicate(timeout=120)
    assert "0 of 1 cells are finished." in lines
    assert "Under way in a process that is gone, and resumed from their checkpoints: cell 1." in lines
    assert "cell 1 is resumed: transfer of smallcnn on digits (quickstart, seed 0)" in lines
    assert rest.rstrip().endswith("Go on with: tinybench benchmark --resume g")
    assert driver.returncode == 130
    assert "RUNNING" not in status_of_runs()
    ends = [(run.info.run_id, run.info.status, run.data.tags[tags.ERROR]) for run in cell_runs()[1]]
    assert ends == [(first.info.run_id, "KILLED", "Terminated by SIGTERM.")]


@pytest.mark.slow
def test_a_cell_whose_process_was_killed_without_a_word_is_begun_again(own_folders):
    """Both processes are gone at once, before a checkpoint: the dead run is marked KILLED, and a new one is made."""
    driver = start(*options(), folder=own_folders)
    wait_until(lambda: has_cell_run() or driver.poll() is not None)
    assert driver.poll() is None, driver.stdout.read()
    children = psutil.Process(driver.pid).children(recursive=True)
    driver.kill()
    for child in children:
        child.kill()
    driver.communicate()
    result, seen = run(specs("smallcnn"))
    assert seen.ended[1] == ("finished", "")
    assert result.statuses[1].state == CellState.FINISHED
    assert [one.info.status for one in cell_runs()[1]][-1] == "FINISHED"
    assert "RUNNING" not in status_of_runs()


def has_cell_run() -> bool:
    """Whether the run of a cell is in the store; a client of MLflow would make the tables that the driver makes."""
    if not Path("mlflow.db").exists():
        return False
    try:
        with sqlite3.connect("mlflow.db") as database:
            return bool(database.execute("SELECT count(*) FROM tags WHERE key = ?", [tags.CELL]).fetchone()[0])
    except sqlite3.OperationalError:  # no table yet
        return False


def test_failed_cells_say_why_are_retried_on_request_and_alike_ones_are_not_tried(own_folders):
    # Five poolings need images of 32 pixels: every cell of vgg10 fails in the same way
    configs = specs("vgg10", seeds=(0, 1, 2, 3, 4))
    seen = Recorder()
    with pytest.raises(TrackingError, match=r"^3 of 5 cells failed, 2 were not tried\. The first: cell 1, vgg10 "):
        run(configs, seen)
    assert [number for number, _ in seen.begun] == [1, 2, 3]
    assert len({reason for _, reason in seen.ended.values()}) == 1
    assert "The other 2 cells of vgg10 are not tried: several failed for the same reason." in seen.messages
    parent = next(one for one in all_runs(uri()) if one.data.tags[tags.KIND] == run_kinds.BENCHMARK)
    assert parent.info.status == "FAILED"
    assert "3 of 5 cells failed" in parent.data.tags[tags.ERROR]

    seen = Recorder()
    with pytest.raises(TrackingError, match="3 of 5 cells failed"):
        run(None, seen)
    assert seen.begun == [], "failed cells are not retried unless that is asked for"
    assert seen.overviews[0].count(CellState.FAILED) == 3

    seen = Recorder()
    with pytest.raises(TrackingError, match="3 of 5 cells failed"):
        run(None, seen, retry_failed=True)
    assert [number for number, _ in seen.begun] == [1, 2, 3]
