"""What the cache holds, as a person sees it."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console as Terminal

from tinybench.core.cache import CacheEntry
from tinybench.display import cache_table

HOUR, DAY = 3600, 86400


def entry(
    size: int = 1000, ago: float = 0.0, kind: str = "features", in_use: bool = False, about: str = "x"
) -> CacheEntry:
    return CacheEntry(kind, Path("/cache") / kind / "abc", size, time.time() - ago, in_use, about)


def shown(*entries: CacheEntry, root: str = "/cache", width: int = 120) -> list[str]:
    written = io.StringIO()
    cache_table.print_cache_table([*entries], Path(root), Terminal(file=written, width=width))
    return written.getvalue().splitlines()


def line_of(given: CacheEntry) -> str:
    return next(line for line in shown(given) if given.description in line)


def test_nothing_is_one_line() -> None:
    assert shown() == ["0 bytes in /cache"]


def test_an_entry_is_a_line_with_its_size_and_age_and_what_it_is() -> None:
    line = line_of(entry(1_234_567, 3 * HOUR, about="resnet50 at pooling, 100 images of digits, as they are"))
    assert "features" in line
    assert "1.2 MB" in line
    assert "3 h ago" in line
    assert "resnet50 at pooling, 100 images of digits, as they are" in line
    assert "a run" not in line


def test_entries_keep_their_order_and_the_sum_comes_last() -> None:
    lines = shown(entry(1_500_000, about="first"), entry(2_000_000, kind="data", about="second"))
    assert lines[-1] == "3.5 MB in /cache"
    found = [line for line in lines if "first" in line or "second" in line]
    assert ["features" in line for line in found] == [True, False]
    assert "data" in found[1]


def test_columns_have_names() -> None:
    (line,) = (line for line in shown(entry()) if "kind" in line)
    assert line.split() == ["kind", "size", "last", "used", "description", "used", "by"]


def test_what_is_in_use_is_marked() -> None:
    assert "a run" in line_of(entry(in_use=True))


@pytest.mark.parametrize(
    ("ago", "words"),
    [
        (-100, "just now"),
        (0, "just now"),
        (59, "just now"),
        (61, "1 min ago"),
        (HOUR - 5, "59 min ago"),
        (HOUR + 1, "1 h ago"),
        (DAY - 5, "23 h ago"),
        (DAY + 1, "1 d ago"),
        (40 * DAY + 1, "40 d ago"),
    ],
)
def test_ages_are_told_in_the_largest_unit(ago: float, words: str) -> None:
    assert f" {words} " in line_of(entry(ago=ago))


def test_brackets_are_no_markup() -> None:
    lines = shown(entry(about="own[bold] [/cache]"), root="/my [red]cache[/red]")
    assert any("own[bold] [/cache]" in line for line in lines)
    assert lines[-1] == "1.0 kB in /my [red]cache[/red]"


def test_80_columns_lose_nothing_and_the_place_stays_in_one_line() -> None:
    root = "/home/somebody/" + "long/" * 20
    about = "efficientnetv2b0 at block6b_project_bn, 100,000 images of tiny-imagenet, augmented view 3"
    lines = shown(entry(123_456_789_012, 99 * DAY, about=about, in_use=True), root=root, width=80)
    assert lines[-1] == f"123.5 GB in {Path(root)}"
    assert all(len(line) <= 80 for line in lines[:-1])
    assert "…" not in "".join(lines)
    assert lines[2].split()[:6] == ["features", "123.5", "GB", "99", "d", "ago"]
    assert lines[2].split()[-2:] == ["a", "run"]
    start = lines[0].index("description")
    assert " ".join(line[start:].removesuffix("a run  ").strip() for line in lines[2:-1]) == about


def test_what_was_removed_is_one_line() -> None:
    assert cache_table.describe_removal([]) == "Nothing was removed."
    assert cache_table.describe_removal([entry(1500)]) == "Removed 1 entry: 1.5 kB."
    assert cache_table.describe_removal([entry(1500), entry(2_000_000)]) == "Removed 2 entries: 2.0 MB."
