"""What the signatures of the public functions list."""

from __future__ import annotations

import inspect

import tinybench
from tinybench.config.setting_types import Settings


def test_training_lists_every_setting() -> None:
    assert set(Settings.__annotations__) <= set(inspect.signature(tinybench.train).parameters)


def test_a_probe_lists_the_settings_that_it_takes() -> None:
    parameters = inspect.signature(tinybench.probe).parameters
    assert [*parameters][:4] == ["models", "dataset", "recipe", "run_callbacks"]
    assert {"image_size", "data_per_class", "weights", "track_uri", "head_pooling"} <= set(parameters)
    assert not {"model", "phases", "transfer_epochs", "finetune_lr", "head_dropout", "settings"} & set(parameters)
