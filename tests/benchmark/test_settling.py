"""Which seeds are added, on stores whose predictions are made, and with real runs."""

from __future__ import annotations

import numpy as np
import pytest
from made_boards import MadeStore
from small_grid import cell_runs, specs, uri

from tinybench.benchmark import grid_driver
from tinybench.benchmark.benchmark_callbacks import BenchmarkCallbacks
from tinybench.benchmark.cell_states import CellState, CellStatus
from tinybench.benchmark.grid import CellSpec, Grid
from tinybench.benchmark.grid_plan import GridPlan
from tinybench.benchmark.settling import Settling
from tinybench.config.sections import TrackConfig
from tinybench.tracking import tags
from tinybench.tracking.tracker import Tracker

CONTENTS = {"data": "0" * 64}
SECONDS = {"resnet50": 60.0, "vgg16": 200.0, "xception": 30.0}


class Benchmark:
    """A benchmark whose runs are made.

    Args:
        folder: Where the store is.
        wrong: For each model how many test images it gets wrong, by seed.
    """

    def __init__(self, folder, wrong: dict[str, tuple[int, ...]], images: int = 400) -> None:
        self.made = MadeStore(f"sqlite:///{folder}/made.db", images)
        self.plan = GridPlan("g")
        self.statuses: dict[int, CellStatus] = {}
        seeds = range(max(map(len, wrong.values())))
        self.grid = Grid("g", tuple(wrong), ("cifar10",), ("tiny-imagenet-tlft",), tuple(seeds))
        self.specs = [CellSpec(config) for config in self.grid.build_cells() if config.seed < len(wrong[config.model])]
        self.plan.set_cells(self.specs, [CONTENTS] * len(self.specs), {})
        for cell in self.plan.active_cells:
            self.finish(cell, wrong[cell.config.model][cell.config.seed])

    def finish(self, cell, wrong: int) -> None:
        model, seed = cell.config.model, cell.config.seed
        # The images that are wrong are other ones for each seed
        correct = self.made.correct(wrong, shift=37 * seed + sum(map(ord, model)))
        run, _ = self.made.add(model, seed, correct, run_tags={tags.BENCHMARK: "g", tags.CELL_KEY: cell.key})
        self.statuses[cell.number] = CellStatus(CellState.FINISHED, run, seconds=SECONDS[model])

    def extend(self, settling: Settling) -> list[tuple[str, int]]:
        specs = settling.extend(Tracker.at(self.made.uri), self.plan.active_cells, self.statuses)
        assert all(spec.is_extra for spec in specs)
        return [(spec.config.model, spec.config.seed) for spec in specs]


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    for name in ("STATE", "CACHE"):
        monkeypatch.setenv(f"TINYBENCH_{name}", str(tmp_path / name.lower()))


def test_the_pair_that_takes_the_least_time_comes_first(tmp_path):
    benchmark = Benchmark(
        tmp_path, {"resnet50": (400, 430, 390), "vgg16": (450, 480, 440), "xception": (360, 330, 400)}, images=10_000
    )
    settling = Settling("g", 3600.0, workers=2)
    added = benchmark.extend(settling)
    assert added in ([("resnet50", 3), ("xception", 3)], [("xception", 3), ("resnet50", 3)])


def test_nothing_is_added_to_pairs_that_are_settled(tmp_path):
    benchmark = Benchmark(tmp_path, {"resnet50": (10, 11, 10), "vgg16": (200, 201, 200)})
    settling = Settling("g", 3600.0)
    assert benchmark.extend(settling) == []
    assert settling.conclude(None) == [
        "0 cells were added to settle pairs: more seeds are not expected to settle another pair."
    ]


def test_a_cell_that_would_end_too_late_is_not_added(tmp_path):
    benchmark = Benchmark(tmp_path, {"resnet50": (400, 440, 380), "vgg16": (460, 440, 480)}, images=10_000)
    settling = Settling("g", 150.0)
    assert benchmark.extend(settling) == []
    assert settling.conclude(None) == ["0 cells were added to settle pairs: the time is over."]
    assert benchmark.extend(Settling("g", 250.0)) != []


