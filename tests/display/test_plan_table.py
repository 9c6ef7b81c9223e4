"""The plan of --dry-run."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
from rich.console import Console

from tinybench.commands.estimate import PhaseEstimate, RunEstimate
from tinybench.config.run_config import SETTINGS
from tinybench.display import plan_table
from tinybench.recipes.resolve import resolve


def printed(show: Callable, what: object, width: int = 120) -> str:
    written = io.StringIO()
    show(what, Console(file=written, width=width))
    return written.getvalue()


def rows(text: str) -> list[list[str]]:
    """Return the cells of the rows below the rule."""
    lines = text.splitlines()
    below = lines[next(at for at, line in enumerate(lines) if line.startswith("─")) + 1 :]
    return [re.split(r" {2,}", line.strip()) for line in below]


def estimate(**changes) -> RunEstimate:
    phases = {
        "transfer": PhaseEstimate(15, 2813, 574_152, 3600.0, 409_600_000),
        "finetune": PhaseEstimate(5, 2813, 9_000_000, 61.4),
    }
    values = {"images": (90_000, 10_000, 10_000), "counted": True, "parameters": 24_163_656, "phases": phases}
    return RunEstimate(**values | {"memory": 3 * 2**29, "disk": 2**28} | changes)


def test_every_setting_is_listed_with_its_value():
    told = dict(rows(printed(plan_table.print_settings_table, resolve("quickstart", {"data.classes": "3,1"}))))
    assert list(told) == list(SETTINGS)
    assert told["model"] == "smallcnn"
    assert told["data.classes"] == "3,1"
    assert told["data.root"] == "none"
    assert told["track.tags"] == "none", "nothing is none as well"
    assert told["augment.flip"] == "False"


def test_no_secret_is_shown():
    assert "hush" not in printed(
        plan_table.print_settings_table, resolve("quickstart", {"track.uri": "http://me:hush@host"})
    )


@pytest.mark.parametrize("root", ["/data/[old]", "/data/[/old]"])
def test_a_folder_in_brackets_is_shown(root):
    assert (
        dict(rows(printed(plan_table.print_settings_table, resolve("quickstart", {"data.root": root}))))["data.root"]
        == root
    )


def test_every_phase_has_its_row():
    assert rows(printed(plan_table.print_plan_table, estimate()))[:2] == [
        ["transfer", "15", "2,813", "574,152", "409.6 MB", "1 h 00 min"],
        ["finetune", "5", "2,813", "9,000,000", "none", "1 min 01 s"],
    ]


def test_the_lines_below_the_table():
    assert printed(plan_table.print_plan_table, estimate()).splitlines()[-3:] == [
        "Images: 90,000 train, 10,000 validation, 10,000 test (counted).",
        "Parameters: 24,163,656.",
        "Estimated from a few steps on this machine: 1 h 01 min at most, 1.5 GiB of memory, 0.25 GiB of disk.",
    ]


def test_official_figures_say_so():
    text = printed(plan_table.print_plan_table, estimate(counted=False))
    assert "10,000 test (official counts; the data have not been downloaded yet)." in text


def test_lines_are_not_cut_on_a_narrow_terminal():
    assert printed(plan_table.print_plan_table, estimate(), width=40).splitlines()[-3].endswith("test (counted).")
