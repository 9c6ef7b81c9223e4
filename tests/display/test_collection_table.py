"""What was removed from a server and what was kept, readable whatever the width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tinybench.display.collection_table import print_collection
from tinybench.service.collection.collect import Collection
from tinybench.service.collection.plan import Item, Plan

RUN, MODEL = "0123456789abcdef0123456789abcdef", "m-fedcba9876543210fedcba9876543210"
KEPT = "needed by version 3 of tiny-imagenet-tlft (champion), which rollback may go back to"
REMOVED = [Item("orphan", MODEL, f"1/models/{MODEL}", 999_900, "belongs to no logged model of the database")]
PLAN = Plan(
    removed=[*REMOVED, Item("upload", "1/a.part", "1/a.part", 12, "sent in part 3 hours ago")],
    kept=[Item("logged model", MODEL, "resnet50 [bold] \x1b[31m", 0, f"its logged model {MODEL} is not deleted"),
          Item("run", RUN, "quickstart seed 3, a name of some length", 1_234_000, KEPT)],
)  # fmt: skip


def shown(plan: Plan, width: int, is_terminal: bool) -> list[str]:
    text = io.StringIO()
    print_collection(Collection(plan), Console(file=text, width=width, force_terminal=is_terminal, color_system=None))
    return text.getvalue().splitlines()


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_nothing_is_cut(width: int, is_terminal: bool):
    lines = shown(PLAN, width, is_terminal)
    text = " ".join(" ".join(lines).split())
    assert f"1.2 MB run {RUN} quickstart seed 3, a name of some length {KEPT}" in text
    assert f"999.9 kB orphan {MODEL} 1/models/{MODEL} belongs to no logged model of the database" in text
    assert "resnet50 [bold] ?[31m" in text
    assert "12 bytes upload 1/a.part sent in part" in text  # its name is its id
    if is_terminal:
        assert max(map(len, lines[:-1])) <= width, lines
    else:
        assert [line.strip() for line in lines if "rollback" in line] == [KEPT]  # a line to search for


def test_only_the_largest_are_listed():
    plan = Plan(removed=REMOVED * 250)
    lines = shown(plan, 80, is_terminal=False)
    assert sum(line.endswith(f"orphan {MODEL}") for line in lines) == 200
    assert "… and 50 more, none of them larger." in lines
    assert lines[-1] == "Would free 250.0 MB: 250 orphans. Nothing was removed."
