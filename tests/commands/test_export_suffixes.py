"""The name of a file tells its format, and never another one than is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinybench.commands.export_formats import EXPORTERS
from tinybench.commands.export_suffixes import SUFFIXES, choose_format
from tinybench.core.errors import ConfigError


def test_every_format_can_be_written():
    assert list(SUFFIXES) == list(EXPORTERS)


@pytest.mark.parametrize(
    ("format", "output", "chosen"),
    [
        (None, None, "keras"),
        ("onnx", None, "onnx"),
        (None, "m.onnx", "onnx"),
        (None, "a.b/m.keras", "keras"),
        (None, "m.h5", "h5"),
        (None, "m.xml", "openvino"),
        (None, "m.tflite", "litert"),
        ("litert-int8", "m.tflite", "litert-int8"),
        ("savedmodel", "m", "savedmodel"),
        ("savedmodel", "m.v2", "savedmodel"),
    ],
)
def test_the_format_is_that_of_the_suffix(format, output, chosen):
    assert choose_format(format, None if output is None else Path(output)) == chosen


@pytest.mark.parametrize(
    ("format", "output", "words"),
    [
        ("onnx", "m.keras", "expected a name that ends in .onnx for --format onnx, got m.keras."),
        ("onnx", "m", "expected a name that ends in .onnx for --format onnx, got m."),
        ("savedmodel", "m.onnx", "expected the name of a folder for --format savedmodel, got m.onnx, whose suffix"),
        (None, "m", "ends in .keras, .h5, .onnx, .xml, .tflite, or --format savedmodel for a folder, got m."),
        (None, "m.pb", "or --format savedmodel for a folder, got m.pb."),
        ("onnxx", None, "expected one of keras, h5, savedmodel, onnx, openvino, litert, litert-int8, got 'onnxx'. Did"),
    ],
)
def test_a_contradiction_is_an_error(format, output, words):
    with pytest.raises(ConfigError) as caught:
        choose_format(format, None if output is None else Path(output))
    assert words in str(caught.value)
