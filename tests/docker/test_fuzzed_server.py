"""What a fuzz notes: programs that are run, files that are written elsewhere, and whose code raised an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import fuzzed_server

WRITES = """
import os, pathlib, subprocess, sys
pathlib.Path("inside/a").write_text("x")
pathlib.Path("inside/../outside").write_text("x")
os.rename("inside/a", "moved")
os.remove("b", dir_fd=os.open("inside", os.O_RDONLY))
pathlib.Path("inside/../read").read_text()
subprocess.run([sys.executable, "-c", "pass"])
"""


def test_the_audit_tells_what_is_written_elsewhere_and_run(tmp_path: Path):
    (tmp_path / "inside").mkdir()
    for name in ("read", "inside/b"):
        (tmp_path / name).touch()
    environment = {"AUDIT_LOG": str(tmp_path / "audit.log"), "PYTHONPATH": str(Path(__file__).parent / "audit")}
    subprocess.run([sys.executable, "-c", WRITES], cwd=tmp_path, env=environment, check=True, timeout=60)
    events = fuzzed_server.read_audit(tmp_path / "audit.log", 0)
    assert ["os.remove", str(tmp_path / "inside/b")] in events
    trespasses = fuzzed_server.find_trespasses(events, [tmp_path / "inside", Path(os.devnull)])
    assert [trespass.split()[0] for trespass in trespasses] == ["open", "os.rename", "subprocess.Popen"]
    assert trespasses[0].endswith("/outside")


def test_an_error_is_ours_where_our_code_raised_it(tmp_path: Path):
    def trace(*frames: str) -> str:
        lines = [f'  File "{frame}", line 7, in check\n    work()' for frame in frames]
        return "\n".join(["Traceback (most recent call last):", *lines, "ValueError: …"])

    ours, theirs = "/x/tinybench/service/access.py", "/x/site-packages/mlflow/server/handlers.py"
    tracebacks = [trace(ours, theirs), trace(theirs, ours), trace(theirs, ours) + "\nIt led to:\n" + trace(theirs)]
    log = tmp_path / "log"
    log.write_text("\n".join(json.dumps({"traceback": text, "request_id": "\x85"}) for text in ["", *tracebacks]))
    errors = fuzzed_server.read_errors(log)
    assert [error.is_ours for error in errors] == [False, False, True, True]
    assert [error.is_within_our_check for error in errors] == [False, True, True, True]