def test_models_with_one_seed_get_a_second_one(tmp_path):
    benchmark = Benchmark(tmp_path, {"resnet50": (40,), "xception": (45,)})
    assert sorted(benchmark.extend(Settling("g", 3600.0, workers=2))) == [("resnet50", 1), ("xception", 1)]


def test_one_seed_of_each_model_settles_nothing(tmp_path):
    """The board calls one better, of these runs: what another seed changes is not known."""
    benchmark = Benchmark(tmp_path, {"resnet50": (10,), "xception": (200,)})
    assert sorted(benchmark.extend(Settling("g", 3600.0, workers=2))) == [("resnet50", 1), ("xception", 1)]


def test_seeds_that_failed_are_not_given_again(tmp_path):
    benchmark = Benchmark(tmp_path, {"resnet50": (40,), "xception": (45,)})
    seeds = Grid("g", ("xception",), ("cifar10",), ("tiny-imagenet-tlft",), (1,)).build_cells()
    benchmark.plan.add_cells([CellSpec(seeds[0], is_extra=True)], [CONTENTS], {})
    failed = max(benchmark.plan.cells)
    benchmark.statuses[failed] = CellStatus(CellState.FAILED, reason="out of memory")
    assert sorted(benchmark.extend(Settling("g", 3600.0, workers=2))) == [("resnet50", 1), ("xception", 2)]


def test_the_board_of_other_benchmarks_does_not_matter(tmp_path):
    benchmark = Benchmark(tmp_path, {"resnet50": (40,), "xception": (45,)})
    assert benchmark.extend(Settling("another", 3600.0)) == []


def test_more_than_twenty_seeds_are_never_asked_for(tmp_path):
    generator = np.random.default_rng(0)
    wrong = {
        model: tuple(int(count) for count in generator.integers(380, 420, 20)) for model in ("resnet50", "xception")
    }
    assert Benchmark(tmp_path, wrong, images=10_000).extend(Settling("g", 3600.0)) == []


def test_extra_cells_stay_when_the_specification_is_given_again(tmp_path):
    benchmark = Benchmark(tmp_path, {"resnet50": (40,), "xception": (45,)})
    plan = benchmark.plan
    extra = Grid("g", ("xception",), ("cifar10",), ("tiny-imagenet-tlft",), (7,)).build_cells()
    plan.add_cells([CellSpec(extra[0], is_extra=True)], [CONTENTS], {})
    plan.save()
    again = GridPlan("g")
    change = again.set_cells(benchmark.specs, [CONTENTS] * 2, {})
    assert (change.added, change.removed) == ((), ())
    assert [cell.config.seed for cell in again.active_cells] == [0, 0, 7]
    change = again.set_cells(benchmark.specs[:1], [CONTENTS], {})
    assert change.removed == (2, 3), "its model is no longer in the specification"


class StopAfter(BenchmarkCallbacks):
    """Interrupts a benchmark after a number of cells, as Ctrl-C does.

    Args:
        cells: The number.
    """

    def __init__(self, cells: int) -> None:
        self.left, self.messages = cells, []

    def on_message(self, text):
        self.messages.append(text)

    def on_cell_end(self, cell, status):
        assert status.state == CellState.FINISHED, status.reason
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_seeds_follow_the_cells_of_the_specification(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stop = StopAfter(4)
    track = TrackConfig(uri=uri())
    with pytest.raises(KeyboardInterrupt):
        grid_driver.run_cells(
            "g", specs("smallcnn", "simple5"), track, stop, workers=2, extensions=[Settling("g", 3600.0, 2, 1e-4)]
        )
    found = [runs[0].data.params for _, runs in sorted(cell_runs().items())]
    seeds = [(params["model"], params["seed"]) for params in found]
    assert seeds[:2] == [("smallcnn", "0"), ("simple5", "0")]
    assert sorted(seeds[2:]) == [("simple5", "1"), ("smallcnn", "1")]
    assert stop.messages[-1] == "2 cells were added to settle pairs: it was interrupted."
    statuses = grid_driver.preview("g", None, track).statuses
    assert {status.state for status in statuses.values()} <= {CellState.FINISHED, CellState.KILLED}
