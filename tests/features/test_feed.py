"""What an epoch is fed with: every image once, with its own label, in an order that can be found again."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import tinybench.data
from tinybench import models
from tinybench.config import run_config
from tinybench.config.sections import AugmentConfig, DataConfig
from tinybench.data.dataset import Dataset, ImagePool, Split
from tinybench.features import batches, feed
from tinybench.features.bank import FeatureBank, View, rows_of_splits
from tinybench.features.engines import KerasEngine
from tinybench.features.feed import BankFeed, EngineFeed, Feed, PixelFeed
from tinybench.features.phase_banks import PhaseBanks
from tinybench.recipes.resolve import resolve
from tinybench.training import phases
from tinybench.training.run_callbacks import RunCallbacks

SIZES = st.integers(1, 40)
SEEDS = st.integers(0, 2**31 - 1)
ALL = 2**40


def pool(count: int, first: int = 0) -> ImagePool:
    """Images that hold their own number, twice as bright in one corner, with a label that is a function of it."""
    numbers = np.arange(first, first + count)
    images = np.zeros((count, 4, 4, 2), np.uint8)
    images[..., 0], images[..., 1] = (numbers % 256)[:, None, None], (numbers // 256)[:, None, None]
    return ImagePool(images, (numbers * 7 % 10).astype(np.int32), np.array([f"{each:016d}" for each in numbers], "S16"))


def split(source: ImagePool, rows: Any) -> Split:
    places = np.asarray(rows, np.int64)
    return Split(source, places, source.labels[places])


def images(train: int = 20, validation: int = 6, *, together: bool = True) -> Dataset:
    """Splits in no order at all, of one pool or of two."""
    one = pool(train + validation)
    two = one if together else pool(train + validation, 100)
    places = np.random.default_rng(0).permutation(train + validation)
    first, second = split(one, places[:train]), split(two, places[train:])
    return Dataset("numbers", first, second, second, tuple("abcdefghij"), (4, 4, 2), "f" * 64, "s" * 64, "here")


def number(values: Any) -> Any:
    """The number that an image, or features made of it, holds."""
    flat = np.asarray(values, np.int64).reshape(len(values), -1)
    return flat[:, 0] + 256 * flat[:, 1]


def epoch(found: Any, step: int = 1000) -> tuple[Any, Any]:
    """Inputs and labels of all images in the order they are fed."""
    inputs, labels = [], []
    for start in range(0, len(found), step):
        table, known, rows = found.take(start, min(start + step, len(found)))
        inputs.append(np.asarray(table)[rows])
        labels.append(np.asarray(known)[rows])
    return np.concatenate(inputs), np.concatenate(labels)


def corner(pixels: Any) -> Any:
    """Features that hold an image's number, as an engine gives them."""
    return np.asarray(pixels, np.float32)[:, 0, 0]


def settings(**overrides: Any) -> run_config.RunConfig:
    return resolve("quickstart", {"augment.rotation": 0, "augment.translation": 0} | overrides)


def banked(dataset: Dataset, views: int = 0, seed: int = 0, room: int = ALL) -> BankFeed:
    """A feed of banks whose features are an image's number and the number of its view."""
    together = dataset.train.pool is dataset.validation.pool

    def bank(view: int, *splits: Split) -> FeatureBank:
        found = FeatureBank(
            splits[0].pool, rows_of_splits(*splits), View(view, AugmentConfig(), 0), (3,), {"dtype": "float16"}
        )

        def extract(pixels: Any) -> Any:
            return np.concatenate([corner(pixels), np.full((len(pixels), 1), view, np.float32)], axis=1)

        found.fill(extract, "numbers", "keras", RunCallbacks())
        return found

    plain = bank(0, dataset.train, dataset.validation) if together else bank(0, dataset.train)
    further = [bank(view, dataset.train) for view in range(1, views + 1)]
    return BankFeed(dataset, seed, [plain, *further], plain if together else bank(0, dataset.validation), room)


