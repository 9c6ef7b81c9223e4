"""Only what Keras 3 refuses, and what says nothing, is taken out of a configuration of Keras 2."""

from __future__ import annotations

from typing import Any

import pytest

from tinybench.models.keras2_config import modernize


def functional(layer: dict[str, Any], module: str = "keras.src.models.functional") -> dict[str, Any]:
    return {
        "module": module,
        "class_name": "Functional",
        "config": {"layers": [layer]},
        "registered_name": "Functional",
    }


@pytest.mark.parametrize(
    ("layer", "keywords", "removed"),
    [
        ("DepthwiseConv2D", {"groups": 1}, {"groups"}),
        ("DepthwiseConv2D", {"groups": 3}, set()),
        ("SeparableConv2D", {"groups": 1, "kernel_regularizer": {}, "filters": 2}, {"groups", "kernel_regularizer"}),
        ("Conv2D", {"groups": 1, "kernel_regularizer": {}}, set()),
        ("BatchNormalization", {"fused": False, "renorm": False}, {"fused"}),
        ("BatchNormalization", {"virtual_batch_size": 8}, set()),
        ("Mine", {"groups": 1}, set()),
    ],
)
def test_what_is_taken_out(layer, keywords, removed):
    config = functional({"class_name": layer, "config": {"name": "a"} | keywords})
    changed = modernize(config)
    assert {*changed["config"]["layers"][0]["config"]} == {"name", *keywords} - removed
    assert config["config"]["layers"][0]["config"] == {"name": "a"} | keywords, "the argument stays as it is"


@pytest.mark.parametrize("package", ["keras", "tf_keras"])
def test_the_functional_model_is_called_as_keras_3_calls_it(package):
    layer = {"class_name": "Conv2D", "config": {}}
    assert modernize(functional(layer, f"{package}.src.engine.functional")) == functional(layer)


def test_the_axis_of_a_normalization_is_a_number():
    changed = modernize(functional({"class_name": "BatchNormalization", "config": {"axis": [3]}}))
    assert changed == functional({"class_name": "BatchNormalization", "config": {"axis": 3}})


def test_a_single_input_and_output_is_no_list():
    old = functional({"class_name": "InputLayer", "config": {"batch_input_shape": [None, 8, 8, 3]}})
    old["config"] |= {"input_layers": [["a", 0, 0]], "output_layers": [["b", 0, 0], ["c", 0, 0]]}
    changed = modernize(old)["config"]
    assert (changed["input_layers"], changed["output_layers"]) == (["a", 0, 0], [["b", 0, 0], ["c", 0, 0]])
    old["config"]["layers"][0]["config"] = {"batch_shape": [None, 8, 8, 3]}
    assert modernize(old) == old, "Keras 3 wrote it, and meant it"


def test_another_module_stays():
    config = functional({"class_name": "Conv2D", "config": {}}, "os.engine")
    assert modernize(config) == config
