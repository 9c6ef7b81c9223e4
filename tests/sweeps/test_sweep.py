"""Whole sweeps by the command line, with real trainings: what they leave, and what becomes of them when killed."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import stores
from click.testing import CliRunner
from mlflow.tracking import MlflowClient
from servers import Server
from small_study import TEXT

from tinybench.cli.root import cli
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.sweeps import optuna_storage
from tinybench.sweeps.study import Study

ROOT = Path(__file__).parents[2]


def sweep(*words, folder, **environment):
    """A sweep in a process of its own, in a folder with a store of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "tinybench", *words],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "TINYBENCH_STATE": str(folder / "state"), "TINYBENCH_CACHE": str(folder / "cache")}
        | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
        | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process):
    said, _ = process.communicate(timeout=500)
    assert process.returncode == 0, said
    return said


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = Path(stores.fresh(tmp_path_factory).removeprefix("sqlite:///")).parent
    (made / "small.toml").write_text(TEXT)
    return made


@pytest.fixture(scope="module")
def said(folder):
    return finished(sweep("sweep", "small.toml", "--study", "one", folder=folder))


@pytest.fixture(scope="module")
def client(folder, said):
    return MlflowClient(f"sqlite:///{folder}/mlflow.db")


@pytest.fixture(scope="module")
def parent(client):
    return client.search_runs(["0", "1"], "tags.`tinybench.study` = 'one' and tags.`tinybench.winner` != ''")[0]


