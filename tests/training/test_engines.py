"""Engines: each gives the features of Keras, and the fastest that does is taken."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tinybench.data
from tinybench import config, models
from tinybench.errors import EngineError
from tinybench.sections import DataConfig
from tinybench.training import engine_table, engines, phases
from tinybench.training.engines import Choice, Trial

HERE = sorted(
    {("keras", "float32"), ("openvino", "float32"), ("xla", "float32")}
    | {each[:2] for each in engine_table.candidates(None, "auto", "auto")}
)
HEAPS = 10**12


@functools.cache
def extractor(model: str) -> keras.Model:
    """The frozen part of a real model."""
    keras.utils.set_random_seed(0)
    size, shape = (16, (8, 8, 1)) if model == "smallcnn" else (32, (24, 24, 3))
    chosen = config.resolve("quickstart", {"model": model, "image_size": size, "weights": "none"})
    whole = models.build(chosen, shape, 10)
    cut = phases.divide(whole, chosen, "transfer")
    assert cut is not None
    return cut.extractor


@functools.cache
def pixels(model: str, count: int = 70) -> Any:
    """Real digits, or noise."""
    if model == "smallcnn":
        digits = tinybench.data.load("digits", DataConfig(per_class=20), 0, image_size=16)
        return digits.train.images(slice(count)).astype(np.float32)
    return np.random.default_rng(0).integers(0, 256, (count, 24, 24, 3)).astype(np.float32)


@functools.cache
def expected(model: str, count: int = 70) -> Any:
    return np.asarray(extractor(model)(pixels(model, count), training=False))


def cosines(features: Any, others: Any) -> Any:
    """Of every image's features with every other's."""
    ours, theirs = (
        values.reshape(len(values), -1) / np.linalg.norm(values.reshape(len(values), -1), axis=1, keepdims=True)
        for values in (features, others)
    )
    return ours @ theirs.T


def needs_openvino(name: str) -> None:
    if name == "openvino" and not importlib.util.find_spec("openvino"):
        pytest.skip("OpenVINO is not installed")


@pytest.mark.parametrize("model", ["smallcnn", "mobilenetv2"])
@pytest.mark.parametrize(("name", "precision"), HERE)
def test_every_engine_gives_the_features_of_keras(name: str, precision: str, model: str) -> None:
    needs_openvino(name)
    engine = engine_table.make(extractor(model), name, precision)
    assert (engine.name, engine.precision) == (name, precision)
    for count in (engine.batch + 1, 1, engine.batch):
        features = engine(pixels(model)[:count])
        assert features.dtype == np.float32
        assert features.shape == expected(model)[:count].shape
        found = cosines(features, expected(model)[:count])
        if precision == "float32":
            assert found.diagonal().min() > 0.9999
            assert list(found.argmax(axis=1)) == [*range(count)], "the order is kept"
        assert found.diagonal().min() > engines.AGREEMENT
    np.testing.assert_array_equal(engine(pixels(model)[:3]), engine(pixels(model)[:3]))


@pytest.mark.parametrize("name", ["tensorflow", "xla"])
def test_engines_of_a_gpu_give_the_features_of_keras_on_a_processor_too(name: str, monkeypatch) -> None:
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a GPU"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": (9, 0)})
    known = engine_table.candidates(extractor("smallcnn"), "auto", "auto")
    assert [each[:2] for each in known] == [("xla", "bfloat16"), ("tensorflow", "bfloat16"), ("xla", "float32")]
    engine = next(make for each, precision, make in known if (each, precision) == (name, "bfloat16"))()
    assert (engine.name, engine.precision) == (name, "bfloat16")
    features = engine(pixels("smallcnn")[:33])
    assert features.dtype == np.float32
    assert cosines(features, expected("smallcnn")[:33]).diagonal().min() > engines.AGREEMENT
    assert np.abs(features - expected("smallcnn")[:33]).max() > 0, "it does compute in bfloat16"


def test_an_engine_keeps_the_weights_that_it_was_made_of() -> None:
    """A bank is made of the weights that its name vouches for."""
    needs_openvino("openvino")
    x = entry = keras.Input((4, 4, 1))
    model = keras.Model(entry, keras.layers.Flatten()(keras.layers.Conv2D(2, 3)(x)))
    images = np.random.default_rng(0).uniform(0, 255, (5, 4, 4, 1)).astype(np.float32)
    engine = engine_table.make(model, "openvino", "float32")
    before = engine(images)
    model.set_weights([2 * weight for weight in model.get_weights()])
    np.testing.assert_array_equal(engine(images), before)


@pytest.mark.parametrize("model", ["smallcnn", "mobilenetv2"])
def test_a_copy_in_bfloat16_keeps_weights_and_computes_lower(model: str) -> None:
    original = extractor(model)
    copy = engine_table.in_bfloat16(original)
    for one, two in zip(copy.weights, original.weights, strict=True):
        assert one.dtype == "float32"
        np.testing.assert_array_equal(one.numpy(), two.numpy())
    computing = [each for each in copy._flatten_layers() if each.weights and not isinstance(each, keras.Model)]
    assert computing
    assert {layer.compute_dtype for layer in computing} == {"bfloat16"}
    assert {layer.compute_dtype for layer in original._flatten_layers()} == {"float32"}, "that stays as it was"
    features = copy(pixels(model), training=False)
    assert features.dtype == "bfloat16"
    assert cosines(np.asarray(features, np.float32), expected(model)).diagonal().min() > 0.99


def test_pretrained_weights_agree_in_bfloat16(real_data: Path) -> None:
    backbone = keras.saving.load_model(real_data / "efficientnet_lite0_imagenet_notop.keras", compile=False)
    entry = keras.Input((8, 8, 1))
    x = keras.layers.Resizing(64, 64)(keras.layers.Concatenate()([entry, entry, entry]))
    model = keras.Model(entry, backbone(x, training=False))
    images = pixels("smallcnn")[:16]
    features = engine_table.Keras(engine_table.in_bfloat16(model))(images)
    _, noise, cosine = engines._compared(features, np.asarray(model(images, training=False)))
    assert engines.AGREEMENT < cosine < 0.99999
    assert 1e-4 < noise < engines._NOISE


def rewritten() -> bool:
    return bool(tf.config.optimizer.get_experimental_options()[engine_table._REWRITE])


def interrupted() -> None:
    with engine_table.rewriting():
        assert rewritten()
        raise KeyboardInterrupt


def test_rewriting_is_switched_back_whatever_happens() -> None:
    for before in (False, True, False):
        tf.config.optimizer.set_experimental_options({engine_table._REWRITE: before})
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert rewritten() is before


class Fake:
    """An engine that answers at once, or after a while."""

    batch = 32

    def __init__(self, answer: Callable[[Any], Any], seconds: float = 0.0, precision: str = "float32") -> None:
        self.answer, self.seconds, self.precision = answer, seconds, precision
        self.name = ""

    def __call__(self, images: Any) -> Any:
        time.sleep(self.seconds)
        return self.answer(images)


def right(images: Any) -> Any:
    """What Keras would say; the images are always the first of the same."""
    np.testing.assert_array_equal(images, pixels("smallcnn")[: len(images)])
    return expected("smallcnn")[: len(images)]


@pytest.fixture
def chosen_among(monkeypatch) -> Callable[..., Choice]:
    """`choose` on real digits, among the given engines."""
    monkeypatch.setattr(engines, "_MOMENT", 0.02)

    def choose(known: dict[str, Any], engine: str = "auto", work: int = HEAPS, **options: Any) -> Choice:
        def build(name: str) -> Any:
            if isinstance(known[name], Exception):
                raise known[name]
            known[name].name = name
            return known[name]

        def candidates(model: keras.Model, wanted: str, precision: str) -> Any:
            assert model is extractor("smallcnn")
            found = [
                (name, getattr(each, "precision", "float32"), functools.partial(build, name))
                for name, each in known.items()
            ]
            return [each for each in found if wanted in ("auto", each[0])]

        monkeypatch.setattr(engine_table, "candidates", candidates)
        return engines.choose(extractor("smallcnn"), pixels("smallcnn")[:64], work, engine=engine, **options)

    return choose


def trial(choice: Choice, name: str) -> Trial:
    return next(each for each in choice.trials if each.engine == name)


def test_little_work_is_left_to_keras_without_trying_others(chosen_among) -> None:
    choice = chosen_among({"fast": AssertionError("tried")}, work=100)
    assert (choice.engine.name, choice.engine.precision) == ("keras", "float32")
    assert [each.engine for each in choice.trials] == ["keras"]
    assert choice.taken.images_per_second > 0
    np.testing.assert_allclose(choice.engine(pixels("smallcnn")), expected("smallcnn"), rtol=1e-4, atol=1e-3)


def test_keras_by_name_tries_no_other(chosen_among) -> None:
    choice = chosen_among({"fast": AssertionError("tried")}, engine="keras")
    assert [each.engine for each in choice.trials] == ["keras"]


def test_the_fastest_that_agrees_is_taken(chosen_among) -> None:
    known = {
        "slow": Fake(right, 0.05),
        "faster": Fake(right, 0.0005, "bfloat16"),
        "fastest": Fake(right),
        "slower": Fake(right, 0.02),
    }
    choice = chosen_among(known)
    assert choice.engine is known["fastest"]
    assert choice.taken == trial(choice, "fastest")
    assert [each.engine for each in choice.trials] == ["keras", *known]
    assert choice.taken.images_per_second == max(each.images_per_second for each in choice.trials)
    for each in choice.trials:
        assert each.reason == ""
        assert (each.cosine, each.error) == pytest.approx((1, 0), abs=1e-5)
        assert each.agreement is None


def test_keras_stays_where_all_others_are_slower(chosen_among) -> None:
    choice = chosen_among({"slow": Fake(right, 0.1), "slower": Fake(right, 0.2)})
    assert choice.engine.name == "keras"
    assert choice.taken is choice.trials[0]


def noise(images: Any) -> Any:
    return np.random.default_rng(0).normal(size=right(images).shape).astype(np.float32)


def holed(features: Any) -> Any:
    found = features.copy()
    found.flat[7] = np.nan
    return found


WRONG = {
    "noise": (Fake(noise), "its features differ: cosine "),
    "zeros": (Fake(lambda images: 0 * right(images)), "its features differ: cosine 0.0000"),
    "one image": (
        Fake(lambda images: np.concatenate([right(images)[:-1], noise(images)[-1:]])),
        "its features differ: cosine ",
    ),
    "nan": (Fake(lambda images: np.full_like(right(images), np.nan)), "its features are not all finite"),
    "one nan": (Fake(lambda images: holed(right(images))), "its features are not all finite"),
    "inf": (Fake(lambda images: right(images) / 0), "its features are not all finite"),
    "shape": (Fake(lambda images: right(images)[:, :5]), "its features have another shape"),
    "too few": (Fake(lambda images: right(images)[:-1]), "its features have another shape"),
    "cannot be made": (ValueError("no kernel for this\nand more"), "ValueError: no kernel for this"),
}


@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value) encountered:RuntimeWarning")
def test_what_is_wrong_is_out_with_its_reason(chosen_among) -> None:
    choice = chosen_among({name: engine for name, (engine, _) in WRONG.items()} | {"right": Fake(right)})
    assert choice.engine.name == "right"
    for name, (_, reason) in WRONG.items():
        found = trial(choice, name)
        assert found.reason.startswith(reason), name
        assert "\n" not in found.reason
        assert found.images_per_second == 0, "nobody wants to know how fast it is wrong"
    assert trial(choice, "right").reason == ""


@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value) encountered:RuntimeWarning")
def test_trials_can_be_written_as_json(chosen_among) -> None:
    choice = chosen_among({"shape": WRONG["shape"][0], "nan": WRONG["nan"][0], "right": Fake(right)})
    assert len(json.loads(json.dumps(choice.as_json(), allow_nan=False))) == 4


def test_an_engine_that_raises_while_it_runs_is_out(chosen_among) -> None:
    def broken(images: Any) -> Any:
        raise RuntimeError("x" * 1000)

    choice = chosen_among({"broken": Fake(broken)})
    assert choice.engine.name == "keras"
    assert trial(choice, "broken").reason.startswith("RuntimeError: xxx")
    assert len(trial(choice, "broken").reason) <= 300


def test_features_that_differ_in_scale_are_told_by_their_error(chosen_among) -> None:
    choice = chosen_among({"double": Fake(lambda images: right(images) * 1.001)})
    found = trial(choice, "double")
    assert found.error == pytest.approx(0.001, rel=0.01)
    assert found.cosine == pytest.approx(1)


def test_an_engine_that_mixes_images_up_is_out(chosen_among) -> None:
    choice = chosen_among({"other order": Fake(lambda images: right(images)[::-1])})
    assert choice.engine.name == "keras"
    assert trial(choice, "other order").reason.startswith("its features differ")


def test_an_engine_whose_labels_differ_is_out(chosen_among) -> None:
    flat = expected("smallcnn").reshape(70, -1)
    place = int(np.argmin(np.where(flat.std(axis=0) > 0.01, flat.mean(axis=0), np.inf)))  # a small one
    bound = float(np.median(flat[:64, place]))

    def head(features: Any) -> Any:
        value = features.reshape(len(features), -1)[:, place]
        return np.stack([value, np.full_like(value, bound)], axis=1)

    def shifted(images: Any) -> Any:
        features = right(images).reshape(len(images), -1).copy()
        features[:, place] = bound + 1e-3
        return features.reshape(right(images).shape)

    choice = chosen_among({"shifted": Fake(shifted), "right": Fake(right)}, head=head)
    found = trial(choice, "shifted")
    assert found.cosine >= engines.AGREEMENT, "its features alone would do"
    assert found.agreement == pytest.approx(0.5, abs=0.2)
    assert found.reason == f"its labels differ: {found.agreement:.1%} agree"
    assert trial(choice, "right").agreement == 1
    assert choice.engine.name == "right"


def test_an_engine_of_wrong_shape_is_out_where_a_head_judges_too(chosen_among) -> None:
    shape = expected("smallcnn").shape[1:]
    trained = keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(10)])
    known = {"shape": WRONG["shape"][0], "too few": WRONG["too few"][0], "right": Fake(right)}
    choice = chosen_among(known, head=lambda features: np.asarray(trained(features, training=False)))
    assert choice.engine.name == "right"
    assert trial(choice, "shape").reason.startswith("its features have another shape: ")


def test_by_name_the_first_that_agrees_is_taken_however_slow(chosen_among) -> None:
    known = {"slow": Fake(right, 0.05), "fast": Fake(right)}
    choice = chosen_among(known, engine="slow", work=1)
    assert choice.engine is known["slow"]
    assert [each.engine for each in choice.trials] == ["keras", "slow"]


def test_by_name_one_that_is_wrong_is_an_error_in_one_line(chosen_among) -> None:
    with pytest.raises(
        EngineError,
        match=r"^Engine nan cannot be used here \(its features are not all finite\): set engine to auto\.$",
    ):
        chosen_among({"nan": WRONG["nan"][0], "right": Fake(right)}, engine="nan")


def test_by_name_one_that_is_for_another_device_is_an_error_in_one_line(monkeypatch) -> None:
    monkeypatch.setattr(engines, "_MOMENT", 0.02)
    monkeypatch.setattr(engine_table, "has_bfloat16", lambda: False)
    with pytest.raises(
        EngineError,
        match=r"^Engine tensorflow cannot be used here \(this processor has no bfloat16\): set engine to auto\.$",
    ):
        engines.choose(extractor("smallcnn"), pixels("smallcnn")[:8], HEAPS, engine="tensorflow")


@pytest.fixture
def without_openvino(monkeypatch) -> None:
    for name in [each for each in sys.modules if each.split(".")[0] == "openvino"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(engines, "_MOMENT", 0.02)


def test_openvino_by_name_where_it_is_absent_names_the_extra(without_openvino) -> None:
    for precision in ("auto", "float32"):
        with pytest.raises(EngineError, match=r"pip install 'tinybench\[openvino\]'") as raised:
            engines.choose(extractor("smallcnn"), pixels("smallcnn")[:8], 1, engine="openvino", precision=precision)
        assert str(raised.value).startswith("Engine openvino cannot be used here (")
        assert "\n" not in str(raised.value)


def test_auto_does_without_openvino_where_it_is_absent(without_openvino) -> None:
    assert "openvino" not in [each[0] for each in engine_table.candidates(extractor("smallcnn"), "auto", "auto")]
    choice = engines.choose(extractor("smallcnn"), pixels("smallcnn")[:8], HEAPS)
    assert "openvino" not in [each.engine for each in choice.trials]


def test_a_resumed_phase_is_told_that_its_engine_is_absent(without_openvino) -> None:
    with pytest.raises(EngineError, match=r"pip install 'tinybench\[openvino\]'"):
        engine_table.make(extractor("smallcnn"), "openvino", "float32")


def test_the_best_of_real_engines_is_taken(monkeypatch) -> None:
    needs_openvino("openvino")
    monkeypatch.setattr(engines, "_MOMENT", 0.1)
    choice = engines.choose(extractor("smallcnn"), pixels("smallcnn")[:64], HEAPS)
    assert ("openvino", "float32") in [(each.engine, each.precision) for each in choice.trials]
    agreeing = [each for each in choice.trials if not each.reason]
    assert choice.taken.images_per_second == max(each.images_per_second for each in agreeing)
    assert json.loads(json.dumps(choice.as_json()))[0]["engine"] == "keras"


@pytest.mark.parametrize("count", [1, 3])
def test_a_few_images_are_enough_to_choose_by(count: int, monkeypatch) -> None:
    monkeypatch.setattr(engines, "_MOMENT", 0.02)
    choice = engines.choose(extractor("smallcnn"), pixels("smallcnn")[:count], 1)
    assert choice.taken.images_per_second > 0


@pytest.mark.parametrize("here", [True, False])
def test_bfloat16_is_tried_where_the_processor_has_it_and_it_is_allowed(here: bool, monkeypatch) -> None:
    needs_openvino("openvino")
    monkeypatch.setattr(engine_table, "has_bfloat16", lambda: here)

    def known(wanted: str, precision: str) -> list[tuple[str, str]]:
        return [each[:2] for each in engine_table.candidates(extractor("smallcnn"), wanted, precision)]

    low = [("openvino", "bfloat16")] if here else []
    assert known("auto", "auto") == [
        *low, ("openvino", "float32"), *([("tensorflow", "bfloat16")] if here else [])
    ]  # fmt: skip
    assert known("openvino", "auto") == [*low, ("openvino", "float32")]
    assert known("auto", "float32") == [("openvino", "float32")]
    assert known("tensorflow", "float32") == []
    assert known("xla", "auto") == [("xla", "float32")]
    assert known("keras", "auto") == []


def test_float32_leaves_bfloat16_of_a_gpu_out(monkeypatch) -> None:
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a GPU"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": (9, 0)})
    known = engine_table.candidates(extractor("smallcnn"), "auto", "float32")
    assert [each[:2] for each in known] == [("xla", "float32")]


FLAGS = "processor\t: 0\nmodel name\t: A Processor\nflags\t\t: fpu vme sse4_2 avx2 avx512f {}\nbugs\t\t: none\n"


@pytest.mark.parametrize(
    ("text", "has"),
    [
        (FLAGS.format("amx_bf16 amx_tile amx_int8"), True),
        (FLAGS.format("avx512_bf16"), True),
        (FLAGS.format("avx512_vnni"), False),
        ("", False),
        ("Features\t: fp asimd evtstrm aes\n", False),
    ],
)
def test_bfloat16_is_read_from_the_processor_s_flags(text: str, has: bool, monkeypatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda path, *_: {"/proc/cpuinfo": text}[str(path)])
    assert engine_table.has_bfloat16.__wrapped__() is has


def test_no_bfloat16_where_the_processor_s_flags_cannot_be_read(monkeypatch) -> None:
    def absent(path: Path, *_: Any) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", absent)
    assert engine_table.has_bfloat16.__wrapped__() is False


@pytest.mark.parametrize(("name", "precision"), [("xla", "bfloat16"), ("keras", "bfloat16"), ("tensorrt", "float32")])
def test_make_says_that_an_engine_is_gone(name: str, precision: str) -> None:
    with pytest.raises(
        EngineError,
        match=rf"^The phase began in {name} {precision}, which is not there any more: start a new run\.$",
    ):
        engine_table.make(extractor("smallcnn"), name, precision)


def test_make_without_a_name_says_which_precision_is_gone(monkeypatch) -> None:
    monkeypatch.setattr(engine_table, "has_bfloat16", lambda: False)
    with pytest.raises(EngineError, match="began in bfloat16, which is not there any more"):
        engine_table.make(extractor("smallcnn"), "", "bfloat16")


def test_make_without_a_name_gives_the_first_of_that_precision(monkeypatch) -> None:
    """Features that were all there named no engine; those that have gone since are computed alike."""
    needs_openvino("openvino")
    monkeypatch.setattr(engine_table, "has_bfloat16", lambda: True)
    for precision, name in [("float32", "keras"), ("bfloat16", "openvino")]:
        engine = engine_table.make(extractor("smallcnn"), "", precision)
        assert (engine.name, engine.precision) == (name, precision)


def test_absence_says_why(monkeypatch) -> None:
    monkeypatch.setattr(engine_table, "has_bfloat16", lambda: True)
    assert engine_table.absence("tensorflow", "float32") == "it computes in bfloat16, and precision is float32"
    monkeypatch.setattr(engine_table, "has_bfloat16", lambda: False)
    assert engine_table.absence("tensorflow", "auto") == "this processor has no bfloat16"
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a GPU"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: {"compute_capability": (9, 0)})
    assert engine_table.absence("openvino", "auto") == "it runs on processors"
    assert engine_table.absence("tensorflow", "float32") == "it computes in bfloat16, and precision is float32"


def test_make_says_that_bfloat16_is_gone(monkeypatch) -> None:
    monkeypatch.setattr(engine_table, "has_bfloat16", lambda: False)
    with pytest.raises(EngineError, match="began in tensorflow bfloat16, which is not there any more"):
        engine_table.make(extractor("smallcnn"), "tensorflow", "bfloat16")


USE = """
import keras, numpy
from tinybench.training import engine_table
entry = keras.Input((4, 4, 1))
model = keras.Model(entry, keras.layers.Conv2D(2, 3)(entry))
(make,) = [make for name, precision, make in engine_table.candidates(model, "openvino", "float32")]
print(make()(numpy.ones((5, 4, 4, 1), numpy.float32)).shape)
"""


def test_openvino_sends_no_usage_data(tmp_path: Path) -> None:
    needs_openvino("openvino")
    home = tmp_path / "home"
    home.mkdir()
    asked_not_to = ("CI", "TF_BUILD", "JENKINS_URL")
    environment = {name: value for name, value in os.environ.items() if name not in asked_not_to}
    environment |= {"HOME": str(home), "https_proxy": "http://127.0.0.1:9", "KERAS_HOME": str(tmp_path / "keras")}
    done = subprocess.run([sys.executable, "-c", USE], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "(5, 2, 2, 2)"
    assert not (home / "intel").exists(), "the client of the usage data keeps its files there"
