"""The public functions load the libraries before they work, and without a line of theirs."""

from __future__ import annotations

from processes import python

QUIET = """
import tinybench
from tinybench.core.errors import TinybenchError

for call in (
    lambda: tinybench.evaluate("last"), lambda: tinybench.resume("last"), lambda: tinybench.finetune("last"),
    lambda: tinybench.export("last"), lambda: tinybench.promote(dry_run=True),
):
    try:
        call()
    except TinybenchError as error:
        print(error)
"""


def test_functions_print_no_line_of_a_library() -> None:
    output, errors = python(QUIET).communicate(timeout=120)
    assert errors == ""
    assert output.count("There is no store sqlite:///") == 5