def below(client, parent):
    return client.search_runs(["0", "1"], f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")


def test_each_trial_is_a_run_with_settings_curves_and_state(client, parent):
    trials = [run for run in below(client, parent) if "tinybench.trial" in run.data.tags]
    assert sorted(int(run.data.tags["tinybench.trial"]) for run in trials) == [0, 1, 2, 3]
    for run in trials:
        assert run.info.status == "FINISHED"
        assert run.data.tags["tinybench.trial.state"] == "complete"
        assert 0 <= float(run.data.params["head.dropout"]) <= 0.5
        points = client.get_metric_history(run.info.run_id, "val/accuracy")
        assert [point.step for point in points] in ([1, 2], [1, 2, 2]), "the best is logged again unless it is the last"
        assert run.data.metrics["val/accuracy"] == run.data.metrics["best/val_accuracy"]
        assert not [name for name in run.data.metrics if name.startswith("test/")]
    first = next(run for run in trials if run.data.tags["tinybench.trial"] == "0")
    assert float(first.data.params["transfer.lr"]) == 1e-3


def test_the_studys_run_has_pictures_tables_and_the_best(client, parent):
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["tinybench.study"] == "one"
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files >= {"best.toml", "trials.csv", "small.toml", "figures"}
    pictures = {Path(file.path).name for file in client.list_artifacts(parent.info.run_id, "figures")}
    names = ("history", "curves", "importance", "parallel_coordinates", "slices")
    assert pictures >= {"sweep.html", *(f"{name}.png" for name in names)}
    values = [point.value for point in client.get_metric_history(parent.info.run_id, "best_value/val/accuracy")]
    assert values == sorted(values)
    assert len(values) == 4


def test_the_table_says_what_the_runs_say(client, parent, tmp_path):
    file = client.download_artifacts(parent.info.run_id, "trials.csv", str(tmp_path))
    rows = list(csv.DictReader(Path(file).read_text().splitlines()))
    assert [row["state"] for row in rows] == ["complete"] * 4
    for row in rows:
        run = client.get_run(row["run_id"])
        assert float(row["val/accuracy"]) == run.data.metrics["best/val_accuracy"]
        assert float(row["transfer.lr"]) == float(run.data.params["transfer.lr"])


def test_the_winner_is_a_whole_run_and_the_only_one_that_was_tested(client, parent):
    winner = client.get_run(parent.data.tags["tinybench.winner"])
    assert winner.info.status == "FINISHED"
    assert winner.data.tags["mlflow.parentRunId"] == parent.info.run_id
    tested = [run for run in client.search_runs(["0", "1"]) if "test/accuracy" in run.data.metrics]
    phases = [run for run in tested if "tinybench.phase" in run.data.tags]
    assert {run.info.run_id for run in tested} == {
        winner.info.run_id,
        parent.info.run_id,
        *(run.info.run_id for run in phases),
    }
    assert len(phases) == 1


def test_the_winner_repeats_its_trial_to_the_bit(client, parent, said):
    winner = client.get_run(parent.data.tags["tinybench.winner"])
    best = max(
        (run for run in below(client, parent) if "tinybench.trial" in run.data.tags),
        key=lambda run: run.data.metrics["best/val_accuracy"],
    )
    assert winner.data.metrics["best/val_loss"] == best.data.metrics["best/val_loss"]
    assert "and was" not in said


def test_the_best_settings_can_be_trained_by_anybody(folder, client, parent, tmp_path):
    file = Path(client.download_artifacts(parent.info.run_id, "best.toml", str(tmp_path)))
    settings = tomllib.loads(file.read_text())
    assert settings["recipe"] == "quickstart"
    assert settings["transfer.epochs"] == 2
    assert not [key for key in settings if key.startswith("track")]
    plan = finished(sweep("train", "--from", str(file), "--dry-run", folder=folder))
    assert str(settings["transfer.lr"])[:6] in plan


def test_a_person_is_told(said):
    assert "Study one: val/accuracy (maximize) over 4 trials" in said
    assert len(re.findall(r"^trial \d+: ", said, re.MULTILINE)) == 4
    assert "The best 4 of 4 complete trials" in said
    assert "tinybench train --from" in said


def test_more_trials_by_resume_and_the_winner_is_not_trained_twice_for_nothing(folder, said, client, parent):
    again = finished(sweep("sweep", "--resume", "one", folder=folder))
    assert "was trained before" in again
    runs = below(client, parent)
    assert len([run for run in runs if "tinybench.trial" in run.data.tags]) == 4
    assert client.get_run(parent.info.run_id).info.status == "FINISHED"


def long(folder, trials=5):
    text = TEXT.replace("trials = 4", f"trials = {trials}").replace("epochs = 2", "epochs = 25")
    (folder / "long.toml").write_text(text.replace("per_class = 20", "per_class = 100"))
    return text


def until(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.3)
    raise AssertionError("it did not come to be")


def workers(driver):
    listed = subprocess.run(["pgrep", "-P", str(driver.pid)], capture_output=True, text=True, check=False)
    return [int(number) for number in listed.stdout.split()]


@pytest.fixture
def place(tmp_path_factory):
    made = Path(stores.fresh(tmp_path_factory).removeprefix("sqlite:///")).parent
    long(made)
    return made


def states(place, name):
    found = Study.load(optuna_storage.connect(f"sqlite:///{place}/optuna.db"), name)
    return found, found.counts()


def running(place, name):
    def look():
        try:
            return states(place, name)[1].running > 0 and states(place, name)[1].finished > 0
        except Exception:
            return False

    return look


@pytest.mark.slow
def test_a_killed_worker_loses_no_trial(place):
    driver = sweep("sweep", "long.toml", "--study", "w", folder=place)
    until(running(place, "w"))
    for number in workers(driver):
        os.kill(number, signal.SIGKILL)
    finished(driver)
    found, counts = states(place, "w")
    assert counts.complete == 5
    assert len(found.counted_trials()) == 5
    assert len(found.trials()) == 6
    retried = found.trials()[-1]
    died = next(trial for trial in found.trials() if trial.number == retried.user_attrs["retry_of"])
    assert retried.params == died.params
    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    assert not client.search_runs(["0", "1"], "attributes.status = 'RUNNING'")


@pytest.mark.slow
def test_after_a_killed_driver_a_resume_ends_the_study(place):
    driver = sweep("sweep", "long.toml", "--study", "d", folder=place)
    until(running(place, "d"))
    left = workers(driver)
    driver.kill()
    driver.wait()
    said = finished(sweep("sweep", "--resume", "d", folder=place))
    found, counts = states(place, "d")
    assert counts.complete == 5, said
    assert [trial.user_attrs["slot"] for trial in found.counted_trials()] == [0, 1, 2, 3, 4]
    until(lambda: not any(Path(f"/proc/{number}").exists() for number in left), 60)
    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    assert not client.search_runs(["0", "1"], "attributes.status = 'RUNNING'")


@pytest.mark.slow
def test_ctrl_c_gives_the_trial_back_and_says_how_to_go_on(place):
    driver = sweep("sweep", "long.toml", "--study", "c", folder=place)
    until(running(place, "c"))
    driver.send_signal(signal.SIGINT)
    said, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert "tinybench sweep --resume c" in said
    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    assert not client.search_runs(["0", "1"], "attributes.status = 'RUNNING'")
    assert states(place, "c")[1].running == 0
    finished(sweep("sweep", "--resume", "c", folder=place))
    assert states(place, "c")[1].complete == 5


@pytest.mark.slow
def test_a_second_driver_is_told_of_the_first(place):
    driver = sweep("sweep", "long.toml", "--study", "t", folder=place)
    until(running(place, "t"))
    second = sweep("sweep", "--resume", "t", folder=place)
    said, _ = second.communicate(timeout=120)
    assert second.returncode == 1
    assert "Another process runs study 't'" in said
    finished(driver)
    assert states(place, "t")[1].complete == 5


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["bad.toml"], "bad.toml, line 11: Unknown key `transfer.rate`"),
        (["absent.toml"], "Cannot read the space absent.toml"),
        ([], "Give either a SPACE file"),
        (["bad.toml", "--trials", "0"], "`--trials`: expected a whole number of at least 1, got '0'"),
        (["--resume", "none"], "There is no database optuna.db"),
        (["bad.toml", "--minutes", "0"], "`--minutes`: expected a number above 0, got '0'"),
        (["bad.toml", "--retry-failed"], "--retry-failed goes with --resume STUDY."),
    ],
)
def test_what_cannot_be_is_told_before_anything_starts(words, expected):
    Path("bad.toml").write_text(TEXT.replace("transfer.lr = {", "transfer.rate = {"))
    result = CliRunner().invoke(cli, ["sweep", *words])
    assert isinstance(result.exception, ConfigError | TrackingError)
    assert expected in str(result.exception)
    assert str(result.exception).count("bad.toml, line") <= 1
    assert len(str(result.exception).splitlines()) == 1
    assert not Path("mlflow.db").exists()


