"""A real run's model in every format: loaded by its own runtime, it answers as the original, and says what it is."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import keras
import numpy as np
import onnxruntime
import openvino
import pytest
import tensorflow as tf
from click.testing import CliRunner
from stores import elsewhere, fresh

import tinybench
from tinybench import data
from tinybench.cli import root
from tinybench.commands import export, export_formats
from tinybench.commands.export_formats import EXPORTERS
from tinybench.commands.export_suffixes import SUFFIXES
from tinybench.core.errors import ConfigError, ExportError, TrackingError
from tinybench.recipes.resolve import resolve

SMALL = {
    "recipe": "quickstart",
    "phases": "scratch",
    "scratch.epochs": 1,
    "data.per_class": 12,
    "track.pictures": False,
    "track.costs": "off",
}
# A layer of our own, batch normalization and dropout
SMALL |= {"model": "alexnet-mini", "network.filters": "4,6,8", "head.batch_norm": True, "head.hidden_dropout": 0.2}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    store = fresh(tmp_path_factory)
    with elsewhere(tmp_path_factory):
        return tinybench.train(**SMALL, **{"track.uri": store}).run_id, store


def pixels_of(count: int) -> np.ndarray:
    return data.load("digits", resolve(None, SMALL).data, 0, image_size=16).test.images(slice(count))


@pytest.mark.parametrize("format", [name for name, exporter in EXPORTERS.items() if not exporter.quantized])
def test_every_format_answers_as_the_original(run: tuple[str, str], tmp_path: Path, format: str) -> None:
    path = tmp_path / f"mine{SUFFIXES[format]}"
    done = export.export_model(run[0], format, output=path, uri=run[1])
    assert (done.path, done.agreement.images, done.agreement.agreement) == (path, 64, 1)
    assert done.agreement.difference < 1e-4
    assert done.agreement.accuracy_difference == 0
    assert bool(done.custom_layers) == (format in ("keras", "h5"))
    found = EXPORTERS[format].read(path)(pixels_of(5))
    assert found.shape == (5, 10)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-4)


def read_metadata(format: str, path: Path) -> dict[str, object]:
    """The metadata in a file, read by the format's own library and by nothing of tinybench."""
    if format == "keras":
        assert keras.saving.load_model(path, compile=False).name == "classifier"  # Keras reads the file as before
    if format in ("keras", "litert", "litert-int8"):
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("tinybench.json"))
    if format == "h5":
        with h5py.File(path) as file:
            return json.loads(file.attrs["tinybench"])
    if format == "savedmodel":
        return json.loads((path / "assets.extra" / "tinybench.json").read_text("utf-8"))
    if format == "onnx":
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        texts = session.get_modelmeta().custom_metadata_map
        return {"license" if key == "model_license" else key: parsed(text) for key, text in texts.items()}
    graph = openvino.Core().read_model(path)
    return {key: parsed(value.astype(str)) for key, value in graph.get_rt_info(["tinybench"]).astype(dict).items()}


def parsed(text: str) -> object:
    return json.loads(text) if text[0] in "[{" else text


@pytest.mark.parametrize("format", EXPORTERS)
def test_every_format_says_what_it_is(run: tuple[str, str], tmp_path: Path, format: str) -> None:
    path = tmp_path / f"mine{SUFFIXES[format]}"
    done = export.export_model(run[0], format, output=path, uri=run[1], license="CC-BY-4.0")
    inside = read_metadata(format, path)
    dtype = "uint8" if format == "litert-int8" else "float32"
    assert inside["class_names"] == [str(digit) for digit in range(10)]
    assert inside["input"] == {
        "shape": [None, 8, 8, 1],
        "layout": "NHWC",
        "dtype": dtype,
        "range": [0, 255],
        "channel_order": "gray",
        "resize_before": "crop",
        "range_before": "full",
    }
    assert inside["preprocessing"] == {
        "where": "inside the model",
        "resize": {"height": 16, "width": 16, "interpolation": "bilinear"},
        "scaling": "of alexnet-mini",
    }
    assert (inside["run_id"], inside["license"], inside["format"]) == (run[0], "CC-BY-4.0", format)
    assert (inside["model"], inside["dataset"], inside["pretrained_weights"]) == ("alexnet-mini", "digits", "none")
    beside = json.loads((tmp_path / f"{path.name}.json").read_text("utf-8"))
    assert done.metadata_path == tmp_path / f"{path.name}.json"
    assert beside.pop("comparison")["images"] == done.agreement.images
    assert beside == inside


def test_nobody_invents_a_license(run: tuple[str, str], tmp_path: Path) -> None:
    done = export.export_model("last", output=tmp_path / "model.keras", uri=run[1])
    assert read_metadata("keras", done.path)["license"] == "unknown"
    assert done.metadata["run_id"] == run[0]


