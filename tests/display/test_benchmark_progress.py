from __future__ import annotations

import io
from collections import Counter

from grid_overviews import FAILED, overview
from rich.console import Console as Terminal

from tinybench.benchmark.cell_states import CellState, CellStatus
from tinybench.display.benchmark_progress import BenchmarkConsole, print_overview


def terminal() -> Terminal:
    return Terminal(file=io.StringIO(), width=120, force_terminal=False)


def lines_of(to: Terminal) -> list[str]:
    return [line.rstrip() for line in to.file.getvalue().splitlines()]


def test_before_it_starts_totals_and_what_is_left_are_told():
    to = terminal()
    print_overview(overview(), to)
    lines = lines_of(to)
    assert lines[0] == "Benchmark parts: 9 cells"
    assert [line.split()[-3:] for line in lines[3:6]] == [
        ["h", "02", "min"],
        ["1", "min", "15", "s"][1:],
        ["3", "not", "known"],
    ]
    assert lines[6:] == [
        "The specification has changed: 2 cells added, 1 removed.",
        "Changed: transfer.epochs: 5 → 7, the data: other content.",
        "1 of 9 cells are finished.",
        "Under way in a process that is gone, and resumed from their checkpoints: cells 3, 4.",
        "1 failed (cell 2): The disk is full: make room, then try again.",
        "What is left takes, one cell after another: about 2 h 06 min, that of convnextbase is not known, 2.0 GB of "
        "disk. 2 of them run at a time.",
    ]


def test_each_cell_has_a_line_when_it_begins_and_when_it_ends():
    to, cell = terminal(), overview().cells[0]
    console = BenchmarkConsole(to)
    console.on_benchmark_begin(9, "http://link")
    console.on_cell_begin(cell, resumed=False)
    console.on_benchmark_step(Counter({CellState.RUNNING: 1}))
    console.on_cell_end(cell, CellStatus(CellState.FINISHED, "abc", metrics={"test/accuracy": 0.75}, seconds=61))
    console.on_cell_end(cell, FAILED)
    console.close()
    assert lines_of(to) == [
        "Run http://link",
        "cell 1 begins: transfer and finetune of efficientnetv2b0 on parts-from-line-7 (tiny-imagenet-tlft, seed 0)",
        "cell 1: top-1 0.7500 in 1 min 01 s, run abc",
        "cell 1: failed: The disk is full: make room, then try again.",
    ]