def test_a_wrong_space_ends_the_process_with_one_line(tmp_path):
    (tmp_path / "bad.toml").write_text(TEXT.replace("transfer.lr = {", "transfer.rate = {"))
    process = sweep("sweep", "bad.toml", folder=tmp_path)
    said, _ = process.communicate(timeout=100)
    assert process.returncode != 0
    assert len(said.strip().splitlines()) == 1, said


@pytest.mark.slow
def test_a_study_goes_on_without_its_tracking_server_and_sends_later(place):
    server = Server(place).start()
    try:
        driver = sweep("sweep", "long.toml", "--study", "s", folder=place, MLFLOW_TRACKING_URI=server.uri)
        until(running(place, "s"))
        server.kill()
        said = finished(driver)
        assert states(place, "s")[1].complete == 5
        assert "entries could not be sent to the tracking server" in said
        server.start()
        again = finished(sweep("sweep", "--resume", "s", folder=place, MLFLOW_TRACKING_URI=server.uri))
        assert "could not be sent" not in again
        client = MlflowClient(server.uri)
        found = client.search_runs(["0", "1"], "tags.`tinybench.trial` != ''")
        assert sorted(int(run.data.tags["tinybench.trial"]) for run in found) == [0, 1, 2, 3, 4]
        assert {run.info.status for run in client.search_runs(["0", "1"])} == {"FINISHED"}
        assert all(len(client.get_metric_history(run.info.run_id, "val/loss")) == 25 for run in found)
    finally:
        server.kill()


