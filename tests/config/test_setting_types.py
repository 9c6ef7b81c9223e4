"""The types of the settings are those that the settings have."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from tinybench.config.run_config import SETTINGS
from tinybench.config.setting_types import Settings

SCRIPT = Path(__file__).parents[2] / "scripts" / "write_setting_types.py"


def test_the_file_is_up_to_date():
    spec = importlib.util.spec_from_file_location("write_setting_types", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.TARGET.read_text("utf-8") == module.render(), "run python scripts/write_setting_types.py"


def test_every_setting_has_a_type():
    assert list(Settings.__annotations__) == [key.replace(".", "_") for key in SETTINGS]
