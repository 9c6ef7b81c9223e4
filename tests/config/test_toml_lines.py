"""Keys are found on their lines, however TOML lets them be written."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from tinybench.config import toml_lines

TEXT = """\
# a comment
recipe = "x"   # line 2

[settings]
head.dropout = 0.3
"head.l2" = 1e-4
data = { classes = 3, per_class = 4 }
# and
note = '''
[space]
'''

[space.transfer]
lr = { low = 1, high = [
  2,
] }

[[first]]
"transfer.lr" = 1

[[first]]
"transfer.lr" = 2
"""


def test_every_way_of_writing_a_key_has_its_line():
    tomllib.loads(TEXT)
    found = toml_lines.find_lines(TEXT)
    expected = {
        ("recipe",): 2,
        ("settings",): 4,
        ("settings", "head", "dropout"): 5,
        ("settings", "head.l2"): 6,
        ("settings", "data", "classes"): 7,
        ("settings", "note"): 9,
        ("space", "transfer"): 13,
        ("space", "transfer", "lr"): 14,
        ("space", "transfer", "lr", "high"): 14,
        ("first", "0"): 18,
        ("first", "0", "transfer.lr"): 19,
        ("first", "1", "transfer.lr"): 22,
    }
    assert {path: found[path] for path in expected} == expected
    assert ("space",) not in found  # the one in the text is not a header


names = st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True)
values = st.one_of(st.integers(-5, 5), st.booleans(), st.just('"a = 1"'), st.just("[1,\n2]"))


@given(st.dictionaries(names, st.dictionaries(names, values, min_size=1), min_size=1))
def test_every_key_of_any_text_has_the_line_that_it_stands_on(tables):
    lines = []
    expected = {}
    for table, inside in tables.items():
        lines.append(f"[{table}]")
        expected[(table,)] = len(lines)
        for key, value in inside.items():
            expected[(table, key)] = len("\n".join(lines).splitlines()) + 1
            lines += f"{key} = {str(value).lower() if isinstance(value, bool) else value}".splitlines()
    text = "\n".join(lines)
    tomllib.loads(text)
    assert {path: line for path, line in toml_lines.find_lines(text).items() if path in expected} == expected