DEADLY = """
import os
import keras

class Deadly(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if float(self.model.optimizer.learning_rate) > 1e3:
            os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
def test_what_trials_come_to_is_the_trials_and_ends_no_study(place):
    """One that kills its process, one that diverges, two seeds a trial, and a pruner."""
    (place / "deadly.py").write_text(DEADLY)
    text = TEXT.replace("trials = 4", 'trials = 9\nseeds = 2\npruner = "hyperband"').replace("1e-1", "1e8")
    text = text.replace("epochs = 2", 'epochs = 6\ncallbacks = ["deadly:Deadly"]')
    text += "[[first]]\ntransfer.lr = 1e7\n"
    (place / "hard.toml").write_text(text)
    said = finished(sweep("sweep", "hard.toml", "--study", "hard", "--workers", "2", folder=place))
    found, counts = states(place, "hard")
    assert counts.finished == 9
    assert counts.complete > 0
    deadly = found.counted_trials()[1]
    assert "died 3 times, as when memory ends" in deadly.user_attrs["error"], said
    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    assert not client.search_runs(["0", "1"], "attributes.status = 'RUNNING'")
    trials = {
        run.data.tags["tinybench.trial"]: run for run in client.search_runs(["0", "1"], "tags.`tinybench.trial` != ''")
    }
    complete = next(trial for trial in found.counted_trials() if trial.state.name == "COMPLETE")
    run = trials[str(complete.number)]
    seeds = client.search_runs(["0", "1"], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
    assert {each.data.tags["tinybench.seed"] for each in seeds} == {"0", "1"}
    assert len({each.data.params["seed"] for each in seeds}) == 2
    values = [each.data.metrics["best/val_accuracy"] for each in seeds]
    assert run.data.metrics["best/val_accuracy"] == pytest.approx(sum(values) / 2)
    assert len(client.get_metric_history(run.info.run_id, "val/accuracy")) == 6
    steps = [point.step for point in client.get_metric_history(found.parent_run, "best_value/val/accuracy")]
    assert len(steps) == len(set(steps))


@pytest.mark.slow
def test_a_winner_whose_driver_is_killed_is_trained_again_and_nothing_is_left_running(place):
    short = TEXT.replace("trials = 4", "trials = 1")
    (place / "short.toml").write_text(short)
    client = MlflowClient(f"sqlite:///{place}/mlflow.db")
    driver = sweep("sweep", "short.toml", "--study", "k", folder=place)
    until(
        lambda: client.search_runs(["0", "1"], "tags.`tinybench.phase` = 'transfer' and attributes.status = 'RUNNING'")
    )
    second = sweep("sweep", "--resume", "k", folder=place)  # while the first is busy with its winner
    said, _ = second.communicate(timeout=120)
    if driver.poll() is None:
        assert "Another process runs study 'k'" in said
    driver.kill()
    driver.wait()
    finished(sweep("sweep", "--resume", "k", folder=place))
    assert not client.search_runs(["0", "1"], "attributes.status = 'RUNNING'")
    winners = client.search_runs(["0", "1"], f"tags.`mlflow.parentRunId` = '{states(place, 'k')[0].parent_run}'")
    assert sum(run.info.status == "FINISHED" and "tinybench.trial" not in run.data.tags for run in winners) == 1


def test_data_that_are_not_there_are_told_before_a_study_is_made(tmp_path):
    (tmp_path / "far.toml").write_text(TEXT.replace('"quickstart"', '"cifar10-simple5"').replace("transfer", "scratch"))
    process = sweep("sweep", "far.toml", "--data.root", str(tmp_path / "none"), folder=tmp_path)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 1
    assert len(said.strip().splitlines()) == 1, said
    assert not (tmp_path / "optuna.db").exists()
    assert not (tmp_path / "mlflow.db").exists()
