"""The best settings of a study are found by its name: in the storage, on this machine, or in the study's run."""

from __future__ import annotations

from collections.abc import Iterator

import mlflow
import pytest
from click.testing import CliRunner
from optuna.trial import TrialState

from tinybench.cli import root
from tinybench.commands import study_settings
from tinybench.config.sections import TrackConfig
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.sweeps import optuna_storage, samplers, space_file, study_files
from tinybench.sweeps.study import Study
from tinybench.sweeps.trial_queue import TrialQueue
from tinybench.tracking.tracker import Tracker

STORAGE = "sqlite:///optuna.db"
TEXT = """\
recipe = "quickstart"
objective = "val/accuracy"
trials = 4
[settings]
phases = "transfer"
transfer.epochs = 2
[space]
transfer.lr = { distribution = "log-uniform", low = 1e-4, high = 1e-1 }
"""


@pytest.fixture(autouse=True)
def forget_the_store() -> Iterator[None]:
    """Let MLflow use its default store, that of the folder of the test."""
    mlflow.set_tracking_uri(None)
    yield
    mlflow.set_tracking_uri(None)


def create(name: str, values: list[float]) -> Study:
    study = Study.create(optuna_storage.connect(STORAGE), name, space_file.read(TEXT, "small"), {})
    queue = TrialQueue(study)
    queue.fill()
    for value in values:
        trial = queue.take()
        samplers.suggest_values(trial, study.space)
        queue.tell(trial, [value], TrialState.COMPLETE)
    return study


def find(name: str) -> dict:
    return study_settings.read_best_settings(name, storage=STORAGE)


def test_a_study_of_the_storage():
    study = create("small-1", [0.5, 0.75, 0.25])
    settings = find("small-1")
    best = study.best_trials()[0]
    assert best.number == 1
    assert settings["transfer.lr"] == best.params["transfer.lr"]
    assert (settings["recipe"], settings["transfer.epochs"]) == ("quickstart", 2)


def test_a_study_of_another_storage_by_its_folder_on_this_machine():
    folder = study_files.study_folder("elsewhere")
    folder.mkdir(parents=True)
    (folder / "best.toml").write_text('recipe = "quickstart"\nhead.dropout = 0.125\n')
    assert find("elsewhere") == {"recipe": "quickstart", "head.dropout": 0.125}


def test_a_study_of_another_machine_by_the_artifact_of_its_run():
    tracker = Tracker(TrackConfig(), may_be_away=True)
    run = tracker.open_parent_run("sweep far")
    with run.open():
        run.log_params({"sweep.study": "far"})
        run.log_text('recipe = "quickstart"\nhead.dropout = 0.25\n', "best.toml")
    tracker.writer.flush()
    tracker.close()
    assert find("far") == {"recipe": "quickstart", "head.dropout": 0.25}
    with pytest.raises(
        ConfigError, match=r"expected a file, or one of the studies far, got 'fat'\. Did you mean 'far'\?"
    ):
        find("fat")


def test_an_unknown_study_names_the_nearest():
    create("finetune-20260131-120000", [0.5])
    create("transfer-20260131-120000", [0.5])
    with pytest.raises(ConfigError, match=r"Did you mean 'finetune-20260131-120000'\?$"):
        find("finetune-20260131")


def test_where_there_are_none_nothing_is_listed():
    with pytest.raises(ConfigError, match=r"^Invalid value for `--from`: there is no file abc, and no study in sqlite"):
        find("abc")


def test_a_study_without_a_result_says_so():
    create("empty", [])
    with pytest.raises(TrackingError, match="No trial was completed"):
        find("empty")


def test_the_command_line_takes_a_study_and_options_go_before_it():
    study = create("small-2", [0.5])
    result = CliRunner().invoke(root.cli, ["train", "--from", "small-2", "--data.per_class", "10", "--dry-run"])
    assert result.exit_code == 0, result.exception
    rows = dict(
        line.split(maxsplit=1) for line in result.output.splitlines() if line.startswith(("transfer.", "data."))
    )
    assert float(rows["transfer.lr"]) == study.best_trials()[0].params["transfer.lr"]
    assert rows["data.per_class"].strip() == "10"


@pytest.mark.parametrize("path", ["missing.toml", "folder/missing"])
def test_a_path_is_a_file(path):
    result = CliRunner().invoke(root.cli, ["train", "--from", path])
    assert isinstance(result.exception, ConfigError)
    assert str(result.exception).startswith(f"Cannot read {path}: No such file")
