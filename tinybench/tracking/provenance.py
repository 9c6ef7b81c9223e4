"""Record where a run comes from: code, libraries, machine and command."""

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

from tinybench.core.redaction import redact
from tinybench.tracking import tags

_LIBRARIES = ("tinybench", "tensorflow", "keras", "mlflow", "optuna", "numpy", "scikit-learn", "pillow")
_MAX_DIFF_LENGTH = 1_000_000


def environment_tags() -> dict[str, str]:
    """Return the host, the command, the git commit and the library versions as tags of a run."""
    run_tags = {
        tags.HOST: platform.node(),
        tags.COMMAND: redact(shlex.join(sys.argv)),
        tags.PYTHON: platform.python_version(),
        tags.PLATFORM: platform.platform(),
        tags.PROCESSOR_THREADS: str(os.cpu_count()),
    }
    run_tags |= {f"{tags.LIBRARY_VERSION}{name}": version for name, version in library_versions().items()}
    commit = git_commit()
    if commit:
        run_tags[tags.GIT_COMMIT] = commit
        run_tags[tags.GIT_DIRTY] = str(bool(_git("status", "--porcelain"))).lower()
    return run_tags


def git_commit() -> str:
    """Return the git commit of the code; empty if the code is in no repository."""
    return _git("rev-parse", "HEAD").strip()


def source_tags() -> dict[str, str]:
    """Return MLflow's own tags for the user and the program; `mlflow run` sets them on a run that it creates."""
    return {tags.USER: user_name(), tags.SOURCE_NAME: "tinybench", tags.SOURCE_TYPE: "LOCAL"}


def library_versions() -> dict[str, str]:
    """Return the installed versions of the libraries that decide what a run computes, by name."""
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # tinybench itself, run from a checkout that is not installed
    return versions


def uncommitted_diff() -> str:
    """Return what differs from the commit, with new files of the package, as input for `git apply`."""
    index = _git("rev-parse", "--git-path", "index").strip()
    if not index:
        return ""
    with TemporaryDirectory() as folder:
        # New files only show in a diff after `git add --intent-to-add`, which is done in a copy of the index
        index_copy = Path(folder) / "index"
        with suppress(OSError):
            shutil.copy(_repository_root() / index, index_copy)
        environment = {"GIT_INDEX_FILE": str(index_copy)}
        _git("add", "--intent-to-add", "--all", "--", "tinybench", environment=environment)
        return _git("diff", "HEAD", environment=environment)[:_MAX_DIFF_LENGTH]


def _git(*arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Return the output of git in the repository that tracks this code; empty if there is none."""
    folder = Path(__file__).parent
    try:
        # A checkout tracks this file; an installed copy inside somebody's repository does not
        is_tracked = ["git", "-C", str(folder), "ls-files", "--error-unmatch", Path(__file__).name]
        if subprocess.run(is_tracked, capture_output=True, timeout=10).returncode:
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


def user_name() -> str:
    """Return the name of the login at the tracking server if there is one, else that of the user of this machine."""
    login = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if login:
        return login
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return str(os.getuid())
