"""The script that runs the team server without Docker, as a person starts and ends it; the services are stubs."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import ROOT

_SCRIPT = ROOT / "tests/docker/as_processes.py"
_STUBS = f"""
import contextlib, runpy, sys, time
from pathlib import Path
sys.path.insert(0, {str(_SCRIPT.parent)!r})
import compose_file, postgres_process, proxy_process

@contextlib.contextmanager
def running(*words):
    try:
        yield "root.crt"
    finally:
        time.sleep(1)

postgres_process.running = proxy_process.running = compose_file.Services.running = running
postgres_process.programs = lambda: Path("/programs")
sys.argv = ["as_processes.py", "team"]
runpy.run_path({str(_SCRIPT)!r}, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [([], 2, "the following arguments are required: FOLDER"), (["--help"], 0, "NAME"), (["--bogus"], 2, "FOLDER")],
)
def test_how_it_is_called_is_told(tmp_path: Path, words: list[str], code: int, line: str):
    done = subprocess.run(
        [sys.executable, _SCRIPT, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code
    assert line in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_steps_are_told_and_a_second_signal_does_no_harm(tmp_path: Path):
    output = tmp_path / "output.txt"
    with output.open("w") as file:
        process = subprocess.Popen([sys.executable, "-c", _STUBS], cwd=tmp_path, stdout=file, stderr=file)
    _wait_for("Ctrl-C ends the server", output)
    process.send_signal(signal.SIGINT)
    _wait_for("Ending", output)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, output.read_text()
    text = output.read_text()
    assert "Traceback" not in text
    steps = [text.index(f"Starting {name}") for name in ("Postgres", "the server", "the proxy")]
    assert steps == sorted(steps)
    assert re.search(r"The database is postgresql\S*://tinybench@127\.0\.0\.1:\d+/tinybench,", text)
    assert re.search(r"^PATH=.*/programs:\$PATH tinybench server .* backup .*/backups$", text, re.MULTILINE)


def _wait_for(text: str, output: Path) -> None:
    deadline = time.monotonic() + 60
    while text not in output.read_text():
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)
