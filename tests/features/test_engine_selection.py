"""Engines: each gives the features of Keras, and the fastest that does is taken."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from engine_models import expected, extractor, needs_openvino, pixels

from tinybench.core import interruption
from tinybench.core.errors import EngineError
from tinybench.features import engine_selection
from tinybench.features import engines as engine_table
from tinybench.features.engine_selection import EngineChoice, EngineMeasurement

HEAPS = 10**12


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
def chosen_among(monkeypatch) -> Callable[..., EngineChoice]:
    """`choose` on real digits, among the given engines."""
    monkeypatch.setattr(engine_selection, "_SECONDS", 0.02)

    def choose(known: dict[str, Any], engine: str = "auto", work: int = HEAPS, **options: Any) -> EngineChoice:
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
        return engine_selection.choose_engine(
            extractor("smallcnn"), pixels("smallcnn")[:64], work, engine=engine, **options
        )

    return choose


def trial(choice: EngineChoice, name: str) -> EngineMeasurement:
    return next(each for each in choice.trials if each.engine == name)


def test_little_work_is_left_to_keras_without_trying_others(chosen_among) -> None:
    choice = chosen_among({"fast": AssertionError("tried")}, work=100)
    assert (choice.engine.name, choice.engine.precision) == ("keras", "float32")
    assert [each.engine for each in choice.trials] == ["keras"]
    assert choice.chosen_measurement.images_per_second > 0
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
    assert choice.chosen_measurement == trial(choice, "fastest")
    assert [each.engine for each in choice.trials] == ["keras", *known]
    assert choice.chosen_measurement.images_per_second == max(each.images_per_second for each in choice.trials)
    for each in choice.trials:
        assert each.reason == ""
        assert (each.cosine, each.error) == pytest.approx((1, 0), abs=1e-5)
        assert each.agreement is None


def test_keras_stays_where_all_others_are_slower(chosen_among) -> None:
    choice = chosen_among({"slow": Fake(right, 0.1), "slower": Fake(right, 0.2)})
    assert choice.engine.name == "keras"
    assert choice.chosen_measurement is choice.trials[0]


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


def test_an_interruption_that_an_engine_has_lost_is_raised_and_no_other_is_tried(chosen_among, monkeypatch) -> None:
    def lose(images: Any) -> Any:
        monkeypatch.setattr(interruption, "_received", [KeyboardInterrupt()])
        raise SystemError("bad argument to internal function")

    with pytest.raises(KeyboardInterrupt):
        chosen_among({"lost": Fake(lose)})


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
    assert found.cosine >= engine_selection.MIN_COSINE, "its features alone would do"
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
    monkeypatch.setattr(engine_selection, "_SECONDS", 0.02)
    monkeypatch.setattr(engine_table, "cpu_has_bfloat16", lambda: False)
    with pytest.raises(
        EngineError,
        match=r"^Engine tensorflow cannot be used here \(this processor has no bfloat16\): set engine to auto\.$",
    ):
        engine_selection.choose_engine(extractor("smallcnn"), pixels("smallcnn")[:8], HEAPS, engine="tensorflow")


@pytest.fixture
def without_openvino(monkeypatch) -> None:
    for name in [each for each in sys.modules if each.split(".")[0] == "openvino"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.setattr(engine_selection, "_SECONDS", 0.02)


def test_openvino_by_name_where_it_is_absent_names_the_extra(without_openvino) -> None:
    for precision in ("auto", "float32"):
        with pytest.raises(EngineError, match=r"pip install 'tinybench\[openvino\]'") as raised:
            engine_selection.choose_engine(
                extractor("smallcnn"), pixels("smallcnn")[:8], 1, engine="openvino", precision=precision
            )
        assert str(raised.value).startswith("Engine openvino cannot be used here (")
        assert "\n" not in str(raised.value)


def test_auto_does_without_openvino_where_it_is_absent(without_openvino) -> None:
    assert "openvino" not in [each[0] for each in engine_table.candidates(extractor("smallcnn"), "auto", "auto")]
    choice = engine_selection.choose_engine(extractor("smallcnn"), pixels("smallcnn")[:8], HEAPS)
    assert "openvino" not in [each.engine for each in choice.trials]


def test_a_resumed_phase_is_told_that_its_engine_is_absent(without_openvino) -> None:
    with pytest.raises(EngineError, match=r"pip install 'tinybench\[openvino\]'"):
        engine_table.build_engine(extractor("smallcnn"), "openvino", "float32")


def test_the_best_of_real_engines_is_taken(monkeypatch) -> None:
    needs_openvino("openvino")
    monkeypatch.setattr(engine_selection, "_SECONDS", 0.1)
    choice = engine_selection.choose_engine(extractor("smallcnn"), pixels("smallcnn")[:64], HEAPS)
    assert ("openvino", "float32") in [(each.engine, each.precision) for each in choice.trials]
    agreeing = [each for each in choice.trials if not each.reason]
    assert choice.chosen_measurement.images_per_second == max(each.images_per_second for each in agreeing)
    assert json.loads(json.dumps(choice.as_json()))[0]["engine"] == "keras"


@pytest.mark.parametrize("count", [1, 3])
def test_a_few_images_are_enough_to_choose_by(count: int, monkeypatch) -> None:
    monkeypatch.setattr(engine_selection, "_SECONDS", 0.02)
    choice = engine_selection.choose_engine(extractor("smallcnn"), pixels("smallcnn")[:count], 1)
    assert choice.chosen_measurement.images_per_second > 0
