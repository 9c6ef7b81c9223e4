"""The command line: what it takes, and one line when it will not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tinybench.cli import root
from tinybench.config.run_config import SETTINGS

ROOT = Path(__file__).parents[2]


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
    assert {f"--{key}" for key in SETTINGS} <= set(listed)


@pytest.mark.parametrize("command", ["train", "transfer", "sweep"])
def test_help_has_the_default_of_every_setting(command):
    text = " ".join(CliRunner().invoke(root.cli, [command, "--help"]).output.split())
    assert text.count("[default") >= len(SETTINGS) - (command == "sweep")  # which has another option --engine
    assert "[a whole number in [8, 1024]] [default of the recipe: 224]" in text
    assert "[a whole number in [0, 2147483647]] [default: 0]" in text
    assert "[true or false] [default: true]" in text
    assert "a default of the recipe is that of tiny-imagenet-tlft" in text


def test_help_says_where_an_earlier_run_gives_the_defaults():
    text = " ".join(CliRunner().invoke(root.cli, ["evaluate", "--help"]).output.split())
    assert "default: the value of the earlier run" in text
    assert "of the recipe" not in text


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["train", "--epochs", "3"],
            "Error: No such option '--epochs'. Did you mean '--transfer.epochs' or '--finetune.epochs'?",
        ),
        (
            ["train", "--recipe", "cifar10-vgg10", "--lr", "1"],
            "Error: No such option '--lr'. Did you mean '--scratch.lr'?",
        ),
        (["train", "--head.droput", "1"], "Error: No such option '--head.droput'. Did you mean '--head.dropout'?"),
        (["train", "--head.dropout"], "Error: Option '--head.dropout' requires an argument."),
        (["train", "--seed", "--model", "a"], "Error: Got unexpected extra argument (a). See tinybench train --help."),
        (["train", "--seed", "1", "--seed", "2"], "Error: `seed` is given twice, as '1' and as '2': give it once."),
        (["finetune", "--bogus"], "Error: No such option '--bogus'. See tinybench finetune --help."),
        (["server", "--bogus"], "Error: No such option '--bogus'. See tinybench server --help."),
        (
            ["server", "--hots", "x"],
            "Error: No such option '--hots'. Did you mean '--host'? See tinybench server --help.",
        ),
        (["resume"], "Error: Missing argument 'RUN_ID'. See tinybench resume --help."),
        (["bogus"], "Error: No such command 'bogus'. See tinybench --help."),
        (["train", "--dropout", "abc"], "Error: Invalid value for `head.dropout`: expected a number in [0, 1), got "),
        (
            ["sweep", "x", "--engine", "procesess"],
            "Error: Invalid value for '--engine': 'procesess' is not one of 'processes', 'ray'. "
            "Did you mean 'processes'? See tinybench sweep --help.",
        ),
        (
            ["measure", "--model", "a", "--engine", "onnx-runtime"],
            "Error: Invalid value for '--engine': 'onnx-runtime' ",
        ),
        (["train", "--recipe", "none"], "Error: Invalid value for `recipe`: expected one of "),
        (["train", "stray"], "Error: Got unexpected extra argument (stray). See "),
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
        "import sys; from tinybench.cli import root\n"
        "root.cli.main(['train', '--help'], standalone_mode=False)\n"
        f"sys.exit(','.join({heavy} & set(sys.modules)) or 0)"
    )
    result = python("-c", code)
    assert (result.returncode, result.stderr) == (0, "")