def test_int8_takes_pixels_as_they_are_and_is_judged_by_its_accuracy(run: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    done = CliRunner().invoke(
        root.cli, ["export", run[0], "--uri", run[1], "--format", "litert-int8", "--output", str(path)]
    )
    comparison = json.loads((tmp_path / "model.tflite.json").read_text("utf-8"))["comparison"]
    assert comparison["difference"] > export.TOLERANCE  # by which float32 would be refused
    splits = data.load("digits", resolve(None, SMALL).data, 0, image_size=16)
    assert comparison["calibration"] == {"split": "train", "images": min(128, len(splits.train))}
    assert f"Accuracy on {comparison['images']} test images: {comparison['accuracy']:.4f}" in done.stdout
    assert f"of the model of the run: {comparison['accuracy_of_original']:.4f}; difference " in done.stdout
    interpreter = interpreter_of(path)
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (source["dtype"], source["quantization"], target["dtype"]) == (np.uint8, (1.0, 0), np.float32)
    kinds = {tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    assert np.int8 in kinds
    classes = []
    for image in splits.test.images():
        interpreter.set_tensor(source["index"], image[None])
        interpreter.invoke()
        classes.append(interpreter.get_tensor(target["index"]).argmax())
    assert comparison["images"] == len(splits.test)
    assert comparison["accuracy"] == pytest.approx(np.mean(classes == splits.test.labels))


def interpreter_of(path: Path) -> tf.lite.Interpreter:
    with pytest.warns(UserWarning, match="deprecated"):
        made = tf.lite.Interpreter(str(path))
    made.allocate_tensors()
    return made


def test_ranges_are_measured_on_training_images_alone(
    run: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = EXPORTERS["litert-int8"]
    watched = replace(real, write=lambda source, path: (seen.append(source.calibration), real.write(source, path)))
    monkeypatch.setitem(EXPORTERS, "litert-int8", watched)
    export.export_model(run[0], "litert-int8", output=tmp_path / "model.tflite", uri=run[1])
    splits = data.load("digits", resolve(None, SMALL).data, 0, image_size=16)
    of_training, of_test = ({image.tobytes() for image in images.images()} for images in (splits.train, splits.test))
    (calibration,) = seen
    used = {image.tobytes() for image in calibration}
    assert used <= of_training
    assert not used & (of_test - of_training)


def test_the_command_says_what_it_wrote_what_it_takes_and_how_near_it_is(run: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    done = CliRunner().invoke(root.cli, ["export", run[0], "--uri", run[1], "--output", str(path)])
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        f"wrote {path} and {path}.json",
        "Input: float32 (n, 8, 8, 1), gray pixels from 0 to 255; they are resized to 16 x 16 and "
        "scaled inside the model.",
    ]
    assert lines[2].startswith(
        "Compared with the model of the run on 64 test images: same class for 100.0%; probabilities "
    )
    assert lines[3:] == [
        "License: unknown; --license NAME writes one into the file.",
        "Import tinybench.models.layers before you load it in Keras: it has the layers LocalResponseNormalization.",
    ]
    assert path.is_file()


def test_the_suffix_names_the_format_before_anything_is_loaded(run: tuple[str, str], tmp_path: Path) -> None:
    done = CliRunner().invoke(
        root.cli, ["export", run[0], "--uri", run[1], "--output", str(tmp_path / "new" / "m.onnx")]
    )
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "new" / "m.onnx.json").read_text("utf-8"))["format"] == "onnx"
    with pytest.raises(ConfigError, match=r"`--output`: expected a name that ends in \.keras for --format keras"):
        root.cli(["export", "no-run", "--format", "keras", "--output", "m.onnx"], standalone_mode=False)


def test_a_file_that_is_there_is_not_written_over(run: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_text("mine")
    with pytest.raises(ExportError, match=r"is there already: give another --output, or remove it"):
        export.export_model(run[0], "keras", output=path, uri=run[1])
    assert path.read_text() == "mine"


def test_metadata_that_are_there_are_not_written_over(run: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "model.keras.json").write_text("mine")
    with pytest.raises(ExportError, match=r"model\.keras\.json is there already"):
        export.export_model(run[0], "keras", output=tmp_path / "model.keras", uri=run[1])
    assert not (tmp_path / "model.keras").exists()


def test_weights_beside_another_model_are_not_touched(run: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_text("mine")
    with pytest.raises(ExportError, match=r"model\.bin is there already"):
        export.export_model(run[0], "openvino", output=tmp_path / "model.xml", uri=run[1])
    export.export_model(run[0], "keras", output=tmp_path / "model.keras", uri=run[1])
    export._remove(tmp_path / "model.keras")
    assert (tmp_path / "model.bin").read_text() == "mine"


def test_a_name_of_another_format_is_refused(run: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`--output`: expected a name that ends in \.h5 for .*, got .*model\.keras"):
        export.export_model(run[0], "h5", output=tmp_path / "model.keras", uri=run[1])


def test_a_model_that_answers_otherwise_is_removed(
    run: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = EXPORTERS["keras"]

    def wrong(source: export_formats.ExportSource, path: Path) -> None:
        logits = source.model.get_layer("logits")
        logits.set_weights([each[..., ::-1] for each in logits.get_weights()])
        real.write(source, path)

    monkeypatch.setitem(EXPORTERS, "keras", replace(real, write=wrong))
    with pytest.raises(ExportError, match=r"predicts something else: probabilities differ by up to .* It was removed"):
        export.export_model(run[0], "keras", output=tmp_path / "model.keras", uri=run[1])
    assert not [*tmp_path.glob("model*")]


def test_a_missing_extra_is_named(run: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = export.importlib.util.find_spec
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None if name == "tf2onnx" else real(name))
    with pytest.raises(ExportError, match=r"Exporting to onnx needs the extra onnx: pip install 'tinybench\[onnx\]'"):
        export.export_model(run[0], "onnx", output=tmp_path / "model.onnx", uri=run[1])


def test_a_run_that_is_not_there(run: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="No run 'abc'"):
        export.export_model("abc", "keras", output=tmp_path / "model.keras", uri=run[1])
