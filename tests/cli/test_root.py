"""The command line: what it takes, and one line when it will not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tinybench.cli import root
from tinybench.config.run_config import KEYS

ROOT = Path(__file__).parents[1]


def python(*words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment, timeout=120)


@pytest.mark.parametrize("command", [None, *root.cli.commands])
def test_help(command):
    result = CliRunner().invoke(root.cli, [*([command] if command else []), "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage:")
    assert "--help" in result.output


@pytest.mark.parametrize("command", ["train", "transfer", "finetune", "evaluate"])
def test_help_lists_every_setting(command):
    listed = CliRunner().invoke(root.cli, [command, "--help"]).output.split()
    assert {f"--{key}" for key in KEYS} <= set(listed)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["train", "--head.droput", "1"], "Error: No such option '--head.droput'. Did you mean '--head.dropout'?"),
        (["train", "--head.dropout"], "Error: Option '--head.dropout' requires an argument."),
        (["train", "--seed", "--model", "a"], "Error: Got unexpected extra argument (a). (tinybench train --help "),
        (["train", "--seed", "1", "--seed", "2"], "Error: `seed` is given twice, as '1' and as '2': give it once."),
        (["finetune", "--bogus"], "Error: No such option '--bogus'. (tinybench finetune --help lists what there is.)"),
        (["resume"], "Error: Missing argument 'RUN_ID'. (tinybench resume --help lists what there is.)"),
        (["bogus"], "Error: No such command 'bogus'. (tinybench --help lists what there is.)"),
        (["train", "--dropout", "abc"], "Error: Invalid value for `head.dropout`: expected a number in [0, 1), got "),
        (["train", "--recipe", "none"], "Error: Invalid value for `recipe`: expected one of "),
        (["train", "stray"], "Error: Got unexpected extra argument (stray). ("),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words, line):
    result = python("-m", "tinybench", *words)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(line)


def test_no_command_is_asking_for_help():
    result = python("-m", "tinybench")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: tinybench")


def test_help_loads_nothing_heavy():
    heavy = "{'tensorflow', 'keras', 'mlflow', 'optuna', 'numpy', 'sklearn', 'matplotlib'}"
    code = (
        "import sys; from tinybench import cli\n"
        "cli.cli.main(['train', '--help'], standalone_mode=False)\n"
        f"sys.exit(','.join({heavy} & set(sys.modules)) or 0)"
    )
    result = python("-c", code)
    assert (result.returncode, result.stderr) == (0, "")


def planned(monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, str]:
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(root, "_train", lambda settings, dry_run: seen.append(settings))
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
