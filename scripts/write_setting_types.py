"""Write `tinybench/config/setting_types.py` from the settings of a run: `python scripts/write_setting_types.py`.

A test fails when the file is older than the settings.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path

from tinybench.config.run_config import SETTINGS, RunConfig

TARGET = Path(__file__).parents[1] / "tinybench" / "config" / "setting_types.py"

HEAD = '''"""Types of the settings as keyword arguments. Written by scripts/write_setting_types.py: do not edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class Settings(TypedDict, total=False):
    """The settings of a run, with underscores in place of the dots of a key."""
'''


def annotations(section: type, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield the dotted key and the type of each setting."""
    types = typing.get_type_hints(section)
    for field in dataclasses.fields(section):
        if dataclasses.is_dataclass(types[field.name]):
            yield from annotations(types[field.name], f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", types[field.name]


def as_source(annotation: object) -> str:
    """Return a type as source; a tuple may be given as any sequence."""
    text = annotation.__name__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation)
    return text.replace("tuple[", "Sequence[").replace(", ...]", "]")


def render() -> str:
    """Return the source of the module."""
    lines = []
    for key, annotation in annotations(RunConfig):
        lines += ["", f"    {key.replace('.', '_')}: {as_source(annotation)}", f'    """{SETTINGS[key].help}"""']
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render(), "utf-8")
