"""Run a `tinybench` command and write down what it logs: `python -m benchmarks.recorded_training RECORD train …`.

The record has a line of JSON for each entry that has been written, in the form of `benchmarks.logging_process`;
`RECORD.seconds` gets the seconds that the command waited for its tracking.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinybench.tracking.journal.journal import Journal
from tinybench.tracking.tracker import StoreWriter, Tracker

_KINDS = {"params": "log_params", "tags": "set_tags", "metrics": "log_metrics"}


def main(record: Path, arguments: list[str]) -> None:
    """Run a command.

    Args:
        record: The file to which lines are added.
        arguments: The arguments of `tinybench`.
    """
    from tinybench.cli import main as run_command

    spent = dict.fromkeys(("start", "training", "end", "lasted"), 0.0)
    began = time.perf_counter()
    lines = record.open("a")

    def note(entry: dict[str, Any]) -> None:
        nonlocal began
        if not spent["lasted"]:
            began = time.perf_counter() - 1e-9
        spent["lasted"] = time.perf_counter() - began
        _write_line(lines, entry)

    _time(spent, "start", Tracker, "__init__")
    _time(spent, "start", StoreWriter, "wait_for_id")
    _time(spent, "training", StoreWriter, "write", note)
    _time(spent, "training", StoreWriter, "store_file")
    _time(spent, "training", Journal, "store_bytes")
    _time(spent, "end", StoreWriter, "close")
    sys.argv = ["tinybench", *arguments]
    try:
        run_command()
    finally:
        Path(f"{record}.seconds").write_text(json.dumps(spent))


def _time(
    spent: dict[str, float], name: str, owner: type, method: str, done: Callable[..., None] = lambda *_: None
) -> None:
    """Add the time that a method takes to a sum, and call a function with its arguments once it has returned."""
    real = getattr(owner, method)

    @functools.wraps(real)
    def timed(itself: Any, *arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            result = real(itself, *arguments, **options)
        finally:
            spent[name] += time.perf_counter() - began
        done(*arguments)
        return result

    setattr(owner, method, timed)


def _write_line(lines: Any, entry: dict[str, Any]) -> None:
    kind, given = entry["do"], None
    if kind in ("params", "tags"):
        given = [entry["values"]]
    elif kind == "metrics":
        given = [entry["values"], entry["step"], entry["at"]]
    elif kind == "create":
        kind, given = "tags", [entry["tags"]]
    elif kind == "file":
        kind, given = "log_text", ["-", entry["path"]]
    lines.write(json.dumps([entry["run"], entry["run"], _KINDS.get(kind, kind), given]) + "\n")
    if kind == "restart":
        lines.write(json.dumps([entry["run"], entry["run"], "set_tags", [entry["tags"]]]) + "\n")
    lines.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
