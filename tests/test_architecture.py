"""Who may import what, and how long a file may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tinybench

PACKAGE = Path(tinybench.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def modules(file: Path, *, lazy: bool = True) -> Iterator[str]:
    """Every module a file imports, but for types alone; without `lazy`, not those inside functions."""
    for node in nodes(ast.parse(file.read_text(encoding="utf-8")), lazy):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = ("tinybench", *file.relative_to(PACKAGE).parent.parts)
            start = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (start, node.module) if part)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def nodes(tree: ast.AST, lazy: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if not for_types(node) and (lazy or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))):
            yield node
            yield from nodes(node, lazy)


def for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def importers(package: str, *, lazy: bool = True) -> set[str]:
    return {name_of(file) for file in FILES if any(within(module, package) for module in modules(file, lazy=lazy))}


def test_there_is_something_to_look_at():
    assert "tracking/tracker.py" in importers("mlflow")
    assert "plots/training_curves.py" in importers("matplotlib")


def test_only_tracking_imports_mlflow():
    assert {name for name in importers("mlflow") if not name.startswith("tracking/")} == set()


@pytest.mark.parametrize(("package", "home"), [("matplotlib", "plots/"), ("optuna", "sweeps/")])
def test_only_its_home_imports(package, home):
    assert {name for name in importers(package) if not name.startswith(home)} == set()


@pytest.mark.parametrize("package", ["data", "models", "evaluation", "plots"])
def test_knows_nothing_of_tracking(package):
    assert {name for name in importers("tinybench.tracking") if name.startswith(package + "/")} == set()


def test_the_command_line_and_the_configuration_import_nothing_heavy():
    heavy = ("tensorflow", "keras", "mlflow", "optuna", "numpy", "sklearn", "matplotlib")
    light = (
        "__init__.py",
        "__main__.py",
        "cli/__init__.py",
        "cli/root.py",
        "cli/options.py",
        "cli/sweep_commands.py",
        "config/__init__.py",
        "config/run_config.py",
        "config/sections.py",
        "config/fields.py",
        "config/settings_file.py",
        "config/toml_lines.py",
        "config/toml_tables.py",
        "core/errors.py",
        "sweeps/space.py",
        "sweeps/space_file.py",
    )
    for package in heavy:
        assert importers(package, lazy=False).isdisjoint(light)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_file_has_a_telling_name_and_fits_the_eye(file):
    assert file.name not in ("utils.py", "util.py", "helpers.py")
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 350
