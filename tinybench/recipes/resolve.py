"""Resolve a recipe and some settings to the configuration of a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from tinybench import recipes
from tinybench.config.dataset_name import make_absolute
from tinybench.config.effects import refuse_ineffective
from tinybench.config.network_size import PUBLISHED_SIZES
from tinybench.config.run_config import FILE_WEIGHTS, UNSET_VALUES, RunConfig, canonical_overrides, replace
from tinybench.core.errors import ConfigError

_LOW_RESOLUTIONS = {"mnist": 28, "digits": 28, "cifar10": 32, "cifar100": 32}


def resolve(recipe: str | None = None, overrides: Mapping[str, Any] | None = None) -> RunConfig:
    """Return the configuration of a recipe with some settings replaced, each value checked.

    Args:
        recipe: A recipe's name; the default recipe when None.
        overrides: Values by dotted key, as text or as Python values; `recipe` among them takes precedence over the
            argument. A value that is empty text or `recipe` leaves the recipe's value, as an MLproject parameter does
            that the user did not set. Where neither names a recipe, a small network is trained from scratch.

    Raises:
        ConfigError: The recipe or a key is unknown, or a value is not allowed.
    """
    overrides = canonical_overrides(overrides or {})
    name = overrides.pop("recipe", None) or recipe
    if name is None or name in UNSET_VALUES:
        overrides = _small_network_defaults(overrides) | overrides
        name = RunConfig().recipe
    return override(recipes.build(name), overrides)


def override(config: RunConfig, overrides: Mapping[str, Any], *, searched: Collection[str] = ()) -> RunConfig:
    """Return a configuration with some settings replaced by those of a person, who wants each to have an effect.

    A model file of the user keeps its weights unless others are named, or all layers are trained from scratch.

    Args:
        config: The configuration.
        overrides: Values by dotted key.
        searched: Keys of settings that a study searches.

    Raises:
        ConfigError: A key is unknown, a value is not allowed or would have no effect, or another recipe is named.
    """
    overrides = canonical_overrides(overrides)
    if overrides.get("recipe", config.recipe) != config.recipe:
        raise ConfigError(
            f"`recipe` cannot be changed here: the other settings are those of {config.recipe}. Resolve the other "
            "recipe instead."
        )
    changed = replace(config, overrides)
    changed = replace(changed, {"dataset": make_absolute(changed.dataset)})
    if changed.has_own_model and overrides.get("weights") == "imagenet":
        raise ConfigError(
            f"Invalid value for `weights`: {changed.model_name} is a file with weights of its own, which `file` takes; "
            "`imagenet` is for models that are known by name."
        )
    if changed.has_own_model and "weights" not in overrides and "scratch" not in changed.phases:
        changed = replace(changed, {"weights": FILE_WEIGHTS} if changed.model != config.model else {})
    refuse_ineffective(changed, config, overrides, searched=searched)
    return changed


def _small_network_defaults(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return what goes with a small network, which has no pretrained weights, where no recipe is named."""
    if overrides.get("model") not in PUBLISHED_SIZES:
        return {}
    dataset = str(overrides.get("dataset", RunConfig().dataset))
    return {"weights": "none", "phases": "scratch", "image_size": _LOW_RESOLUTIONS.get(dataset, 64)}
