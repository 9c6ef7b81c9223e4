"""The table of what models cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from measured_costs import cost, measured
from rich.console import Console as Terminal

from tinybench.commands.measure import MeasureResult
from tinybench.display import cost_table
from tinybench.efficiency import model_cost
from tinybench.efficiency.model_cost import ModelCost


def test_measured_once_nothing_is_known_of_the_noise_and_nothing_is_ranked() -> None:
    once = (cost("a", 1.0), cost("b", 2.0))
    assert model_cost.noise_by_metric(once) == {}
    terminal = Terminal(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    cost_table.print_cost_tables(MeasureResult(once, {}), terminal)
    lines = terminal.export_text().splitlines()
    assert lines[2].split()[0] == "a"
    assert "Measured once" in "".join(lines)


@pytest.mark.parametrize(
    ("noise", "expected"), [(0.0, [1, 2, 3, 4]), (0.11, [1, 1, 3, 3]), (0.05, [1, 2, 3, 3]), (9.0, [1, 1, 1, 1])]
)
def test_what_differs_by_less_than_the_noise_has_one_rank(noise: float, expected: list[int]) -> None:
    ranked = [cost("a", 1.0), cost("b", 1.1), cost("c", 2.0), cost("d", 2.05)]
    assert cost_table.rank_by_latency(ranked, noise) == expected
    assert cost_table.rank_by_latency([*ranked, cost("a", 0.1, device="gpu")], noise)[-1] == 1


def test_the_table_fits_and_says_of_what_machine_it_speaks() -> None:
    session = MeasureResult((cost("b", 20.0, 22.0), cost("a", 1.0)), {"latency_p50_ms": 0.1}, ("c on gpu: no GPU",))
    terminal = Terminal(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    cost_table.print_cost_tables(session, terminal)
    text = terminal.export_text()
    lines = text.splitlines()
    assert [line.split()[:3] for line in lines if line.split()[1:2] in (["a"], ["b"])][:2] == [
        ["1", "a", "1"],
        ["2", "b", "21"],
    ]
    assert "differed by up to 10.0%" in text
    assert "one, 1 threads, load average 0.50 before" in text
    assert "Not measured: c on gpu: no GPU" in text
    assert all(len(line) <= 80 for line in lines[:8])


def test_a_throughput_that_one_round_lacks_is_not_made_up() -> None:
    whole = measured(1.0)
    short = replace(whole, metrics={key: value for key, value in whole.metrics.items() if "throughput" not in key})
    cut = ModelCost(whole.spec, (whole, short))
    assert "throughput_batch" not in cut.metrics
    terminal = Terminal(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    cost_table.print_cost_tables(MeasureResult((cut,), {}), terminal)
