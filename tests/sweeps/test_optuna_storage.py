"""A database of studies is made once, and one that cannot be used is reported in one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tinybench.core.errors import TrackingError
from tinybench.sweeps import optuna_storage


@pytest.mark.parametrize("url", ["sqlite:////no/such/folder/optuna.db", "postgresql://u:secret@127.0.0.1:1/x", "what"])
def test_a_storage_that_is_not_there_is_told_in_one_line(url):
    with pytest.raises(TrackingError) as caught:
        optuna_storage.connect(url)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_database_is_not_made_to_look_for_a_study(tmp_path):
    with pytest.raises(TrackingError, match=r"There is no database .*absent.db"):
        optuna_storage.connect(f"sqlite:///{tmp_path}/absent.db", must_exist=True)
    assert not (tmp_path / "absent.db").exists()


def test_two_processes_make_one_database(tmp_path):
    words = [
        sys.executable,
        "-c",
        f"from tinybench.sweeps import optuna_storage; optuna_storage.connect('sqlite:///{tmp_path}/new.db')",
    ]
    both = [subprocess.Popen(words, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[1] for process in both] == ["", ""]
