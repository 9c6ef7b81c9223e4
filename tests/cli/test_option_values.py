"""Values of options that are not settings: what is accepted, what leaves the default, and the message otherwise."""

from __future__ import annotations

import pytest

from tinybench.cli import option_values
from tinybench.core.errors import ConfigError


@pytest.mark.parametrize("text", [None, "", "recipe"])
def test_an_unset_value_leaves_the_default(text: str | None) -> None:
    assert option_values.none_if_unset(text) is None
    assert option_values.parse_count("--trials", text) is None
    assert option_values.parse_positive("--minutes", text) is None


def test_values_are_parsed() -> None:
    assert option_values.none_if_unset("a") == "a"
    assert option_values.parse_count("--trials", "3") == 3
    assert option_values.parse_positive("--minutes", "0.5") == 0.5
    assert option_values.parse_size("--to", "1.5 GiB", "20GB") == 3 * 2**29


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "x"])
def test_a_wrong_count_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=rf"`--trials`: expected a whole number of at least 1, got '{text}'\."):
        option_values.parse_count("--trials", text)


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "x"])
def test_a_wrong_number_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=rf"`--minutes`: expected a number above 0, got '{text}'\."):
        option_values.parse_positive("--minutes", text)


def test_a_wrong_size_is_refused_with_the_example() -> None:
    with pytest.raises(ConfigError, match=r"`--to`: expected a size such as 32MB, got '3XB'\."):
        option_values.parse_size("--to", "3XB", "32MB")


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://app.example.org", "https://app.example.org"),
        ("HTTPS://App.Example.org/", "https://app.example.org"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("https://a.org:443", "https://a.org"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("*", "*"),
    ],
)
def test_an_origin_is_what_browsers_send(text: str, origin: str) -> None:
    assert option_values.parse_origin("--cors", text) == origin


@pytest.mark.parametrize(
    "text",
    ["", "a.org", "localhost:3000", "https://a.org/app", "https://a.org?x", "file:///x", "null", "https://a.org:x",
     "https://*.a.org", "https://u@a.org", "https://", "http://["],
)  # fmt: skip
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"`--cors`: expected the origin of a page, such as https://app.example.org"):
        option_values.parse_origin("--cors", text)
