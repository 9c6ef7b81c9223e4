"""What the pages say is so: commands, settings, recipes, data sets, variables, files, modules, links."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import itertools
import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import click
import mlflow.cli
import pages
import pytest
import yaml
from pages import ROOT, Page

import tinybench
from tinybench import data, recipes
from tinybench.benchmark import grid_file
from tinybench.cli import options, root
from tinybench.commands.measure import MeasureResult
from tinybench.config import run_config, settings_file
from tinybench.evaluation.comparison import Comparison
from tinybench.recipes.resolve import resolve
from tinybench.registry import policy
from tinybench.registry.promotion import PromotionResult
from tinybench.sweeps import space_file
from tinybench.sweeps.sweep_result import SweepResult
from tinybench.tracking.results import Result

PAGES = pages.read_pages()
TEXT = "\n".join(page.text for page in PAGES)
INLINE_CODE = sorted({code for page in PAGES for code in page.inline_code})
COMMANDS = sorted({tuple(command) for page in PAGES for command in page.commands()})
PROJECT = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))["entry_points"]
SETUP = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
SOURCE = "".join(file.read_text(encoding="utf-8") for file in sorted((ROOT / "tinybench").rglob("*.py")))
RESULTS = {result.__name__: result for result in (Result, Comparison, MeasureResult, PromotionResult, SweepResult)}
PRIVATE_VARIABLES = {"TINYBENCH_SERVE", "TINYBENCH_SHARE", "TINYBENCH_WORKER"}  # from a process to its children
# Programs whose words are not checked
PROGRAMS = {
    "./prepare.sh",
    "cd",
    "curl",
    "docker",
    "export",
    "git",
    "kill",
    "mkdocs",
    "pre-commit",
    "source",
    ".ci/run",
}
EXECUTED_ELSEWHERE = {"", "sh", "bash", "console", "text"}


def every_page(argument: str = "page") -> pytest.MarkDecorator:
    return pytest.mark.parametrize(argument, PAGES, ids=lambda page: page.name)


def blocks(*kinds: str) -> list[Any]:
    found = [(page, block) for page in PAGES for kind, block in page.blocks if kind in kinds]
    return [pytest.param(block, id=f"{page.name}-{index}") for index, (page, block) in enumerate(found)]


def commands(*start: str) -> list[Any]:
    matching = [command for command in COMMANDS if command[: len(start)] == start]
    assert matching
    return [pytest.param([*command], id=" ".join(command)) for command in matching]


def test_every_subject_has_its_page():
    names = {page.name for page in PAGES}
    subjects = "concepts architecture recipes data sweeps measuring features promotion serving python results"
    assert names >= {"README.md", "CONTRIBUTING.md", *(f"docs/{subject}.md" for subject in subjects.split())}


def test_the_readme_is_short():
    assert (ROOT / "README.md").stat().st_size <= 8192


# Commands


@pytest.mark.parametrize("words", commands("tinybench"))
def test_commands_are_taken(words):
    while words[1:2] == ["--debug"]:
        del words[1]
    context = find_command(words[1:])
    given = {parameter.spec.name: context.params[parameter.name] for parameter in context.command.params
             if isinstance(parameter, options.Setting) and context.params[parameter.name]}  # fmt: skip
    assert resolve(None, {key: values[-1] for key, values in given.items()}).recipe


def find_command(words: list[str]) -> click.Context:
    """Parse the words of a command as the command line does."""
    name, *words = words
    command = root.cli.commands[name]
    while isinstance(command, click.Group):
        context = command.make_context(name, [*words])
        words = [*context._protected_args, *context.args]
        if not words:
            return context
        name, *words = words
        command = command.commands[name]
    return command.make_context(name, words)


@pytest.mark.parametrize("words", commands("mlflow"))
def test_commands_of_mlflow_are_taken(words):
    _, name, *words = words
    command = mlflow.cli.cli.get_command(click.Context(mlflow.cli.cli), name)
    while isinstance(command, click.Group):
        name, *words = words
        command = command.get_command(click.Context(command), name)
    assert command.make_context(name, words).params


@pytest.mark.parametrize("words", commands("mlflow", "run"))
def test_mlflow_runs_name_entry_points_and_settings(words):
    assert words[2] == "."
    point = words[words.index("-e") + 1] if "-e" in words else "main"
    assert point in PROJECT
    for before, pair in itertools.pairwise(words):
        if before == "-P":
            name, _, value = pair.partition("=")
            if name not in PROJECT[point]["parameters"]:
                assert run_config.parse_value(run_config.canonical_key(name), value) is not None


@pytest.mark.parametrize("words", commands("make"))
def test_targets_of_make_exist(words):
    for target in words[1:]:
        assert "=" in target or re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize("words", commands("pip", "install"))
def test_what_pip_installs_are_extras(words):
    for extras in re.findall(r"\.\[([\w,-]+)\]", " ".join(words)):
        assert set(extras.split(",")) <= {*SETUP["project"]["optional-dependencies"], "NAME"}


def test_every_other_command_is_known():
    for program, *words in COMMANDS:
        name = program.removeprefix(".venv/bin/")
        if name.startswith("python"):
            check_python(words)
        elif name == "pytest":
            check_pytest(words)
        else:
            assert name in {"tinybench", "mlflow", "make", "pip", *PROGRAMS}, (program, *words)


def test_commands_within_a_line_are_known():
    for code in INLINE_CODE:
        program, *words = code.split()[:3]
        if program == "tinybench" and words and not words[0].startswith("-"):
            assert words[0] in root.cli.commands, code
        elif program == "make":
            assert all(re.search(rf"^{word}:", MAKEFILE, re.MULTILINE) for word in words[:1]), code
        elif program == "python" and "-m" in words:
            check_python(words)
        elif program == "pytest":
            check_pytest(code.split()[1:])
        elif code.startswith("mlflow run"):
            point = re.search(r"-e (\w+)", code)
            assert (point[1] if point else "main") in PROJECT, code


def check_python(words: list[str]) -> None:
    """Check that the module or the file exists."""
    if "-m" in words:
        name = words[words.index("-m") + 1]
        path = ROOT / name.replace(".", "/")
        assert path.with_suffix(".py").is_file() or path.is_dir() or importlib.util.find_spec(name), words
        if name == "pytest":
            check_pytest(words[words.index("-m") + 2 :])
    elif words and words[0].endswith(".py"):
        assert (ROOT / words[0]).is_file(), words


def check_pytest(words: list[str]) -> None:
    """Check that files and markers exist."""
    markers = {marker.partition(":")[0] for marker in SETUP["tool"]["pytest"]["ini_options"]["markers"]}
    for before, word in itertools.pairwise(["", *words]):
        if before == "-m":
            assert set(re.findall(r"\w+", word)) - {"not", "or", "and"} <= markers, words
        elif word.startswith("tests"):
            assert (ROOT / word.partition("::")[0]).exists(), words


# Blocks


@every_page()
def test_every_block_is_of_a_kind_that_is_checked(page):
    checked = {"python", "toml", "json", "yaml", *EXECUTED_ELSEWHERE}
    assert {kind for kind, _ in page.blocks} <= checked
    assert page.text.count("```") == 2 * len(page.blocks) + page.text.count("````")


@pytest.mark.parametrize("block", blocks("python"))
def test_python_uses_what_there_is(block):
    types: dict[str, type] = {"result": Result}
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and is_public(node.value):
            returned = getattr(tinybench, node.value.func.attr).__annotations__.get("return")
            if returned in RESULTS:
                types[node.targets[0].id] = RESULTS[returned]
    for node in ast.walk(ast.parse(block)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "tinybench":
                assert node.attr in tinybench.__all__
            elif node.value.id in types:
                check_attribute(types[node.value.id], node.attr)
        elif isinstance(node, ast.Call) and is_public(node):
            check_arguments(node)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tinybench"):
            module = importlib.import_module(node.module)
            for name in node.names:
                assert hasattr(module, name.name) or importlib.util.find_spec(f"{node.module}.{name.name}"), name.name


def is_public(node: ast.AST) -> bool:
    """Return whether a node is a call such as `tinybench.train(…)`."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "tinybench"
    )


