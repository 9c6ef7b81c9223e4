"""Settings that cannot have an effect: refused where somebody gives them, and left out of what runs are compared by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tinybench.config import effects
from tinybench.config.run_config import replace
from tinybench.core.errors import ConfigError
from tinybench.recipes.resolve import override, resolve


@pytest.mark.parametrize(
    ("recipe", "settings", "key"),
    [
        ("quickstart", {"scratch.epochs": 3}, "scratch.epochs"),
        ("quickstart", {"phases": "transfer", "finetune.lr": 1e-6}, "finetune.lr"),
        ("quickstart", {"optimizer.momentum": 0.9}, "optimizer.momentum"),
        ("quickstart", {"optimizer.name": "sgd", "optimizer.weight_decay": 0.1}, "optimizer.weight_decay"),
        ("quickstart", {"transfer.schedule": "cosine", "transfer.plateau_factor": 0.1}, "transfer.plateau_factor"),
        ("quickstart", {"backbone.preprocessing": "tf"}, "backbone.preprocessing"),
        ("quickstart", {"data.labels": "coarse"}, "data.labels"),
        ("quickstart", {"data.folds": 2, "data.validation": 0.3}, "data.validation"),
        ("tiny-imagenet-tlft", {"network.blocks": 2}, "network.blocks"),
    ],
)
def test_a_setting_without_an_effect_is_refused(recipe: str, settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=rf"`{key}` would have no effect: "):
        resolve(recipe, settings)


def test_a_value_that_changes_nothing_is_not_refused() -> None:
    usual = resolve("quickstart")
    assert resolve("quickstart", {"scratch.epochs": usual.scratch.epochs}) == usual
    assert resolve("quickstart", usual.flat()) == usual


def test_the_settings_by_which_runs_are_compared_are_those_with_an_effect() -> None:
    config = resolve("quickstart", {"phases": "transfer", "data.root": "/data", "track.tags": "a=b"})
    texts = effects.compared_text(config)
    assert float(texts["transfer.lr"]) == config.transfer.lr
    assert not [key for key in texts if key.startswith(("scratch.", "finetune.", "cache.", "checkpoint.", "explain."))]
    assert not {"data.root", "track.tags", "track.uri", "optimizer.momentum", "data.labels"} & set(texts)
    assert {"model", "dataset", "recipe", "seed", "head.dropout", "network.filters"} <= set(texts)


def test_a_model_of_the_user_is_compared_by_the_name_of_its_file() -> None:
    config = replace(resolve("tiny-imagenet-tlft"), {"model": "/home/me/steep/nets/edge.keras"})
    assert effects.compared_text(config)["model"] == "edge"
    assert config.weights == "file"


def test_the_recipe_of_a_configuration_is_not_changed_by_its_name_alone() -> None:
    with pytest.raises(ConfigError, match=r"`recipe` cannot be changed here: .* those of quickstart"):
        override(resolve("quickstart"), {"recipe": "cifar10-vgg10"})


def test_a_folder_of_images_is_known_by_its_whole_path(tmp_path: Path) -> None:
    assert resolve(None, {"dataset": "folder:pics"}).dataset == f"folder:{tmp_path / 'pics'}"
    assert resolve(None, {"dataset": "folder:../a/./b"}).dataset == f"folder:{tmp_path.parent / 'a' / 'b'}"
