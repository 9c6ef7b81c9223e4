"""Where a run comes from: code, libraries, machine and command."""

from __future__ import annotations

import getpass
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from tinybench.core.redaction import without_secrets

_LIBRARIES = ("tinybench", "tensorflow", "keras", "mlflow", "optuna", "numpy", "scikit-learn", "pillow")
_MAX_DIFF_LENGTH = 1_000_000


def environment_tags() -> dict[str, str]:
    """Host, command, git commit and library versions, as tags of a run."""
    found = {
        "host": platform.node(),
        "command": without_secrets(shlex.join(sys.argv)),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor_threads": str(os.cpu_count()),
    }
    found |= {f"version.{name}": version for name, version in library_versions().items()}
    if known := git_commit():
        found |= {
            "mlflow.source.git.commit": known,
            "git.dirty": str(bool(_git("status", "--porcelain"))).lower(),
        }
    return found


def git_commit() -> str:
    """The git commit of the code; empty where there is none."""
    return _git("rev-parse", "HEAD").strip()


def source_tags() -> dict[str, str]:
    """Who runs what, in MLflow's own tags; `mlflow run` has set them where it made the run."""
    return {"mlflow.user": _user_name(), "mlflow.source.name": "tinybench", "mlflow.source.type": "LOCAL"}


def library_versions() -> dict[str, str]:
    """Installed versions of the libraries that decide what a run computes."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # tinybench itself, run from a checkout that is not installed
    return found


def uncommitted_diff() -> str:
    """What differs from the commit, new files of the package too, for `git apply`; empty when nothing does."""
    index = _git("rev-parse", "--git-path", "index").strip()
    if not index:
        return ""
    with TemporaryDirectory() as folder:
        # In a copy of the index, files that git does not know yet can be announced to it
        copy = Path(folder) / "index"
        with suppress(OSError):
            shutil.copy(_repository_root() / index, copy)
        own = {"GIT_INDEX_FILE": str(copy)}
        _git("add", "--intent-to-add", "--all", "--", "tinybench", environment=own)
        return _git("diff", "HEAD", environment=own)[:_MAX_DIFF_LENGTH]


def _git(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Output of git in the repository that holds this code; empty when it is not in one."""
    folder = Path(__file__).parent
    try:
        # A checkout tracks this file; an installed copy inside somebody's repository does not
        known = ["git", "-C", str(folder), "ls-files", "--error-unmatch", Path(__file__).name]
        if subprocess.run(known, capture_output=True, timeout=10).returncode:
            return ""
        return subprocess.run(
            ["git", "-C", str(_repository_root()), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=10,
            env=os.environ | (environment or {}),
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _repository_root() -> Path:
    return Path(__file__).parents[2]


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return str(os.getuid())
