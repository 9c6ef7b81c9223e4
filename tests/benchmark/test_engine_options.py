"""Options of engines, and those that have no effect with the engine that was chosen."""

from __future__ import annotations

import re

import pytest

from tinybench.benchmark.cell_processes import CellProcesses
from tinybench.benchmark.engine_options import EngineOptions, choose_engine
from tinybench.core.errors import ConfigError


def test_processes_are_the_default():
    assert isinstance(choose_engine(EngineOptions(), "g", print)("sqlite:///a.db", 2), CellProcesses)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"engine": "pbs"}, "Invalid value for `engine`: expected one of processes, ray, slurm, got 'pbs'."),
        ({"cpu": 2.0}, "--cpu has no effect with --engine processes: give --engine ray or slurm."),
        ({"slurm": ("time=1",)}, "--slurm has no effect with --engine processes: give --engine slurm."),
        ({"engine": "ray", "slurm": ("a=b",)}, "--slurm has no effect with --engine ray: give --engine slurm."),
        ({"engine": "slurm", "address": "h:1"}, "--address has no effect with --engine slurm: give --engine ray."),
    ],
)
def test_an_option_without_effect_is_refused(options, line):
    with pytest.raises(ConfigError, match=f"^{re.escape(line)}$"):
        EngineOptions(**options)
