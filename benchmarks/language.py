"""Count what makes the code hard to read: vague names, docstrings without a verb, import cycles, names used twice.

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
VAGUE_NAME = re.compile(
    r"_*("
    r"about|again|answer|answers|apart|asked|begun|beside|chosen|done|drawn|each|findings|"
    r"found|fresh|given|held|judged|kept|known|left|looks|made|meanwhile|most|other|others|"
    r"own|part|parts|place|places|plain|reasons|right|said|seen|shown|story|such|taken|"
    r"these|thing|things|those|told|used|verdict|wanted|what|which|who|whole|word|words"
    r")_*"
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
    return VAGUE_NAME.fullmatch(name) is not None


def without_verb(node: ast.AST, text: str) -> bool:
    """Return whether the docstring of a function does not begin with a verb; a property may be a noun phrase."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    is_property = any("property" in ast.unparse(decorator) for decorator in node.decorator_list)
    return not is_property and bool(NO_VERB.match(text))


def cycles() -> list[list[str]]:
    """Return the groups of modules that import each other in a circle, imports inside functions included."""
    graph = grimp.build_graph("tinybench", exclude_type_checking_imports=True, cache_dir=None)
    upstream = {module: graph.find_upstream_modules(module) for module in graph.modules}
    groups = {
        frozenset({module, *(other for other in upstream[module] if module in upstream[other])})
        for module in graph.modules
    }
    return sorted(sorted(group) for group in groups if len(group) > 1)


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
                print(
                    f"{path.relative_to(PACKAGE.parent)}:{line}: docstring without a verb: {text.splitlines()[0][:60]}"
                )
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
