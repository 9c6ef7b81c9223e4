"""Which models go on to the next rung, how sure that is, and a halving with real runs."""

from __future__ import annotations

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from made_boards import MadeStore
from mlflow.tracking import MlflowClient
from small_grid import cell_runs, cells, options, start, uri, wait_until
from small_runs import all_runs, artifacts

from tinybench.benchmark import grid_driver
from tinybench.benchmark.cell_key import list_contents
from tinybench.benchmark.cell_states import CellState, CellStatus
from tinybench.benchmark.grid import CellSpec, Grid
from tinybench.benchmark.grid_overview import CellCost, make_groups
from tinybench.benchmark.grid_plan import GridPlan, PlannedCell
from tinybench.benchmark.halving import Halving, compare_scores, count_kept, list_probes, list_rungs
from tinybench.config.sections import TrackConfig
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.leaderboard.halved_models import list_halved_models
from tinybench.tracking import run_kinds, tags
from tinybench.tracking.tracker import Tracker

MODELS = ("resnet50", "vgg16", "mobilenetv2", "densenet121", "xception")
CONTENTS = {"data": "0" * 64}


def grid(*models: str, seeds: tuple[int, ...] = (0, 1)) -> Grid:
    return Grid("g", models, ("cifar10",), ("tiny-imagenet-tlft",), seeds)


@pytest.fixture
def made(tmp_path) -> MadeStore:
    return MadeStore(f"sqlite:///{tmp_path}/made.db")


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYBENCH_STATE", str(tmp_path / "state"))


class Rungs:
    """The rungs of a halving whose results are made."""

    def __init__(self, made: MadeStore, *models: str, seeds: tuple[int, ...] = (0, 1)) -> None:
        self.made, self.halving, self.plan = made, Halving("g", seeds), GridPlan("g")
        self.statuses: dict[int, CellStatus] = {}
        self.add(list_probes(grid(*models, seeds=seeds).build_cells()))

    def add(self, specs) -> list[PlannedCell]:
        before = {*self.plan.cells}
        self.plan.add_cells(specs, [CONTENTS] * len(specs), {})
        return [cell for number, cell in self.plan.cells.items() if number not in before]

    def finish(self, wrong: dict[str, int], cells: list[PlannedCell] | None = None) -> None:
        """Have cells end with so many validation images wrong; a model that is not named fails."""
        for cell in self.plan.active_cells if cells is None else cells:
            model = cell.config.model
            if model not in wrong:
                self.statuses[cell.number] = CellStatus(CellState.FAILED, reason="out of memory")
                continue
            run, phase = self.made.add(model, cell.config.seed, self.made.correct(0))
            self.made.add_validation(phase, self.made.correct(wrong[model]))
            self.statuses[cell.number] = CellStatus(CellState.FINISHED, run)

    def extend(self) -> list[PlannedCell]:
        return self.add(self.halving.extend(Tracker.at(self.made.uri), self.plan.active_cells, self.statuses))


def phases_of(cells: list[PlannedCell]) -> list[tuple[str, int, str]]:
    return [(cell.config.model, cell.config.seed, "+".join(cell.config.phases)) for cell in cells]


def test_each_backbone_is_probed_once():
    probes = list_probes(grid("resnet50", "vgg16", seeds=(3, 4)).build_cells())
    assert [(probe.config.model, probe.config.seed, probe.is_probe) for probe in probes] == [
        ("resnet50", 3, True),
        ("vgg16", 3, True),
    ]


@pytest.mark.parametrize(("models", "kept"), [(1, 1), (2, 1), (3, 2), (5, 3), (8, 4)])
def test_half_of_the_models_are_kept(models, kept):
    assert count_kept(models) == kept


def test_rungs_are_transfer_and_then_both_phases():
    assert list_rungs(("transfer", "finetune")) == [("transfer",), ("transfer", "finetune")]
    assert list_rungs(("transfer",)) == [("transfer",)]


def test_networks_from_scratch_cannot_be_halved():
    scratch = Grid("g", ("simple5",), ("cifar10",), ("quickstart",), (0,), {"phases": "scratch", "weights": "none"})
    with pytest.raises(ConfigError, match="`--halving`: it begins with a probe of backbones, and the phases"):
        list_probes(scratch.build_cells())
    with pytest.raises(ConfigError, match="cannot choose by folds"):
        list_probes(cells("smallcnn", **{"data.folds": 3}))


