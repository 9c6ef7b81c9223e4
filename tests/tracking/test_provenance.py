"""Where a run comes from: this machine, this command, and a real repository."""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from tinybench.tracking import provenance

ORIGINAL = "one\ntwo\n\n"


def git(repository: Path, *words: str) -> str:
    command = ["git", "-C", str(repository), "-c", "user.name=A", "-c", "user.email=a@b", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clean repository that the code believes to be in."""
    code = tmp_path / "checkout" / "tinybench" / "tracking" / "provenance.py"
    code.parent.mkdir(parents=True)
    code.write_text(ORIGINAL)
    repository = code.parents[2]
    git(repository, "init", "-q")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "All")
    monkeypatch.setattr(provenance, "__file__", str(code))
    return repository


def test_machine_and_libraries():
    tags = provenance.environment_tags()
    assert tags["host"] == platform.node()
    assert tags["python"] == platform.python_version()
    assert tags["processor_threads"] == str(os.cpu_count())
    assert tags["version.keras"] == metadata.version("keras")
    assert all(isinstance(value, str) and value for value in tags.values())


def test_the_command_can_be_pasted_and_keeps_no_secret(monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["tinybench", "train", "--data.root", "my data", "--track.uri", "http://me:hush@h"]
    )
    assert (
        provenance.environment_tags()["command"] == "tinybench train --data.root 'my data' --track.uri http://me:***@h"
    )


def test_a_library_that_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(provenance, "_LIBRARIES", ("keras", "no-such-library"))
    assert provenance.library_versions() == {"keras": metadata.version("keras")}


def test_a_user_without_a_name_is_a_number(monkeypatch):
    def nameless() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert provenance.source_tags()["mlflow.user"] == str(os.getuid())


def test_a_clean_checkout(checkout):
    tags = provenance.environment_tags()
    assert tags["mlflow.source.git.commit"] == git(checkout, "rev-parse", "HEAD").strip()
    assert tags["git.dirty"] == "false"
    assert provenance.uncommitted_diff() == ""


def test_a_changed_checkout(checkout):
    (checkout / "tinybench" / "tracking" / "provenance.py").write_text("one\nthree\n\n")
    assert provenance.environment_tags()["git.dirty"] == "true"
    diff = provenance.uncommitted_diff()
    assert "-two" in diff.splitlines()
    assert "+three" in diff.splitlines()


def test_a_new_file_makes_a_checkout_dirty(checkout):
    (checkout / "tinybench" / "new.py").write_text("four\n")
    assert provenance.environment_tags()["git.dirty"] == "true"


def test_the_diff_holds_new_files(checkout):
    (checkout / "tinybench" / "new.py").write_text("four\n")
    assert "+four" in provenance.uncommitted_diff().splitlines()


def test_staged_changes_belong_to_the_diff(checkout):
    (checkout / "tinybench" / "tracking" / "provenance.py").write_text("one\nthree\n\n")
    git(checkout, "add", ".")
    assert "+three" in provenance.uncommitted_diff()


def test_the_diff_brings_the_code_back(checkout, tmp_path):
    code = checkout / "tinybench" / "tracking" / "provenance.py"
    code.write_text("zero\n" + ORIGINAL)
    (tmp_path / "dirty.diff").write_text(provenance.uncommitted_diff())
    git(checkout, "checkout", "-q", ".")
    git(checkout, "apply", str(tmp_path / "dirty.diff"))
    assert code.read_text() == "zero\n" + ORIGINAL


def test_a_long_diff_is_cut(checkout):
    (checkout / "tinybench" / "tracking" / "provenance.py").write_text("long line\n" * 150_000)
    assert len(provenance.uncommitted_diff()) == 1_000_000


def test_a_copy_in_the_repository_of_somebody_is_not_theirs(checkout):
    git(checkout, "rm", "-q", "--cached", "-r", "tinybench")
    git(checkout, "commit", "-qm", "None", "--allow-empty")
    assert not {"mlflow.source.git.commit", "git.dirty"} & set(provenance.environment_tags())
    assert provenance.uncommitted_diff() == ""


def test_without_git(checkout, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "mlflow.source.git.commit" not in provenance.environment_tags()
    assert provenance.uncommitted_diff() == ""


def test_no_repository(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "a" / "b" / "provenance.py"))
    assert "mlflow.source.git.commit" not in provenance.environment_tags()
