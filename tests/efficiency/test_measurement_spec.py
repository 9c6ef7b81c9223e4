"""What cannot be measured is refused by name."""

from __future__ import annotations

import json

import pytest

from tinybench.core.errors import ConfigError
from tinybench.efficiency.measurement_spec import MeasurementSpec


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("device", "tpu", "expected one of cpu, gpu, got 'tpu'"),
        ("engine", "caffe", "expected one of keras, tf, openvino, onnxruntime, got 'caffe'"),
        ("precision", "int8", "expected one of float32, bfloat16, float16, got 'int8'"),
        ("threads", 0, "expected a whole number of at least 1, got 0"),
        ("batch", -3, "expected a whole number of at least 1, got -3"),
    ],
)
def test_a_wrong_value_is_named(key: str, value: object, words: str) -> None:
    with pytest.raises(ConfigError, match=f"Invalid value for `{key}`: {words}"):
        MeasurementSpec("resnet50", **{key: value})


def test_it_travels_as_json() -> None:
    spec = MeasurementSpec("resnet50", "quickstart", batch=4)
    assert MeasurementSpec(**json.loads(spec.to_json())) == spec
