from __future__ import annotations

import json

import pytest
from small_grid import cells, specs

from tinybench.benchmark.grid import CellSpec
from tinybench.benchmark.grid_plan import GridPlan, benchmark_folder
from tinybench.config import run_config as configuration
from tinybench.core.errors import TrackingError

DATA = {"data": "0" * 64}


def set_cells(plan, configs, known=None):
    change = plan.set_cells(configs, [DATA] * len(configs), known or {})
    plan.save() if plan.folder.exists() else (plan.folder.mkdir(parents=True), plan.save())
    return change


def numbers(plan):
    return {(cell.config.model, cell.config.seed): cell.number for cell in plan.active_cells}


def test_numbers_are_unique_and_stay_whatever_the_specification_becomes():
    plan = GridPlan("g")
    assert set_cells(plan, specs("smallcnn", "simple5")).is_new
    assert numbers(plan) == {("smallcnn", 0): 1, ("simple5", 0): 2}

    plan = GridPlan("g")
    change = set_cells(plan, specs("vgg10", "simple5", seeds=(0, 1)))
    assert numbers(plan) == {("vgg10", 0): 3, ("simple5", 0): 2, ("vgg10", 1): 4, ("simple5", 1): 5}
    assert (change.added, change.removed, change.settings) == ((3, 4, 5), (1,), ())

    plan = GridPlan("g")
    assert set_cells(plan, specs("smallcnn", "simple5")).removed == (3, 4, 5)
    assert numbers(plan) == {("smallcnn", 0): 1, ("simple5", 0): 2}, "they come back with the cells"
    assert set_cells(plan, specs("deep")).added == (6,), "3, 4 and 5 stay those of cells that are gone"


def test_a_changed_setting_is_told_with_both_values():
    plan = GridPlan("g")
    set_cells(plan, specs("smallcnn"))
    change = set_cells(plan, specs("smallcnn", **{"transfer.epochs": 2, "track.costs": "full"}))
    assert change.settings == ("transfer.epochs: 1 → 2",)
    assert (change.added, change.removed) == ((2,), (1,))


def test_other_data_are_told():
    plan = GridPlan("g")
    set_cells(plan, specs("smallcnn"))
    assert plan.set_cells(specs("smallcnn"), [{"data": "1" * 64}], {}).settings == ("the data: other content",)


def test_where_the_plan_was_lost_the_runs_have_the_numbers():
    plan = GridPlan("g")
    set_cells(plan, specs("smallcnn", "simple5"))
    known = {cell.key: cell.number for cell in plan.active_cells if cell.number == 2}
    (plan.folder / "plan.json").unlink()
    plan = GridPlan("g")
    set_cells(plan, specs("smallcnn", "simple5"), known)
    assert numbers(plan) == {("smallcnn", 0): 3, ("simple5", 0): 2}


def test_cells_of_an_earlier_version_without_a_new_setting_stay_the_same():
    plan = GridPlan("g")
    set_cells(plan, specs("smallcnn"))
    file = plan.folder / "plan.json"
    values = json.loads(file.read_text())
    del values["cells"][0]["settings"]["augment.mixup"]  # which that version did not have
    values["cells"][0]["key"] = "of another version"
    file.write_text(json.dumps(values))
    change = GridPlan("g").set_cells(specs("smallcnn"), [DATA], {})
    assert (change.added, change.removed, change.is_new) == ((), (), False)


def test_no_password_is_in_the_plan():
    plan = GridPlan("g")
    config = configuration.replace(cells("smallcnn")[0], {"backbone.mirror": "https://ada:secret@mirror.example.org"})
    set_cells(plan, [CellSpec(config)])
    assert "secret" not in (plan.folder / "plan.json").read_text()


def test_a_damaged_plan_is_told_with_what_to_do():
    benchmark_folder("g").mkdir(parents=True)
    (benchmark_folder("g") / "plan.json").write_text('{"cells": [')
    with pytest.raises(TrackingError, match=r"Cannot read the plan of benchmark g, .*Move it away: finished cells are"):
        GridPlan("g")


def test_one_process_at_a_time_has_the_plan():
    with GridPlan("g").hold():
        with GridPlan("h").hold():
            pass
        with pytest.raises(TrackingError, match="Another process runs benchmark g: wait for it, or stop it first"):
            GridPlan("g").hold().__enter__()
    with GridPlan("g").hold():
        pass


@pytest.mark.parametrize(
    ("key", "value"),
    [("stores", []), ("stores", {"s": {"finished": []}}), ("cells", [{"number": "x"}]), ("halving", ["x"])],
)
def test_a_plan_that_somebody_has_changed_is_told_in_one_line(key, value):
    plan = GridPlan("g")
    set_cells(plan, specs("smallcnn"))
    plan.save()
    path = plan.folder / "plan.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(TrackingError, match=r"^Cannot read the plan of benchmark g, .*Move it away"):
        GridPlan("g")


def test_a_state_folder_that_is_a_file_is_told_as_that(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TINYBENCH_STATE", str(tmp_path / "file"))
    with pytest.raises(
        TrackingError, match=r"^Cannot write .*file/benchmarks/g: Not a directory\. Set TINYBENCH_STATE"
    ):
        GridPlan("g")


def test_the_number_of_workers_is_that_of_the_last_time():
    plan = GridPlan("g")
    assert plan.workers is None
    plan.workers = 3
    plan.save()
    assert GridPlan("g").workers == 3


def test_cells_of_the_same_data_and_model_share_their_hashes():
    plan = GridPlan("g")
    contents = [{"data": "1" * 64}, {"data": "2" * 64}]
    plan.set_cells([*specs("smallcnn"), *specs("smallcnn", **{"data.per_class": 7})], contents, {})
    other = configuration.replace(cells("smallcnn")[0], {"seed": 5, "transfer.epochs": 9})
    assert plan.find_contents(other) == contents[0]
    assert plan.find_contents(configuration.replace(other, {"data.per_class": 7})) == contents[1]
    with pytest.raises(KeyError):
        plan.find_contents(configuration.replace(other, {"image_size": 64}))
