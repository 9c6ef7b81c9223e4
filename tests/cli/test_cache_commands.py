"""tinybench cache: entries are listed, pruned and cleared, and what a run uses stays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from tinybench.cli import root
from tinybench.core import cache

ROOT = Path(__file__).parents[2]
LONG_AGO = 1_700_000_000
USER = "import sys; from pathlib import Path; from tinybench.core import cache\n" + (
    "with cache.lease(Path(sys.argv[1])):\n    print('there', flush=True); sys.stdin.read()"
)


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}


def tinybench(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tinybench", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60)


def run_cache(*words: str) -> str:
    result = CliRunner(env={"COLUMNS": "120"}).invoke(root.cli, ["cache", *words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def entry(name: str, size: int, used: int = 0, kind: str = "features", about: str = "") -> Path:
    folder = cache.entry_folder(kind, name)
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(bytes(size))
    if about:
        cache.write_description(folder, about, {}, "keras")
    os.utime(folder, (LONG_AGO + used, LONG_AGO + used))
    return folder


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Another process uses an entry."""
    command = [sys.executable, "-c", USER, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "there\n"
            yield
        finally:
            process.kill()


def left() -> list[str]:
    return sorted(each.folder.name for each in cache.list_entries())


def test_an_empty_cache(own_folders: Path) -> None:
    assert run_cache("list") == f"0 bytes in {own_folders / 'cache'}\n"
    assert run_cache("prune") == run_cache("clear") == "Nothing was removed.\n"


def test_entries_are_listed_least_recently_used_first(own_folders: Path) -> None:
    entry("b", 3_000_000, used=2, kind="data")
    entry("a", 2_000_000, used=1)
    (cache.entry_folder("features", "a") / "about.json").write_text('{"about": "resnet50 at pooling [x]"}')
    os.utime(cache.entry_folder("features", "a"), (LONG_AGO, LONG_AGO))
    lines = run_cache("list").splitlines()
    first, second = (line for line in lines if " MB " in line and "ago" in line)
    assert all(word in first for word in ("features", "2.0 MB", "d ago", "resnet50 at pooling [x]"))
    assert all(word in second for word in ("data", "3.0 MB", "d ago", "decoded images"))
    assert lines[-1] == f"5.0 MB in {own_folders / 'cache'}"


def test_what_another_process_uses_is_marked_and_stays() -> None:
    folder = entry("used", 1000, used=1, about="mine")
    entry("free", 1000, used=2, about="theirs")
    with in_use(folder):
        marked = [line for line in run_cache("list").splitlines() if "a run" in line]
        assert len(marked) == 1
        assert "mine" in marked[0]
        assert run_cache("clear").startswith("Removed 1 entry: ")
        assert left() == ["used"]
        assert run_cache("clear") == run_cache("prune", "--to", "0") == "Nothing was removed.\n"
    assert run_cache("clear").startswith("Removed 1 entry: ")
    assert left() == []


def test_pruning_removes_the_least_recently_used_until_the_rest_fits() -> None:
    for name, used in [("young", 3), ("old", 1), ("between", 2)]:
        entry(name, 600_000, used=used)
    assert run_cache("prune", "--to", "2MB") == "Nothing was removed.\n"
    assert run_cache("prune", "--to", "1.2 MB") == "Removed 1 entry: 600.0 kB.\n"
    assert left() == ["between", "young"]
    assert run_cache("prune", "--to", "1MB") == "Removed 1 entry: 600.0 kB.\n"
    assert left() == ["young"]


def test_decoded_images_are_pruned_as_well() -> None:
    entry("features", 600_000, used=2)
    entry("images", 600_000, used=1, kind="data")
    assert run_cache("prune", "--to", "1MB") == "Removed 1 entry: 600.0 kB.\n"
    assert left() == ["features"]


def test_pruning_without_a_size_keeps_what_a_run_would_keep() -> None:
    entry("small", 1000)
    assert run_cache("prune") == "Nothing was removed.\n"
    assert left() == ["small"]


def test_clearing_removes_features_and_decoded_images() -> None:
    entry("features", 1500)
    entry("images", 500, kind="data")
    assert run_cache("clear") == "Removed 2 entries: 2.0 kB.\n"
    assert left() == []
    assert run_cache("list").startswith("0 bytes in ")


@pytest.mark.parametrize("size", ["abc", "-1", "", "1 XB", "none", "auto"])
def test_a_wrong_size_is_one_line_and_removes_nothing(size: str) -> None:
    entry("kept", 1000)
    result = tinybench("cache", "prune", f"--to={size}")
    assert result.returncode == 2
    assert result.stdout == ""
    line = f"Error: Invalid value for `--to`: expected a size such as 20GB, got {size!r}."
    assert result.stderr.splitlines() == [line]
    assert left() == ["kept"]


def test_a_cache_that_cannot_be_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TINYBENCH_CACHE", str(tmp_path / "file"))
    result = tinybench("cache", "list")
    assert result.returncode != 0
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert str(tmp_path / "file") in result.stderr


@pytest.mark.parametrize("command", ["list", "prune", "clear"])
def test_each_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(root.cli, ["cache", command, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: cli cache {command}")


def test_a_real_process_lists_and_clears(own_folders: Path) -> None:
    entry("features", 1500, about="halves")
    listed = tinybench("cache", "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "halves" in listed.stdout
    assert listed.stdout.splitlines()[-1].endswith(f"in {own_folders / 'cache'}")
    cleared = tinybench("cache", "clear")
    assert (cleared.returncode, cleared.stderr) == (0, "")
    assert cleared.stdout.startswith("Removed 1 entry: ")
    assert left() == []
