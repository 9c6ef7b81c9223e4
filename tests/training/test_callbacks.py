"""A user's own callbacks: found by import path, called by the one loop, refused before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from phase_runs import Training

import tinybench
import tinybench.data
from tinybench.config.sections import DataConfig
from tinybench.core import interruption
from tinybench.core.errors import ConfigError, Interrupted
from tinybench.hardware import device
from tinybench.recipes.resolve import resolve
from tinybench.training import callbacks

SOURCE = """
import keras

class Watching(keras.callbacks.Callback):
    seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append((epoch, sorted(logs)))

class Stopping(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == 1

class Counting(keras.callbacks.EarlyStopping):
    def __init__(self):
        super().__init__("val_loss", patience=99)
        self.best = [1, 2]  # no number

    def on_train_begin(self, logs=None):
        pass

    def on_epoch_end(self, epoch, logs=None):
        self.wait += 1

class Needy(keras.callbacks.Callback):
    def __init__(self, what):
        super().__init__()

number = int
"""


@pytest.fixture
def mine(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"mine_{own_folders.name}".replace("-", "_")
    (own_folders / f"{name}.py").write_text(SOURCE)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    return name


def trained(tmp_path: Path, **overrides: Any) -> Any:
    device.make_repeatable(0, True)
    digits = tinybench.data.load("digits", DataConfig(per_class=10), 0, image_size=16)
    chosen = resolve("quickstart", {"phases": "scratch", "scratch.epochs": 4, "head.hidden": 4} | overrides)
    return Training(tmp_path / "phase", digits, chosen, "scratch").run()[1]


def test_it_sees_every_epoch_with_its_figures(mine: str, tmp_path: Path) -> None:
    trained(tmp_path, callbacks=f"{mine}:Watching")
    seen = __import__(mine).Watching.seen
    assert [epoch for epoch, _ in seen] == [0, 1, 2, 3]
    assert set(seen[0][1]) >= {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_it_can_stop_training(mine: str, tmp_path: Path) -> None:
    assert len(trained(tmp_path, callbacks=f"{mine}:Watching,{mine}:Stopping").epochs) == 2


def test_a_training_that_has_not_noticed_its_interruption_ends_at_the_next_epoch(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(interruption, "_received", [Interrupted("Terminated by SIGTERM.")])
    with pytest.raises(Interrupted):
        trained(tmp_path)


def test_its_counters_are_kept_apart_from_those_of_others_of_its_kind(mine: str, tmp_path: Path) -> None:
    progress = trained(tmp_path, callbacks=f"{mine}:Counting,{mine}:Counting")
    own = {name: kept for name, kept in progress.counters.items() if name.startswith("Counting")}
    assert len(own) == 2
    assert all(kept["wait"] == 4 and "best" not in kept for kept in own.values())


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("no_such_module:Watching", "cannot be loaded: .*No module named"),
        ("{mine}:Absent", "cannot be loaded: .*Absent"),
        ("{mine}:Needy", "cannot be loaded: .*what"),
        ("{mine}:number", "expected a class of keras.callbacks.Callback, got "),
    ],
)
def test_what_is_no_callback_is_refused_in_one_line(mine: str, reference: str, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"Invalid value for `callbacks`: .*{words}") as caught:
        callbacks.user_callbacks((reference.format(mine=mine),))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["module", "a b:C", "module:", ":Class", "1module:Class"])
def test_what_is_no_import_path_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"Invalid value for `callbacks`: expected import paths such as"):
        resolve(None, {"callbacks": text})


def test_a_wrong_one_is_told_before_a_run_is_opened(own_folders: Path) -> None:
    with pytest.raises(ConfigError, match="`callbacks`"):
        tinybench.train("quickstart", callbacks="no_such_module:Watching")
    assert not (own_folders / "mlflow.db").exists()
