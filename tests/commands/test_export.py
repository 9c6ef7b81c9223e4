"""A real run's model in every format: loaded by its own runtime, it answers as the original does."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from stores import elsewhere, fresh

import tinybench
from tinybench import data
from tinybench.cli import root
from tinybench.commands import export
from tinybench.core.errors import ExportError, TrackingError
from tinybench.recipes.resolve import resolve

SMALL = {
    "recipe": "quickstart",
    "phases": "scratch",
    "scratch.epochs": 1,
    "data.per_class": 6,
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


@pytest.mark.parametrize("format", export.FORMATS)
def test_every_format_answers_as_the_original(run: tuple[str, str], tmp_path: Path, format: str) -> None:
    kind = export.FORMATS[format]
    path = tmp_path / f"mine{kind.suffix}"
    done = export.export_model(run[0], format, output=path, uri=run[1])
    assert (done.path, done.images, done.agreement) == (path, 64, 1)
    assert done.difference < 1e-4
    assert bool(done.custom_layers) == (format in ("keras", "h5"))
    pixels = data.load("digits", resolve(None, SMALL).data, 0, image_size=16).test.images(slice(5))
    found = kind.read(path)(pixels)
    assert found.shape == (5, 10)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-4)


def test_the_command_says_what_it_wrote_and_how_near_it_is(run: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    done = CliRunner().invoke(root.cli, ["export", run[0], "--uri", run[1], "--output", str(path)])
    assert done.stdout.startswith(
        f"wrote {path}: compared with the model of the run on 64 test images, probabilities differ by at most 0"
    )
    assert (
        "Import tinybench.models.layers before you load it in Keras: it has the layers LocalResponseNormalization."
        in done.stdout
    )
    assert path.is_file()


def test_a_file_that_is_there_is_not_written_over(run: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_text("mine")
    with pytest.raises(ExportError, match=r"is there already: give another --output, or remove it"):
        export.export_model(run[0], "keras", output=path, uri=run[1])
    assert path.read_text() == "mine"


def test_weights_beside_another_model_are_not_touched(run: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_text("mine")
    with pytest.raises(ExportError, match=r"model\.bin is there already"):
        export.export_model(run[0], "openvino", output=tmp_path / "model.xml", uri=run[1])
    export.export_model(run[0], "keras", output=tmp_path / "model.keras", uri=run[1])
    export._remove(tmp_path / "model.keras")
    assert (tmp_path / "model.bin").read_text() == "mine"


def test_a_name_of_another_format_is_refused(run: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"`--output`: expected a name that ends in \.h5, got .*model\.keras"):
        export.export_model(run[0], "h5", output=tmp_path / "model.keras", uri=run[1])


def test_a_model_that_answers_otherwise_is_removed(
    run: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = export.FORMATS["keras"]

    def wrong(model: keras.Model, path: Path) -> None:
        logits = model.get_layer("logits")
        logits.set_weights([each[..., ::-1] for each in logits.get_weights()])
        real.write(model, path)

    monkeypatch.setitem(export.FORMATS, "keras", export._Format(".keras", wrong, real.read))
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
