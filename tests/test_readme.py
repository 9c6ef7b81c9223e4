"""What the README says is so: commands, settings, recipes, data sets, metrics, variables."""

from __future__ import annotations

import ast
import itertools
import re
import shlex
from pathlib import Path

import click
import pytest
import yaml

from tinybench import data, recipes
from tinybench.cli import options, root
from tinybench.config import run_config
from tinybench.recipes.resolve import resolve

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
LINES = [line.split("  #")[0].strip() for kind, block in BLOCKS if not kind for line in block.splitlines()]
PROJECT = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]


def lines(start: str) -> list[str]:
    found = [line for line in LINES if line.startswith(start)]
    assert found
    return found


@pytest.mark.parametrize("line", lines("tinybench "))
def test_commands_are_taken(line):
    _, name, *words = shlex.split(line)
    command = root.cli.commands[name]
    while isinstance(command, click.Group):
        command, *words = command.commands[words[0]], *words[1:]
    context = command.make_context(name, words)
    given = {parameter.spec.name: context.params[parameter.name] for parameter in context.command.params
             if isinstance(parameter, options.Setting) and context.params[parameter.name]}  # fmt: skip
    assert resolve(None, {key: values[-1] for key, values in given.items()}).recipe


@pytest.mark.parametrize("line", lines("mlflow run"))
def test_mlflow_runs_name_entry_points_and_settings(line):
    words = shlex.split(line)
    point = words[words.index("-e") + 1] if "-e" in words else "main"
    for before, pair in itertools.pairwise(words):
        if before == "-P":
            name, _, value = pair.partition("=")
            assert (
                name in PROJECT[point]["parameters"] or run_config.parse_value(run_config.canonical_key(name), value) is not None
            )


@pytest.mark.parametrize("line", lines("make "))
def test_targets_of_make_exist(line):
    assert re.search(rf"^{line.split()[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("block", [block for kind, block in BLOCKS if kind == "python"])
def test_python_uses_what_there_is(block):
    import tinybench

    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "tinybench":
            assert node.attr in tinybench.__all__
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "result":
            assert hasattr(tinybench.Result, node.attr) or node.attr in tinybench.Result.__dataclass_fields__


def test_the_table_of_recipes_is_complete():
    rows = re.findall(r"^\| `([\w-]+)` \| (.*) \| (.*) \| ([\d +]+) \| (.*) \|$", README, re.MULTILINE)
    assert [row[0] for row in rows] == [*recipes.all_recipes()]
    for name, about, model, epochs, published in rows:
        built = recipes.build(name)
        assert epochs == " + ".join(str(getattr(built, phase).epochs) for phase in built.phases)
        assert f"`{built.model}`" in model
        assert (f", {built.data.folds} folds" in about) == bool(built.data.folds)
        known = {f"{each.value:.4g}" for each in recipes.all_recipes()[name].expected}
        assert set(re.findall(r"[\d.]+", published)) <= known


def test_every_data_set_is_named():
    assert all(f"`{name}`" in README for name in data.names())


def test_every_variable_that_is_named_is_read():
    readers = [*(ROOT / "tinybench").rglob("*.py"), ROOT / "tests" / "conftest.py"]
    source = "".join(path.read_text(encoding="utf-8") for path in readers)
    for name in set(re.findall(r"TINYBENCH_\w+", README)):
        assert name in source, name


def test_every_dotted_key_that_is_named_is_a_setting():
    sections = {key.split(".")[0] for key in run_config.SETTINGS if "." in key}
    for key in re.findall(r"`(?:--)?([a-z]+\.[a-z0-9_]+)`", README):
        if key.split(".")[0] in sections - {"data"} or (key.startswith("data.") and key != "data.json"):
            assert run_config.canonical_key(key) == key
