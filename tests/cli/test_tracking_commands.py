"""`tinybench status`, `sync` and `repair` at the terminal: their exit codes, and addresses that are none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
import stores
from click.testing import CliRunner
from journals import created, offline, write_journal
from mlflow.tracking import MlflowClient
from small_runs import all_runs

from tinybench.cli import root
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.tracking.journal.journal import journals_folder, new_key


@pytest.fixture(autouse=True)
def forget_the_store() -> Iterator[None]:
    yield
    mlflow.set_tracking_uri(None)


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return stores.fresh(tmp_path_factory)


def tinybench(*words: str) -> tuple[int, str]:
    """The exit code of a command and what it prints, without line breaks."""
    runner = CliRunner(env={"COLUMNS": "400"})
    result = runner.invoke(root.cli, [*words], catch_exceptions=False, standalone_mode=False)
    return result.return_value, " ".join(result.output.split())


@pytest.fixture
def unreadable(store: str) -> Path:
    """A journal of this machine whose `about` is empty."""
    folder = write_journal(journals_folder() / "00000001-0123456789ab", [created(new_key())], store)
    (folder / "about").write_bytes(b"")
    return folder


@pytest.mark.parametrize("command", ["status", "sync"])
def test_without_journals_everything_is_sent(command: str) -> None:
    assert tinybench(command) == (0, "Everything is sent.")


@pytest.mark.parametrize("command", ["status", "sync"])
def test_a_journal_that_cannot_be_read_is_named(unreadable: Path, command: str) -> None:
    line = f"{unreadable} cannot be read: it is damaged, or of another version of tinybench."
    assert tinybench(command) == (1, line)


def test_the_others_are_sent_beside_a_journal_that_cannot_be_read(store: str, unreadable: Path) -> None:
    writer = offline(store)
    writer.create_run({"id": "0"}, "x", {}).end("FINISHED")
    writer.close()
    assert "tinybench sync" in tinybench("status")[1]
    code, output = tinybench("sync", "--to", store)
    assert code == 1
    assert f"{unreadable} cannot be read" in output
    assert "2 sent, 0 known already, 0 refused" in output
    assert [run.info.status for run in all_runs(store)] == ["FINISHED"]


def test_what_was_refused_is_told_with_exit_code_1(store: str) -> None:
    writer = offline(store)
    run = writer.create_run({"id": "0"}, "x", {})
    run.log_text("x", "n" * 256)
    writer.close()
    code, output = tinybench("sync", "--to", store)
    assert code == 1
    assert "Refused: " in output


def test_an_empty_store_is_refused(store: str) -> None:
    with pytest.raises(ConfigError, match=r"`--to`: it is empty\. Name a store, or leave the option out"):
        tinybench("sync", "--to", "")


def test_an_address_in_the_place_of_a_bundle_is_told() -> None:
    with pytest.raises(ConfigError, match=r"There is no bundle http:/a:5000: .* Name a store by --to"):
        tinybench("sync", "http://a:5000")


@pytest.mark.parametrize("uri", ["sqlite:///", "sqlite://", "foo", "htp://x", "http://", "sqlite:///file/mlflow.db"])
@pytest.mark.parametrize("words", [("sync", "--to"), ("repair", "--uri")], ids=["sync", "repair"])
def test_an_address_that_can_be_no_store_is_refused_at_once(tmp_path: Path, words: tuple[str, str], uri: str) -> None:
    (tmp_path / "file").touch()
    writer = offline("sqlite:///mlflow.db")
    writer.create_run({"id": "0"}, "x", {})
    writer.close()
    before = sorted(path.name for path in tmp_path.iterdir())
    began = time.monotonic()
    with pytest.raises(TrackingError) as raised:
        tinybench(*words, uri)
    assert time.monotonic() - began < 2
    assert "\n" not in str(raised.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_repair_creates_no_store(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"There is no store sqlite:///missing\.db: check the path"):
        tinybench("repair", "--uri", "sqlite:///missing.db")
    assert not (tmp_path / "missing.db").exists()


def test_repair_says_that_no_run_is_known_to_be_dead(store: str) -> None:
    MlflowClient(store).create_run("0")
    assert tinybench("repair", "--uri", store)[1] == "No run is known to be dead."
