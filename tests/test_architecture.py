"""What import-linter cannot say: what is loaded at start, and that names are found once and mean something.

The layers themselves are contracts in pyproject.toml, checked by `make lint`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tinybench
from benchmarks import language

PACKAGE = Path(tinybench.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("tensorflow", "keras", "mlflow", "optuna", "numpy", "sklearn", "matplotlib")
LIGHT = (
    *("__init__.py", "__main__.py", "cli", "config", "core/errors.py", "core/paths.py", "core/redaction.py"),
    *("recipes", "sweeps/space.py", "sweeps/space_file.py", "registry/policy.py", "training/run_callbacks.py"),
)


def name_of(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def imported_at_start(file: Path) -> Iterator[str]:
    """Yield every module that a file imports outside functions, those for types alone left out."""

    def visit(tree: ast.AST) -> Iterator[str]:
        for node in ast.iter_child_nodes(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or for_types(node):
                continue
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module
            yield from visit(node)

    return visit(ast.parse(file.read_text(encoding="utf-8")))


def for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_there_is_something_to_look_at():
    assert "mlflow" in imported_at_start(PACKAGE / "tracking" / "tracker.py")
    assert "keras" in imported_at_start(PACKAGE / "training" / "loop.py")


@pytest.mark.parametrize("file", [file for file in FILES if name_of(file).startswith(LIGHT)], ids=name_of)
def test_the_command_line_and_the_configuration_import_nothing_heavy_at_start(file):
    assert {module.partition(".")[0] for module in imported_at_start(file)}.isdisjoint(HEAVY)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_file_has_a_telling_name_and_fits_the_eye(file):
    assert file.name not in ("utils.py", "util.py", "helpers.py")
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 350


def test_a_stem_is_that_of_one_file():
    assert language.repeated(file.stem for file in FILES if file.stem != "__init__") == []


def test_the_package_has_three_files_at_its_top():
    assert sorted(file.name for file in PACKAGE.glob("*.py")) == ["__init__.py", "__main__.py", "api.py"]


def test_no_module_imports_itself_by_way_of_others():
    assert language.cycles() == []


def test_names_say_what_they_are_bound_to():
    names = [name for file in FILES for _, name in language.bindings(ast.parse(file.read_text(encoding="utf-8")))]
    assert sum(map(language.vague, names)) / len(names) < 0.01


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_docstrings_of_functions_begin_with_a_verb(file):
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert [text for _, node, text in language.docstrings(tree) if language.without_verb(node, text)] == []
