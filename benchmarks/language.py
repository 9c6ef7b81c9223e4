"""Count what makes the code hard to read for a stranger: vague names, docstrings without a verb, cycles, stems used twice.

Run `python -m benchmarks.language` for the table, `python -m benchmarks.language tinybench/data` to list the places.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grimp

PACKAGE = Path(__file__).parents[1] / "tinybench"
VAGUE_NAMES = frozenset(
    """about again answer answers apart asked begun beside chosen done drawn each findings found fresh given held
    judged kept known left looks made meanwhile most other others own part parts place places plain reasons right
    said seen shown story such taken these thing things those told used verdict wanted what which who whole word
    words""".split()
)
NO_VERB = re.compile(r"(What|How|Whether|Of|As|Why|Where|Who|Which|That|The|A|An|All|One|For|With|From|No|So|It)\b")
QUESTIONS = re.compile(r"(What|How|Whether|Of|As)\b")


def bindings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the name of each assignment, parameter, function, class and attribute that is set."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def docstrings(tree: ast.AST) -> Iterator[tuple[int, ast.AST, str]]:
    """Yield the line, the node and the text of each docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), node, text


def vague(name: str) -> bool:
    """Return whether a name is a word that says nothing of what it is bound to."""
    return name.strip("_") in VAGUE_NAMES


def without_verb(node: ast.AST, text: str) -> bool:
    """Return whether the docstring of a function begins with something else than what the function does."""
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and bool(NO_VERB.match(text))


def cycles() -> list[list[str]]:
    """Return the groups of modules that import each other in a circle, imports inside functions included."""
    graph = grimp.build_graph("tinybench", exclude_type_checking_imports=True, cache_dir=None)
    reachable = {module: graph.find_upstream_modules(module) for module in graph.modules}
    groups = {
        tuple(sorted(other for other in reachable[module] | {module} if module in reachable[other] or other == module))
        for module in graph.modules
        if module in {name for found in reachable[module] for name in reachable[found]}
    }
    return [list(group) for group in sorted(groups) if len(group) > 1]


def repeated(names: Iterator[str]) -> list[str]:
    """Return the names that occur more than once."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


def main(folders: list[str]) -> None:
    """Print the table, or the places in some folders."""
    files = {path: ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
    names = [(path, line, name) for path, tree in files.items() for line, name in bindings(tree)]
    texts = [(path, line, node, text) for path, tree in files.items() for line, node, text in docstrings(tree)]
    for folder in folders:
        for path, line, name in names:
            if vague(name) and path.is_relative_to(Path(folder).resolve()):
                print(f"{path.relative_to(PACKAGE.parent)}:{line}: vague name {name}")
        for path, line, node, text in texts:
            if without_verb(node, text) and path.is_relative_to(Path(folder).resolve()):
                print(f"{path.relative_to(PACKAGE.parent)}:{line}: docstring without a verb: {text.splitlines()[0][:60]}")
    if folders:
        return
    functions = [(node, text) for _, _, node, text in texts if not isinstance(node, ast.Module | ast.ClassDef)]
    classes = (
        node.name
        for tree in files.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    vague_names = sum(vague(name) for _, _, name in names)
    rows = {
        "name bindings": str(len(names)),
        "generic names": f"{vague_names} ({100 * vague_names / len(names):.1f} %)",
        "docstrings that begin What, How, Whether, Of, As": _share(QUESTIONS.match(text) for *_, text in texts),
        "docstrings of functions that begin without a verb": _share(without_verb(*each) for each in functions),
        "import cycles": str(len(cycles())),
        "stems of two files": ", ".join(repeated(path.stem for path in files if path.stem != "__init__")) or "0",
        "names of two classes": ", ".join(repeated(classes)) or "0",
        "files at the top": str(len(list(PACKAGE.glob("*.py")))),
    }
    for name, value in rows.items():
        print(f"{name:<52}{value}")


def _share(hits: Iterator[object]) -> str:
    flags = [bool(hit) for hit in hits]
    return f"{sum(flags)} of {len(flags)} ({100 * sum(flags) / len(flags):.1f} %)"


if __name__ == "__main__":
    main(sys.argv[1:])