def check_attribute(result: type, name: str) -> None:
    assert hasattr(result, name) or name in result.__dataclass_fields__, (result, name)


def check_arguments(call: ast.Call) -> None:
    """Check that a public function takes the keywords, and that settings have values that are allowed."""
    function = getattr(tinybench, call.func.attr)
    if isinstance(function, type):
        return
    parameters = inspect.signature(function).parameters
    for keyword in call.keywords:
        name = keyword.arg
        assert name is None or name in parameters, name
        if name in run_config.ALIASES and isinstance(keyword.value, ast.Constant):
            run_config.parse_value(run_config.canonical_key(name), keyword.value.value)


@pytest.mark.parametrize("block", blocks("toml"))
def test_toml_is_what_its_reader_takes(block, tmp_path):
    keys = tomllib.loads(block).keys()
    if "space" in keys:
        assert space_file.read(block, "example").parameters
    elif "benchmark" in keys:
        grid, _ = grid_file.read(block, "example", file_name="example.toml")
        assert grid.build_cells()
    elif keys <= set(policy.GATES):
        assert policy.parse(block)
    else:
        file = tmp_path / "settings.toml"
        file.write_text(block, encoding="utf-8")
        assert settings_file.read(file)


@pytest.mark.parametrize(("kind", "load"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_data_can_be_parsed(kind, load):
    for parameter in blocks(kind):
        assert load(parameter.values[0]) is not None


# Tables and names


def test_the_table_of_recipes_is_complete():
    rows = re.findall(r"^\| `([\w-]+)` \| (.*) \| (.*) \| ([\d +]+) \| (.*) \|$", TEXT, re.MULTILINE)
    assert [row[0] for row in rows] == [*recipes.all_recipes()]
    for name, about, model, epochs, published in rows:
        config = recipes.build(name)
        assert epochs == " + ".join(str(getattr(config, phase).epochs) for phase in config.phases)
        assert f"`{config.model}`" in model
        assert (f", {config.data.folds} folds" in about) == bool(config.data.folds)
        known = {f"{expected.value:.4g}" for expected in recipes.all_recipes()[name].expected}
        assert set(re.findall(r"[\d.]+", published)) <= known


def test_every_data_set_is_named():
    assert all(f"`{name}`" in TEXT for name in data.names())


def test_every_command_is_named():
    commands = root.cli.commands.items()
    assert not [name for name, command in commands if not command.hidden and f"tinybench {name}" not in TEXT]


def test_every_public_function_is_named():
    assert not [name for name in tinybench.__all__ if f"`tinybench.{name}" not in TEXT and f"`{name}`" not in TEXT]


def test_every_variable_that_is_named_is_read():
    others = (ROOT / "tests" / "conftest.py", ROOT / "docker" / "compose.yaml")
    readers = SOURCE + "".join(file.read_text(encoding="utf-8") for file in others)
    for name in set(re.findall(r"TINYBENCH_\w+", TEXT)):
        assert name in readers, name


def test_every_variable_that_is_read_is_named():
    assert set(re.findall(r"TINYBENCH_[A-Z_]+", SOURCE)) - PRIVATE_VARIABLES <= set(re.findall(r"TINYBENCH_\w+", TEXT))


def test_every_dotted_key_that_is_named_is_a_setting():
    sections = {key.split(".")[0] for key in run_config.SETTINGS if "." in key}
    for key in re.findall(r"`(?:--)?([a-z]+\.[a-z0-9_]+)`", TEXT):
        section, name = key.split(".")
        if section in sections and not is_file_name(name) and not is_defined(f"tinybench.{key}") and not is_tag(key):
            assert run_config.canonical_key(key) == key


def is_file_name(extension: str) -> bool:
    return extension in ("json", "csv", "npz", "png", "py", "toml", "keras", "md", "html")


def is_tag(name: str) -> bool:
    return f'"{name}"' in (ROOT / "tinybench" / "tracking" / "tags.py").read_text(encoding="utf-8")


@cache
def is_defined(name: str) -> bool:
    """Return whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            value: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(value, part) and part not in getattr(value, "__annotations__", {}):
                return False
            value = getattr(value, part, None)
        return True
    return False


@every_page()
def test_every_module_that_is_named_exists(page):
    for name in set(re.findall(r"\btinybench(?:\.[A-Za-z_]\w*)+", page.text)):
        assert is_defined(name) or is_tag(name) or is_file_name(name.rpartition(".")[2]), name


@every_page()
def test_every_file_that_is_named_exists(page):
    folders = (ROOT, ROOT / "tinybench", ROOT / "tests")
    tops = "|".join(
        folder.name for folder in ROOT.iterdir() if folder.is_dir() and not folder.name.startswith((".", "ml", "site"))
    )
    names = set(re.findall(rf"(?<![\w/.~-])((?:{tops}|\.ci)/[\w./*-]*\w)", page.text))
    names |= {code for code in page.inline_code if re.fullmatch(r"[\w/-]+/[\w*-]+\.py", code)}
    for name in names:
        if re.search(r"[A-Z]{2,}", name.replace("README", "").replace("CONTRIBUTING", "")):
            continue  # a placeholder, such as NAME.py
        assert any([*folder.glob(name)] for folder in folders) or name.startswith(NOT_FILES), name


NOT_FILES = ("data/",)  # subfolders of a user's folders


@every_page()
def test_every_artifact_that_is_named_is_logged(page):
    for folder, stem in re.findall(r"`(figures|tables|predictions)/(\w+)\.\w+`", page.text):
        assert re.search(rf"\b{stem}\b", SOURCE), (folder, stem)


# Links


@every_page()
def test_every_link_leads_somewhere(page):
    anchors = {other.path: other.anchors for other in PAGES}
    for target in page.links:
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.path.parent / path).resolve() if path else page.path
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if anchor:
            assert anchor in anchors[file], target


@every_page()
def test_every_image_exists(page):
    for target in page.images:
        file = page.path.parent / target
        assert file.is_file(), target
        assert file.stat().st_size < 300_000, target


def test_there_is_a_picture_of_the_runs():
    assert any("compare-runs.png" in image for page in PAGES for image in page.images if page.name == "README.md")


def test_links_are_found():
    text = "[a](x.md#b) ![c](d.png) [![e](f.png)](g.md) `[no](h.md)`\n\n```\n[no](i.md)\n```\n[j]: k.md\n## A `b`, c!\n"
    page = Page(ROOT / "x.md", text)
    assert {"x.md#b", "d.png", "f.png", "g.md", "k.md"} == set(page.links)
    assert page.images == ["d.png", "f.png"]
    assert "a-b-c" in page.anchors


def test_commands_are_found():
    text = "```\nX=1 make a && tinybench b 'c d'  # e\npython f > g \\\n  h\n```\n"
    text += "```text\nno\n```\n```text\n$ curl x\n{}\n```\n"
    page = Page(ROOT / "x.md", text)
    assert [*page.commands()] == [["make", "a"], ["tinybench", "b", "c d"], ["python", "f", "h"], ["curl", "x"]]


def test_the_site_is_built_without_a_warning(tmp_path: Path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--config-file", ROOT / "mkdocs.yml"]
    done = subprocess.run(
        [*command, "--site-dir", tmp_path / "site"], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "site" / "index.html").is_file()
