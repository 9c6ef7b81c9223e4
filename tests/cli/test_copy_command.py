"""`tinybench copy` prints what it did, and its exit code says whether both stores hold the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import stores
from click.testing import CliRunner
from mlflow.tracking import MlflowClient
from small_runs import all_runs

from tinybench.cli import root
from tinybench.core.errors import ConfigError


@pytest.fixture
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A store with one run, and an empty one."""
    source = stores.fresh(tmp_path_factory)
    client = MlflowClient(source)
    run_id = client.create_run("0", run_name="a").info.run_id
    client.log_text(run_id, "text", "notes.txt")
    client.set_terminated(run_id)
    return source, stores.fresh(tmp_path_factory)


def copy(*words: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(root.cli, ["copy", *words], catch_exceptions=False, standalone_mode=False)
    return result.return_value, result.output.splitlines()


def test_a_copy_is_counted_and_compared(pair):
    code, lines = copy("--from", pair[0], "--to", pair[1])
    run_id = all_runs(pair[0])[0].info.run_id
    assert code == 0
    assert lines == [
        f"run {run_id}: copied",
        f"{run_id}: the same",
        "Copied: 1 runs, 1 artifacts, 0 models, 0 versions. Known already: 0 runs, 0 models, 0 versions.",
        "Both stores hold the same.",
    ]


def test_a_second_copy_need_not_be_compared(pair):
    copy("--from", pair[0], "--to", pair[1])
    code, lines = copy("--from", pair[0], "--to", pair[1], "--no-verify", "--experiment", "Default")
    assert code == 0
    assert lines[-2:] == [
        "Copied: 0 runs, 0 artifacts, 0 models, 0 versions. Known already: 1 runs, 0 models, 0 versions.",
        "The stores are not compared.",
    ]


def test_a_difference_is_named_and_the_exit_code_is_1(pair):
    copy("--from", pair[0], "--to", pair[1])
    (Path(all_runs(pair[1])[0].info.artifact_uri) / "notes.txt").write_text("txet")
    code, lines = copy("--from", pair[0], "--to", pair[1])
    assert code == 1
    assert f"Different: run {all_runs(pair[0])[0].info.run_id} (a): artifact notes.txt is" in lines[-2]
    assert lines[-1] == "1 differences. Copy again: what differs is then sent again."


def test_one_store_is_refused(pair):
    with pytest.raises(ConfigError, match="give two stores"):
        copy("--from", pair[0], "--to", pair[0])
