"""What was meant is suggested, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner
from processes import ROOT

from tinybench.cli import root
from tinybench.config.run_config import parse_value
from tinybench.core.errors import ConfigError, DataError, ModelError
from tinybench.core.suggestion import suggest
from tinybench.recipes.resolve import resolve
from tinybench.sweeps import space_file


@pytest.mark.parametrize(
    ("given", "expected"),
    [("vgg61", " Did you mean 'vgg16'?"), ("ResNet50", " Did you mean 'resnet50'?"), ("zzz", ""), ("", "")],
)
def test_the_nearest_choice_is_suggested(given, expected):
    assert suggest(given, ["vgg10", "vgg16", "vgg19", "resnet50"]) == expected


@pytest.mark.parametrize(
    ("settings", "meant"),
    [
        ({"recipe": "quickstrat"}, "quickstart"),
        ({"recipe": "quickstart", "data.resize": "corp"}, "crop"),
        ({"recipe": "quickstart", "head.pooling": "AVG"}, "avg"),
    ],
)
def test_values_of_settings(settings, meant):
    with pytest.raises(ConfigError, match=f"Did you mean '{meant}'"):
        resolve(None, settings)


@pytest.mark.parametrize(
    ("words", "meant", "kind"),
    [
        (["train", "--model", "vgg61", "--dry-run"], "vgg16", ModelError),
        (["train", "--model", "ResNet50", "--dry-run"], "resnet50", ModelError),
        (["train", "--recipe", "quickstart", "--dataset", "cifar-10", "--dry-run"], "cifar10", DataError),
    ],
)
def test_names_on_the_command_line(words, meant, kind):
    result = CliRunner().invoke(root.cli, words)
    assert isinstance(result.exception, kind)
    assert f"Did you mean '{meant}'?" in str(result.exception)


SPACE = """\
recipe = "quickstart"
objective = "val/accuracy"
sampler = { name = "tpe", seed = 1 }
pruner = "median"
trials = 2
[space]
head.dropout = { distribution = "uniform", low = 0.0, high = 0.6 }
"""


@pytest.mark.parametrize(
    ("right", "wrong", "meant"),
    [
        ("val/accuracy", "accuracy", "val/accuracy"),
        ("val/accuracy", "validation/accuracy", "val/accuracy"),
        ("val/accuracy", "val/acuracy", "val/accuracy"),
        ('"tpe"', '"tep"', "tpe"),
        ('"median"', '"mediam"', "median"),
        ('"uniform"', '"unifrom"', "uniform"),
        ("quickstart", "quickstrat", "quickstart"),
        ("seed =", "sed =", "seed"),
        ("low =", "lo =", "low"),
        ("trials =", "trails =", "trials"),
    ],
)
def test_every_name_in_the_file_of_a_space(right, wrong, meant):
    assert space_file.read(SPACE, "s", {}).parameters
    with pytest.raises(ConfigError, match=f"Did you mean '{meant}'"):
        space_file.read(SPACE.replace(right, wrong, 1), "s", {})


def test_a_value_without_choices_has_no_suggestion():
    with pytest.raises(ConfigError, match=r"got 'abc'\.$"):
        parse_value("head.dropout", "abc")


@pytest.mark.parametrize("words", [["-h"], ["train", "-h"], ["server", "user", "add", "-h"]])
def test_the_short_option_for_help(words):
    """In a process of its own: click keeps the help option of a command that a test has called without its group."""
    command = [sys.executable, "-m", "tinybench", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.startswith("Usage:")
