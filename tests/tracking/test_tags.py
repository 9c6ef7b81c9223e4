"""Names of tags stand in one file, so that a store is read by the names that it was written with."""

from __future__ import annotations

import ast
from pathlib import Path

import tinybench
from tinybench.tracking import tags

NAMES = {value for name, value in vars(tags).items() if name.isupper() and isinstance(value, str)}


def test_no_other_module_spells_the_name_of_a_tag():
    package = Path(tinybench.__file__).parent
    spelled = [
        f"{path.relative_to(package)}:{node.lineno}"
        for path in package.rglob("*.py")
        if path != Path(tags.__file__)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value in {name for name in NAMES if "." in name}
    ]
    assert spelled == []


def test_tags_that_stores_hold_keep_their_names():
    assert {name for name in NAMES if name.startswith("tinybench")} == {
        "tinybench",
        "tinybench.benchmark",
        "tinybench.benchmark.left_out",
        "tinybench.cell",
        "tinybench.cell.key",
        "tinybench.cell.workers",
        "tinybench.config_hash",
        "tinybench.copied_aliases",
        "tinybench.copied_from",
        "tinybench.copy_hash",
        "tinybench.copy_owner",
        "tinybench.decision.",
        "tinybench.entry",
        "tinybench.error",
        "tinybench.fold",
        "tinybench.heartbeat",
        "tinybench.journal",
        "tinybench.kind",
        "tinybench.looks.",
        "tinybench.model_uri",
        "tinybench.moved.",
        "tinybench.phase",
        "tinybench.process",
        "tinybench.remote_checkpoints",
        "tinybench.seed",
        "tinybench.source_run",
        "tinybench.study",
        "tinybench.trial",
        "tinybench.trial.state",
        "tinybench.winner",
    }
    assert tags.SAME_TEST_IMAGES == ("data.fingerprint", "data.test_hash")
