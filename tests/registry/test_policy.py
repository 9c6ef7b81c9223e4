"""Limits are what `gates.toml` says; a mistake is told with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinybench.core.errors import ConfigError
from tinybench.registry import policy
from tinybench.registry.policy import GATES, Policy


def test_without_a_file_the_usual_limits_hold():
    assert policy.read() == Policy()
    assert all(getattr(Policy(), gate) is not None for gate in GATES)


def test_a_file_in_the_folder_is_read_and_changes_what_it_names():
    Path("gates.toml").write_text(
        "[accuracy]\ndelta = 0.02\n[latency]\noff = true\n[size]\nmax_mb = 5\nmax_ratio = 'none'\n"
    )
    found = policy.read()
    assert found.accuracy.delta == 0.02
    assert found.latency is None
    assert (found.size.max_mb, found.size.max_ratio) == (5.0, None)
    assert found.classes == Policy().classes


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_mistake_and_lines_are_counted_as_before(encoding):
    Path("gates.toml").write_text("[accuracy]\ndelta = 0.02\n", encoding)
    assert policy.read().accuracy.delta == 0.02
    Path("gates.toml").write_text("[accuracy]\ndelt = 0.02\n", encoding)
    with pytest.raises(ConfigError, match="line 2: gate `accuracy` has no `delt`"):
        policy.read()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[speed]\n", "line 1: there is no gate `speed`: expected one of data, signature, accuracy"),
        ("[accuracy]\ndelt = 1\n", "line 2: gate `accuracy` has no `delt`: expected one of delta, min_accuracy, off"),
        ("[data]\nsame_fingerprint = 1\n", "line 2: `data.same_fingerprint`: expected true or false, got 1"),
        ("[accuracy]\ndelta = -0.1\n", "line 2: `accuracy.delta`: expected a number from 0, got -0.1"),
        ("[accuracy]\ndelta = 'none'\n", "line 2: `accuracy.delta`: expected a number from 0, got 'none'"),
        ("[size]\nmax_mb = true\n", "line 2: `size.max_mb`: expected a number from 0, or none, got True"),
        ("[latency]\nrounds = 1.5\n", "line 2: `latency.rounds`: expected a whole number in 1..20, got 1.5"),
        ("[latency]\noff = 1\n", "line 2: `latency.off`: expected true or false, got 1"),
        ("accuracy = 3\n", "line 1: `accuracy`: expected a table of limits, got 3"),
        ("[accuracy\n", "not valid TOML"),
    ],
)
def test_a_mistake_is_told_with_its_line(text, words):
    with pytest.raises(ConfigError) as caught:
        policy.parse(text)
    assert f"gates.toml, {words}" in str(caught.value) or words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(ConfigError, match=r"Cannot read the gates absent\.toml"):
        policy.read(Path("absent.toml"))


def test_the_limits_in_the_documentation_are_the_usual_ones():
    text = (Path(__file__).parents[2] / "docs" / "promotion.md").read_text("utf-8")
    (block,) = [block for block in text.split("```toml\n")[1:] if "[accuracy]" in block]
    assert policy.parse(block.partition("```")[0]) == Policy()
