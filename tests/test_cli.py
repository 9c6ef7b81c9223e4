"""The command line: what it takes, and one line when it will not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tinybench import cli
from tinybench.config import KEYS
from tinybench.errors import ConfigError

ROOT = Path(__file__).parents[1]


def python(*words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=environment, timeout=120)


@pytest.mark.parametrize("command", [None, *cli.cli.commands])
def test_help(command):
    result = CliRunner().invoke(cli.cli, [*([command] if command else []), "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage:")
    assert "--help" in result.output


@pytest.mark.parametrize("command", ["train", "transfer", "finetune", "evaluate"])
def test_help_lists_every_setting(command):
    listed = CliRunner().invoke(cli.cli, [command, "--help"]).output.split()
    assert {f"--{key}" for key in KEYS} <= set(listed)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["train", "--head.droput", "1"],
            "Error: Unknown key `head.droput`: did you mean `head.dropout`? Known keys: ",
        ),
        (["train", "--head.dropout"], "Error: Missing a value for `head.dropout`: give --head.dropout VALUE."),
        (["train", "--dropout", "abc"], "Error: Invalid value for `head.dropout`: expected a number in [0, 1), got "),
        (["train", "--recipe", "none"], "Error: Invalid value for `recipe`: expected one of "),
        (["train", "stray"], "Error: Unexpected 'stray': settings are given as --key value."),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(words, line):
    result = python("-m", "tinybench", *words)
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(line)


def test_help_loads_nothing_heavy():
    heavy = "{'tensorflow', 'keras', 'mlflow', 'optuna', 'numpy', 'sklearn', 'matplotlib'}"
    code = (
        "import sys; from tinybench import cli\n"
        "cli.cli.main(['train', '--help'], standalone_mode=False)\n"
        f"sys.exit(','.join({heavy} & set(sys.modules)) or 0)"
    )
    result = python("-c", code)
    assert (result.returncode, result.stderr) == (0, "")


def test_settings_of():
    words = ["--model", "vgg16", "--head.dropout=0.2", "--data.root=a=b", "--finetune.unfreeze", "-3", "--seed="]
    expected = {"model": "vgg16", "head.dropout": "0.2", "data.root": "a=b", "finetune.unfreeze": "-3", "seed": ""}
    assert cli.settings_of(words) == expected
    assert cli.settings_of([]) == {}
    assert cli.settings_of(["--seed", "1", "--seed=1"]) == {"seed": "1"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed"], "Unexpected 'seed'"),
        (["--"], "Unexpected '--'"),
        (["--seed"], "Missing a value for `seed`"),
        (["--seed", "--model", "a"], "Missing a value for `seed`"),
        (["--seed", "1", "--seed", "2"], "`seed` is given twice, as '1' and as '2': give it once."),
    ],
)
def test_settings_of_refuses(words, message):
    with pytest.raises(ConfigError) as caught:
        cli.settings_of(words)
    assert str(caught.value).startswith(message)


def planned(monkeypatch: pytest.MonkeyPatch, *words: str) -> dict[str, str]:
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(cli, "_plan", seen.append)
    result = CliRunner().invoke(cli.cli, list(words), catch_exceptions=False)
    assert result.exit_code == 0
    return seen[0]


def test_train_passes_its_settings(monkeypatch):
    assert planned(monkeypatch, "train", "--dry-run", "--seed", "3") == {"seed": "3"}


def test_transfer_passes_its_settings_and_runs_one_phase(monkeypatch):
    assert planned(monkeypatch, "transfer", "--dry-run", "--seed", "3") == {"seed": "3", "phases": "transfer"}
