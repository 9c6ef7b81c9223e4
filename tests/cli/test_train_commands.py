"""The commands that train pass the settings on, under their dotted keys."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from click.testing import CliRunner

import tinybench
from tinybench.cli import root, train_commands
from tinybench.training import loop


def planned(monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, str]:
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(train_commands, "_prepare", seen.append)
    monkeypatch.setattr(train_commands, "_print_plan", lambda config: None)
    result = CliRunner().invoke(root.cli, list(words), catch_exceptions=False)
    assert result.exit_code == 0
    return seen[0]


def test_train_passes_its_settings(monkeypatch):
    assert planned(monkeypatch, "train", "--dry-run", "--seed", "3") == {"seed": "3"}


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["--head.dropout=0.2", "--data.root=a=b"], {"head.dropout": "0.2", "data.root": "a=b"}),
        (["--finetune_unfreeze", "-3", "--image-size", "32"], {"finetune.unfreeze": "-3", "image_size": "32"}),
        (["--dropout", "0.2", "--l2=0", "--data.per-class", "5"],
         {"head.dropout": "0.2", "head.l2": "0", "data.per_class": "5"}),
        (["--seed", "1", "--seed=1"], {"seed": "1"}),
        (["--seed", "recipe", "--model", ""], {"seed": "", "model": ""}),
        (["--head_dropout", "recipe", "--head.dropout", "0.2"], {"head.dropout": "0.2"}),
    ],
)  # fmt: skip
def test_every_spelling_of_a_setting_arrives_under_its_key(monkeypatch, words, settings):
    assert planned(monkeypatch, "train", "--dry-run", *words) == settings


def test_an_option_before_a_run_id_does_not_become_one(monkeypatch):
    from tinybench import api

    seen = []
    monkeypatch.setattr(api, "finetune", lambda run_id, **given: seen.append((run_id, given["finetune.lr"])))
    CliRunner().invoke(root.cli, ["finetune", "--finetune.lr", "1e-5", "abc"], catch_exceptions=False)
    assert seen == [("abc", "1e-5")]


def test_transfer_passes_its_settings_and_runs_one_phase(monkeypatch):
    assert planned(monkeypatch, "transfer", "--dry-run", "--seed", "3") == {"seed": "3", "phases": "transfer"}


def test_there_are_five_calls_from_the_command_to_the_epoch_loop(monkeypatch):
    frames: list[str] = []

    def trained(*_: object) -> dict[str, float]:
        package = str(Path(tinybench.__file__).parent)
        frames.extend(frame.name for frame in traceback.extract_stack() if frame.filename.startswith(package))
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.Steps, "train", trained)
    settings = ["--recipe", "quickstart", "--precision", "float32", "--engine", "keras", "--track.pictures", "false"]
    CliRunner().invoke(root.cli, ["train", *settings])
    assert frames[frames.index("train") :] == ["train", "train", "train_run", "train_phases", "run_phase", "fit"]
