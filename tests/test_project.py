"""The files that make the repository an MLflow project agree with the package."""

from __future__ import annotations

import re
import string
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tinybench.config.run_config import canonical_key

ROOT = Path(__file__).parents[1]
PROJECT = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))
POINTS = PROJECT["entry_points"]
DEPENDENCIES = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
MAIN = (
    "recipe model dataset data_root weights image_size batch_size scratch_epochs scratch_lr transfer_epochs "
    "transfer_lr finetune_epochs finetune_lr finetune_unfreeze dropout l2 seed"
)


def test_entry_points():
    assert {"main", "transfer", "finetune", "evaluate", "measure", "sweep", "benchmark"} <= set(POINTS)
    assert (ROOT / PROJECT["conda_env"]).is_file()


def test_parameters_of_main():
    assert set(MAIN.split()) <= set(POINTS["main"]["parameters"])


@pytest.mark.parametrize("point", list(POINTS))
def test_every_parameter_is_used_and_every_use_declared(point):
    used = {name for _, name, _, _ in string.Formatter().parse(POINTS[point]["command"]) if name}
    assert used == set(POINTS[point].get("parameters", {}))


@pytest.mark.parametrize("point", ["main", "transfer", "finetune", "evaluate"])
def test_every_parameter_is_a_setting(point):
    for name in set(POINTS[point]["parameters"]) - {"run_id", "split"}:
        assert canonical_key(name)


def test_conda_installs_what_the_package_needs():
    (pip,) = [
        item["pip"]
        for item in yaml.safe_load((ROOT / "conda.yaml").read_text(encoding="utf-8"))["dependencies"]
        if isinstance(item, dict)
    ]
    assert pip == DEPENDENCIES


def test_the_lock_pins_versions_and_holds_no_address():
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+(\[[a-z0-9,-]+\])?==[A-Za-z0-9.+!]+( *; .+)?", line), line
        assert "http:" not in line
        assert "https:" not in line


@pytest.mark.parametrize("dependency", DEPENDENCIES)
def test_the_lock_satisfies_the_ranges(dependency):
    wanted = Requirement(dependency)
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [pin for pin in map(Requirement, lines) if pin.name.lower() == wanted.name.lower()]
    assert pins
    for pin in pins:
        (version,) = pin.specifier
        assert wanted.specifier.contains(version.version, prereleases=True)


def test_no_two_test_files_have_one_name():
    """pytest would take the second for the first."""
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