def feeds(dataset: Dataset, seed: int = 0) -> dict[str, Feed]:
    return {
        "pixels": PixelFeed(dataset, seed),
        "extracted": EngineFeed(dataset, settings(seed=seed, batch_size=4), corner, augmented=True),
        "resident": banked(dataset, 1, seed),
        "mapped": banked(dataset, 1, seed, room=0),
    }


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("kind", ["pixels", "extracted", "resident", "mapped"])
def test_every_image_is_fed_once_an_epoch_with_its_own_label(kind: str, together: bool) -> None:
    dataset = images(together=together)
    given = feeds(dataset)[kind]
    assert given.count == len(dataset.train)
    for each in range(3):
        training = given.training(each)
        assert len(training) == given.count
        values, labels = epoch(training)
        assert sorted(number(values)) == sorted(number(dataset.train.images()))
        np.testing.assert_array_equal(labels, number(values) * 7 % 10)
    values, labels = epoch(given.validation())
    np.testing.assert_array_equal(number(values), number(dataset.validation.images()), "in the order of the split")
    np.testing.assert_array_equal(labels, dataset.validation.labels)


@pytest.mark.parametrize("kind", ["pixels", "extracted", "resident", "mapped"])
def test_order_is_a_function_of_seed_and_epoch(kind: str) -> None:
    dataset = images()
    one, two, other = feeds(dataset)[kind], feeds(dataset)[kind], feeds(dataset, seed=1)[kind]
    one.training(0)
    orders = {}
    for each in (3, 0, 1):
        values, _ = epoch(one.training(each))
        np.testing.assert_array_equal(values, epoch(two.training(each))[0])
        expected = dataset.train.images(batches.epoch_order(one.count, 0, each))
        np.testing.assert_array_equal(number(values), number(expected), "all feeds keep to one order")
        orders[each] = tuple(number(values))
    orders["other seed"] = tuple(number(epoch(other.training(0))[0]))
    assert len(set(orders.values())) == 4


@pytest.mark.parametrize("kind", ["pixels", "extracted", "resident", "mapped"])
@pytest.mark.parametrize("step", [4, 8])
def test_taking_fewer_at_once_changes_nothing(kind: str, step: int) -> None:
    training = feeds(images(train=19))[kind].training(2)
    whole, parts = epoch(training), epoch(training, step)
    for one, two in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, two)


def test_pixels_stay_small_integers_until_they_are_on_the_device() -> None:
    table, labels, _ = PixelFeed(images(), 0).training(0).take(0, 5)
    assert table.shape == (5, 4, 4, 2)
    assert (table.dtype, labels.dtype) == (np.uint8, np.int32)