def test_five_probes_three_transfers_and_two_fine_tunings(made):
    rungs = Rungs(made, *MODELS)
    rungs.finish(dict(zip(MODELS, (40, 80, 20, 90, 30), strict=True)))
    transfers = rungs.extend()
    assert phases_of(transfers) == [
        (model, seed, "transfer") for model in ("mobilenetv2", "xception", "resnet50") for seed in (0, 1)
    ]
    rungs.finish({"mobilenetv2": 30, "xception": 10, "resnet50": 20}, transfers)
    finetunings = rungs.extend()
    assert phases_of(finetunings) == [
        (model, seed, "transfer+finetune") for model in ("xception", "resnet50") for seed in (0, 1)
    ]
    rungs.finish({"xception": 5, "resnet50": 5}, finetunings)
    assert rungs.extend() == []
    assert [(left.model, left.rung, left.last_kept) for left in rungs.halving.left_out] == [
        ("vgg16", "probe", "resnet50"),
        ("densenet121", "probe", "resnet50"),
        ("mobilenetv2", "transfer", "resnet50"),
    ]


def test_a_model_that_failed_does_not_go_on(made):
    rungs = Rungs(made, "resnet50", "vgg16", "xception")
    rungs.finish({"vgg16": 30})
    assert {cell.config.model for cell in rungs.extend()} == {"vgg16"}
    nothing = Rungs(made, "resnet50", "vgg16")
    nothing.finish({})
    assert nothing.extend() == []


def test_a_run_without_predictions_says_so(made):
    rungs = Rungs(made, "resnet50", "vgg16")
    rungs.finish({"resnet50": 3, "vgg16": 4})
    run, _ = made.add("vgg16", 0, None)
    rungs.statuses[2] = CellStatus(CellState.FINISHED, run)
    with pytest.raises(TrackingError, match=f"Run {run} has no predictions of the validation images"):
        rungs.extend()


def test_a_sentence_tells_how_sure_it_was(made):
    rungs = Rungs(made, "resnet50", "vgg16", "xception", "mobilenetv2")
    rungs.finish({"resnet50": 20, "vgg16": 22, "xception": 10, "mobilenetv2": 100})
    rungs.extend()
    close, far = (left.describe() for left in rungs.halving.left_out)
    start_of_close = "vgg16 was left out on cifar10 after the probe: validation accuracy 0.945, 0.005 below resnet50"
    assert close.startswith(start_of_close)
    assert close.endswith("; it may be as good.")
    assert "mobilenetv2 was left out" in far
    assert not far.endswith("as good.")


def test_the_interval_of_one_seed_is_that_of_the_images():
    first, second = np.ones(400, bool), np.ones(400, bool)
    second[:40] = False
    value, low, high = compare_scores({0: first}, {0: second})
    assert value == pytest.approx(0.1)
    assert 0.07 < low < 0.1 < high < 0.14


def test_seeds_that_disagree_widen_the_interval():
    def scores(wrong):
        return {seed: np.arange(400) >= count for seed, count in enumerate(wrong)}

    steady = compare_scores(scores((20, 20, 20)), scores((40, 40, 40)))
    moved = compare_scores(scores((20, 20, 20)), scores((10, 40, 70)))
    assert [steady[0], moved[0]] == pytest.approx([0.05, 0.05])
    assert moved[1] < 0 < steady[1]


def test_models_without_a_common_seed_are_compared_as_on_different_images():
    value, low, high = compare_scores({0: np.ones(100, bool)}, {1: np.ones(100, bool)})
    assert value == 0
    assert -0.05 < low < -0.01
    assert high == -low


def test_two_seeds_say_little_of_seeds():
    def scores(*wrong):
        return {seed: np.arange(10_000) >= count for seed, count in enumerate(wrong)}

    _, low, high = compare_scores(scores(500, 520), scores(700, 800))
    half = 12.7 * np.std([0.02, 0.028], ddof=1) / np.sqrt(2)  # Student's t with one degree of freedom
    assert (high - low) / 2 == pytest.approx(half, rel=0.05)


