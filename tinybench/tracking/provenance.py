"""Where a run comes from: code, libraries, machine and command."""

from __future__ import annotations

import getpass
import os
import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from tinybench.redaction import without_secrets

_LIBRARIES = ("tinybench", "tensorflow", "keras", "mlflow", "optuna", "numpy", "scikit-learn", "pillow")
_LONGEST_DIFF = 1_000_000


def tags() -> dict[str, str]:
    """Host, command, git commit and library versions, as tags of a run."""
    found = {
        "host": platform.node(),
        "command": without_secrets(shlex.join(sys.argv)),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor_threads": str(os.cpu_count()),
        "mlflow.user": _user(),
        "mlflow.source.name": "tinybench",
        "mlflow.source.type": "LOCAL",
    }
    found |= {f"version.{name}": version for name, version in versions().items()}
    commit = _git("rev-parse", "HEAD")
    if commit:
        found |= {"mlflow.source.git.commit": commit, "git.dirty": str(bool(_git("status", "--porcelain"))).lower()}
    return found


def versions() -> dict[str, str]:
    """Installed versions of the libraries that decide what a run computes."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # tinybench itself, run from a checkout that is not installed
    return found


def dirty_diff() -> str:
    """What differs from the commit, as `git diff` prints it; empty when nothing does."""
    return _git("diff", "HEAD")[:_LONGEST_DIFF]


def _git(*arguments: str) -> str:
    """Output of git in the repository that holds this code; empty when it is not in one."""
    folder = Path(__file__).parent
    try:
        # A checkout tracks this file; an installed copy inside somebody's repository does not
        known = ["git", "-C", str(folder), "ls-files", "--error-unmatch", Path(__file__).name]
        if subprocess.run(known, capture_output=True, timeout=10).returncode:
            return ""
        top = ["git", "-C", str(folder.parent.parent), *arguments]
        return subprocess.run(top, capture_output=True, text=True, errors="replace", timeout=10).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return str(os.getuid())
