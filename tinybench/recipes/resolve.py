"""Resolve a recipe and some settings to the configuration of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinybench import recipes
from tinybench.config.run_config import UNSET_VALUES, RunConfig, canonical_overrides, replace


def resolve(recipe: str | None = None, overrides: Mapping[str, Any] | None = None) -> RunConfig:
    """Return the configuration of a recipe with some settings replaced, each value checked.

    Args:
        recipe: A recipe's name; the default recipe when None.
        overrides: Values by dotted key, as text or as Python values; `recipe` among them takes precedence over the
            argument. A value that is empty text or `recipe` leaves the recipe's value, as an MLproject parameter does
            that the user did not set.

    Raises:
        ConfigError: The recipe or a key is unknown, or a value is not allowed.
    """
    overrides = canonical_overrides(overrides or {})
    name = overrides.pop("recipe", None) or recipe
    if name is None or name in UNSET_VALUES:
        name = RunConfig().recipe
    return replace(recipes.build(name), overrides)
