"""Settings from a file are those of the command line."""

from __future__ import annotations

import pytest

from tinybench.config import settings_file
from tinybench.core.errors import ConfigError
from tinybench.recipes.resolve import resolve


def written(folder, text):
    file = folder / "best.toml"
    file.write_text(text)
    return file


def test_dots_and_tables_are_one(tmp_path):
    text = 'recipe = "quickstart"\n"head.dropout" = 0.25\n[transfer]\nlr = 1e-3\nviews = "live"\n'
    found = settings_file.read(written(tmp_path, text))
    assert found == {"recipe": "quickstart", "head.dropout": 0.25, "transfer.lr": 1e-3, "transfer.views": "live"}
    config = resolve(None, found)
    assert (config.recipe, config.head.dropout, config.transfer.lr) == ("quickstart", 0.25, 1e-3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("head.dropout = 2", "best.toml: Invalid value for `head.dropout`: expected a number in [0, 1), got 2."),
        ("head.dropuot = 0.2", "best.toml: Unknown key `head.dropuot`: did you mean `head.dropout`?"),
        ("head.dropout = ", "best.toml: not valid TOML"),
        ('"head.dropout" = 0.1\n[head]\ndropout = 0.1', "`head.dropout` is given twice"),
    ],
)
def test_a_mistake_is_told_with_the_file(tmp_path, text, words):
    with pytest.raises(ConfigError) as caught:
        settings_file.read(written(tmp_path, text))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_mistake(tmp_path, encoding):
    file = tmp_path / "best.toml"
    file.write_text("head.dropout = 0.25\n", encoding)
    assert settings_file.read(file) == {"head.dropout": 0.25}


def test_an_encoding_that_is_not_known_is_told_with_the_way_out(tmp_path):
    file = tmp_path / "best.toml"
    file.write_bytes("# café\nhead.dropout = 0.25\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"best.toml: it is not UTF-8 text: save it as UTF-8\.$"):
        settings_file.read(file)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"Cannot read .*absent.toml: No such file"):
        settings_file.read(tmp_path / "absent.toml")