def test_a_grid_in_place_of_a_halving_is_told_as_such(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = GridPlan("g")
    plan.halving = (0,)
    configs = cells("smallcnn")
    probes = list_probes(configs)
    plan.set_cells(probes, list_contents(configs), {})
    plan.save()
    overview = grid_driver.preview("g", [CellSpec(configs[0])], TrackConfig(uri=uri()), halving=())
    assert (overview.change.added, overview.change.removed) == ((2,), (1,))


def test_the_preview_counts_what_follows():
    plan = GridPlan("g")
    specs = list_probes(grid(*MODELS, seeds=(0, 1, 2)).build_cells())
    plan.set_cells(specs, [CONTENTS] * len(specs), {})
    waiting = {cell.number: CellStatus(CellState.WAITING) for cell in plan.active_cells}
    costs = [CellCost(5.0, 0, 2.0, {"transfer": 10.0 * number, "finetune": 100.0}) for number in range(1, 6)]
    groups = make_groups(plan.active_cells, waiting, lambda _: costs)
    transfer, both = Halving("g", (0, 1, 2)).preview(groups)
    assert (transfer.phases, transfer.models, transfer.cells, transfer.seconds) == (
        ("transfer",),
        3,
        9,
        360.0 + 9 * 2.0,
    )
    assert (both.models, both.cells, both.seconds) == (2, 6, 3 * (140.0 + 150.0) + 6 * 2.0)
    unknown = Halving("g", (0, 1, 2)).preview(make_groups(plan.active_cells, waiting, None))
    assert [later.seconds for later in unknown] == [None, None]


def test_cells_of_later_rungs_are_no_change_of_the_specification(made):
    rungs = Rungs(made, "resnet50", "vgg16")
    rungs.plan.halving = (0, 1)
    rungs.finish({"resnet50": 20, "vgg16": 30})
    rungs.extend()
    before = rungs.plan.specified_cells
    change = rungs.plan.set_cells([cell.spec for cell in before], [CONTENTS] * 2, {})
    assert (change.added, change.removed) == ((), ())
    assert [cell.number for cell in rungs.plan.active_cells] == [1, 2], "they follow again from the results"
    rungs.plan.halving = ()
    plain = grid("resnet50").build_cells()
    change = rungs.plan.set_cells([CellSpec(config) for config in plain], [CONTENTS] * 2, {})
    assert change.removed == (1, 2)


def test_settings_of_training_do_not_change_a_probe():
    plan = GridPlan("g")
    specs = list_probes(cells("smallcnn"))
    plan.set_cells(specs, [CONTENTS], {})
    for other, same in (({"transfer.epochs": 2}, True), ({"head.dropout": 0.3}, True), ({"image_size": 12}, False)):
        change = plan.set_cells(list_probes(cells("smallcnn", **other)), [CONTENTS], {})
        assert (change.added == ()) == same, other
        plan.set_cells(specs, [CONTENTS], {})


def finished_probes() -> int:
    """The number of finished probes, read without MLflow, which would make the store."""
    query = "SELECT count(*) FROM tags JOIN runs USING (run_uuid) WHERE value = ? AND status = 'FINISHED'"
    try:
        with closing(sqlite3.connect("file:mlflow.db?mode=ro", uri=True)) as database:
            return int(database.execute(query, (run_kinds.PROBE,)).fetchone()[0])
    except sqlite3.OperationalError:  # no store or no table yet
        return 0


def test_a_halving_that_is_killed_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [*options(), "--halving", "--seeds", "2"]
    words[words.index("--models") + 1] = "smallcnn,simple5"
    with start(*words) as first:
        wait_until(lambda: finished_probes() == 2 or first.poll() is not None)
        first.kill()
        assert first.returncode is None, first.stdout.read()
    with start("--resume", "g") as second:
        out = second.communicate(timeout=300)[0]
    assert second.returncode == 0, out
    runs = cell_runs()
    kinds = {number: found[-1].data.tags[tags.KIND] for number, found in runs.items()}
    assert kinds == {1: run_kinds.PROBE, 2: run_kinds.PROBE, 3: run_kinds.TRAINING, 4: run_kinds.TRAINING}
    assert [len(runs[number]) for number in (1, 2)] == [1, 1], "finished probes are not run again"
    assert {runs[number][-1].data.params["seed"] for number in (3, 4)} == {"0", "1"}
    accuracy = {found[-1].data.params["model"]: found[-1].data.metrics["val/accuracy"] for found in (runs[1], runs[2])}
    assert runs[3][-1].data.params["model"] == max(accuracy, key=lambda model: accuracy[model])
    assert "was left out on digits after the probe" in out
    parent = next(run for run in all_runs(uri()) if run.data.tags[tags.KIND] == run_kinds.BENCHMARK)
    assert parent.data.tags[tags.LEFT_OUT] == "1"
    (left,) = list_halved_models(Tracker.at(uri()))
    assert (left.benchmark, left.model) == ("g", min(accuracy, key=lambda model: accuracy[model]))
    assert artifacts(uri(), parent.info.run_id) == {"tables/cells.csv", "tables/left_out.csv"}
    path = MlflowClient(uri()).download_artifacts(parent.info.run_id, "tables/cells.csv")
    rows = csv.DictReader(Path(path).read_text().splitlines())
    assert [row["phases"] for row in rows] == ["probe", "probe", "transfer", "transfer"]
