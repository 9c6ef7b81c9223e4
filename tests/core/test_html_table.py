"""Tables for notebooks: what is in them is text."""

from __future__ import annotations

from tinybench.core.html_table import html_table


def test_values_become_cells():
    table = html_table(["name", "value"], [("a", 0.123456), ("b", None), ("c", 3), ("d", float("nan"))], "Scores")
    assert "<caption>Scores</caption>" in table
    assert "<th>name</th><th>value</th>" in table
    assert table.count("<tr>") == 5
    assert "<td>a</td><td>0.1235</td>" in table
    assert "<td>b</td><td></td>" in table
    assert "<td>c</td><td>3</td>" in table
    assert "<td>d</td><td></td>" in table


def test_a_name_is_never_markup():
    table = html_table(["<b>"], [("<script>alert(1)</script>",)], "<i>")
    assert "<script>" not in table
    assert "&lt;script&gt;" in table
    assert "<b>" not in table
    assert "<i>" not in table