@pytest.mark.parametrize(("size", "most"), [(1, 2**28), (2**20, 2**8), (2**28, 1), (2**30, 1), (3, 2**28 // 3)])
def test_what_is_taken_at_once_fits(size: int, most: int) -> None:
    assert feed.images_per_call(size) == most


def test_most_goes_by_the_bytes_of_an_image() -> None:
    dataset = images()
    given = feeds(dataset)
    assert given["pixels"].training(0).max_images == 2**28 // 32
    assert given["mapped"].training(0).max_images == 2**28 // 6
    assert given["resident"].training(0).max_images == len(dataset.train)
    assert given["extracted"].training(0).max_images == 256


@given(SIZES, SIZES, SEEDS, st.integers(0, 3), st.booleans())
@hypothesis_settings(deadline=None, max_examples=15)
def test_features_on_the_device_and_on_disk_are_the_same(
    train: int, validation: int, seed: int, views: int, together: bool
) -> None:
    dataset = images(train, validation, together=together)
    resident, mapped = banked(dataset, views, seed, ALL), banked(dataset, views, seed, 0)
    for one, two in [
        *((resident.training(each), mapped.training(each)) for each in range(3)),
        (resident.validation(), mapped.validation()),
    ]:
        for ours, theirs in zip(epoch(one), epoch(two, 7), strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("room", "kept"), [(2 * (26 * 6 + 20 * 6), True), (2 * (26 * 6 + 20 * 6) - 1, False)])
def test_features_are_put_on_the_device_where_there_is_room(room: int, kept: bool) -> None:
    given = banked(images(), views=1, room=room)
    table, _, rows = given.training(0).take(3, 5)
    assert (len(table) == 2 * 20) is kept
    assert len(rows) == 2


@pytest.mark.parametrize("room", [0, ALL])
@pytest.mark.parametrize("views", [0, 1, 4])
def test_every_image_shows_each_of_its_views_equally_often(views: int, room: int) -> None:
    dataset = images(together=False)
    given = banked(dataset, views, room=room)
    seen: dict[int, list[int]] = {}
    for each in range(5, 5 + 2 * (views + 1)):
        values, _ = epoch(given.training(each))
        for image, view in zip(number(values), np.asarray(values)[:, 2], strict=True):
            seen.setdefault(int(image), []).append(int(view))
    for found in seen.values():
        assert sorted(found[: views + 1]) == [*range(views + 1)], "each view once"
        assert found[: views + 1] == found[views + 1 :], "then all over again"
    validation, _ = epoch(given.validation())
    assert set(validation[:, 2]) == {0}, "validation images are never augmented"


def test_an_epoch_shows_all_views_whichever_it_is() -> None:
    given = banked(images(train=300, validation=5), views=2)
    for each in range(3):
        values, _ = epoch(given.training(each))
        counts = Counter(values[:, 2].tolist())
        assert all(70 < counts[view] < 130 for view in range(3)), counts


def test_views_are_a_function_of_the_seed() -> None:
    dataset = images()
    one, same, other = (epoch(banked(dataset, 3, seed).training(0))[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    by_image = [dict(zip(number(values), values[:, 2], strict=True)) for values in (one, other)]
    assert by_image[0] != by_image[1]


CHANGES = {"augment.flip": True, "augment.rotation": 30, "augment.zoom": 0.3, "augment.translation": 0.2}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return tinybench.data.load("digits", DataConfig(per_class=8), 0, image_size=16)


def identity(pixels: Any) -> Any:
    assert pixels.dtype == np.float32
    return pixels


def test_extracted_augments_anew_every_epoch(digits: Dataset) -> None:
    given = EngineFeed(digits, settings(batch_size=16, **CHANGES), identity, augmented=True)
    first = epoch(given.training(0))[0][np.argsort(batches.epoch_order(given.count, 0, 0))]
    second = epoch(given.training(1))[0][np.argsort(batches.epoch_order(given.count, 0, 1))]
    plain = digits.train.images().astype(np.float32)
    for one, two in [(first, second), (first, plain), (second, plain)]:
        different = np.abs(one - two).reshape(len(plain), -1).max(axis=1) > 1
        assert different.mean() > 0.9
    assert first.min() >= plain.min() - 1e-3
    assert first.max() <= plain.max() + 1e-3


def test_extracted_augments_by_the_step_whatever_is_taken_at_once(digits: Dataset) -> None:
    chosen = settings(batch_size=16, **CHANGES)
    whole, _ = epoch(EngineFeed(digits, chosen, identity, augmented=True).training(3))
    given = EngineFeed(digits, chosen, identity, augmented=True)
    given.training(0).take(0, 32)  # whatever was augmented before
    for step in (16, 48):
        np.testing.assert_array_equal(epoch(given.training(3), step)[0], whole)
    alone, _, _ = given.training(3).take(32, 48)  # a resumed epoch need not begin at its first step
    np.testing.assert_array_equal(alone, whole[32:48])
    other, _ = epoch(
        EngineFeed(digits, settings(batch_size=16, seed=1, **CHANGES), identity, augmented=True).training(3)
    )
    assert not np.array_equal(np.sort(other, axis=0), np.sort(whole, axis=0))


def test_extracted_leaves_validation_images_as_they_are(digits: Dataset) -> None:
    given = EngineFeed(digits, settings(batch_size=16, **CHANGES), identity, augmented=True)
    values, labels = epoch(given.validation())
    np.testing.assert_array_equal(values, digits.validation.images())
    np.testing.assert_array_equal(labels, digits.validation.labels)


@pytest.mark.parametrize("room", [0, ALL])
def test_a_bank_feeds_what_the_frozen_part_makes_of_each_image(digits: Dataset, room: int, monkeypatch) -> None:
    monkeypatch.setattr("tinybench.hardware.device.data_budget", lambda: room)
    chosen = settings(**CHANGES)
    model = models.build(chosen, digits.shape, 10)
    cut = phases.find_phase_cut(model, chosen, "transfer")
    assert cut is not None
    kept = PhaseBanks(digits, chosen, cut, 0, weights="w", computing="float32", dtype="float32")
    kept.fill(KerasEngine(cut.extractor), "keras", RunCallbacks())
    given = kept.feed()
    for found, plain in [
        (given.training(4), digits.train.images(batches.epoch_order(given.count, 0, 4))),
        (given.validation(), digits.validation.images()),
    ]:
        values, _ = epoch(found)
        expected = cut.extractor(plain.astype(np.float32), training=False)
        np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-4)
