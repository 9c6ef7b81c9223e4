"""The feature bank: named by all that decides its content, and each image computed once."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from processes import python
from recorded_events import RecordedEvents

from tinybench.config.sections import AugmentConfig
from tinybench.core import cache
from tinybench.data import fingerprint
from tinybench.data.dataset import ImagePool, Split
from tinybench.features import bank as features
from tinybench.features.bank import Augmenter, FeatureBank, View
from tinybench.features.shards import Shards

COUNT = 1100


IMAGES = np.random.default_rng(0).integers(0, 256, (COUNT, 2, 2, 1), np.uint8)


ALL = np.arange(COUNT)


MANY_CHANGES = AugmentConfig(flip=True, rotation=30, zoom=0.3, translation=0.2)


SHARD = Shards(Path(), COUNT, (4,), "float16").rows  # there are several of them, the last one smaller


TWO = 2 * SHARD


KEY = {"extractor": "abc", "computing": "float32", "dtype": "float16"}


def pool(images: NDArray[np.uint8] = IMAGES) -> ImagePool:
    return ImagePool(images, np.zeros(len(images), np.int32), fingerprint.hash_images(images))


def bank(
    images: NDArray[np.uint8] = IMAGES,
    rows: NDArray[np.int64] = ALL,
    number: int = 0,
    changes: AugmentConfig = MANY_CHANGES,
    seed: int = 0,
    **key: str,
) -> FeatureBank:
    return FeatureBank(pool(images), rows, View(number, changes, seed), (4,), KEY | key)


def halved(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return pixels.reshape(len(pixels), 4) / 2


class Extract:
    """Halves pixels and counts images; before a call, it does what it was told to do after so many."""

    def __init__(self, before: Callable[[int], None] = lambda images: None) -> None:
        self.before = before
        self.images = 0

    def __call__(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        self.before(self.images)
        assert pixels.dtype == np.float32
        self.images += len(pixels)
        return halved(pixels)


def unexpected() -> None:
    raise AssertionError("nobody else computes these features")


def fill(given_bank: FeatureBank, extract: Callable[[NDArray], NDArray] | None = None) -> int:
    """Fill a bank; returns how many images it reported."""
    events = RecordedEvents(message=unexpected)
    given_bank.fill(extract or Extract(), "halves", "keras", events)
    return sum(events.images)


# What a bank holds


def test_each_image_is_computed_once_and_kept() -> None:
    extract = Extract()
    assert bank().missing() == COUNT
    assert fill(bank(), extract) == extract.images == COUNT
    again = bank()
    assert again.missing() == 0
    assert fill(again, extract) == 0
    assert extract.images == COUNT


def test_there_are_several_shards() -> None:
    fill(bank())
    assert 3 * SHARD > TWO < COUNT
    assert len([*bank().folder.glob("*.npy")]) == -(-COUNT // SHARD)


@given(st.lists(st.integers(0, COUNT - 1), max_size=50))
@settings(max_examples=30)
def test_the_rows_that_are_asked_for_come_in_their_order(filled: FeatureBank, asked: list[int]) -> None:
    taken = filled.take(np.array(asked, np.int64))
    assert taken.dtype == np.float16
    np.testing.assert_array_equal(taken, halved(IMAGES[asked].astype(np.float32)).astype(np.float16))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> FeatureBank:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        found = bank()
        fill(found)
        return found


def test_a_bank_of_some_rows_of_a_pool_knows_them_by_their_place_in_the_pool() -> None:
    some = bank(rows=np.array([700, 3, 3, 1099]))
    assert fill(some) == 3
    expected = halved(IMAGES[[1099, 3, 700, 3]].astype(np.float32))
    np.testing.assert_array_equal(some.take(np.array([1099, 3, 700, 3])), expected)


def test_rows_of_splits_are_joined() -> None:
    given_pool = pool()
    first, second = (Split(given_pool, np.array(rows), np.zeros(3, np.int32)) for rows in ([5, 1, 9], [1, 7, 0]))
    assert features.rows_of_splits(first, second).tolist() == [0, 1, 5, 7, 9]


def test_a_bank_says_what_it_is() -> None:
    found = bank()
    fill(found)
    (entry,) = cache.list_entries()
    assert (entry.kind, entry.folder, entry.description) == ("features", found.folder, "halves")
    assert entry.bytes >= COUNT * 4 * 2 == found.shards.bytes
    assert json.loads((found.folder / "about.json").read_text())["key"] == json.loads(json.dumps(found.key))


# What a bank is called


OTHER_PIXEL = IMAGES.copy()


OTHER_PIXEL[1099, 1, 1, 0] ^= 1


def test_the_same_is_called_the_same() -> None:
    assert bank().folder == bank().folder
    assert bank(rows=ALL[::-1]).folder == bank(rows=np.tile(ALL, 2)).folder == bank().folder
    assert bank().folder.parent == cache.entry_folder("features", "x").parent


@pytest.mark.parametrize(
    "other",
    [
        {"images": OTHER_PIXEL},
        {"rows": ALL[1:]},
        {"images": IMAGES[::-1]},
        {"images": IMAGES.reshape(COUNT, 1, 4, 1)},
        {"number": 1},
        {"extractor": "abd"},
        {"computing": "bfloat16"},
        {"dtype": "float32"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_whatever_decides_the_features_decides_the_name(other: dict) -> None:
    assert bank(**other).folder != bank().folder


def test_a_pixel_of_another_image_decides_nothing() -> None:
    assert bank(images=OTHER_PIXEL, rows=ALL[:-1]).folder == bank(rows=ALL[:-1]).folder


OTHER_CHANGES = [
    replace(MANY_CHANGES, flip=False),
    replace(MANY_CHANGES, rotation=31),
    replace(MANY_CHANGES, zoom=0.31),
    replace(MANY_CHANGES, translation=0.0),
]


def test_augmented_views_are_named_by_number_seed_and_augmentation() -> None:
    views = [bank(number=number, seed=seed) for number in (1, 2, 12) for seed in (0, 1, 2)]
    views += [bank(number=1, changes=changes) for changes in OTHER_CHANGES]
    assert len({view.folder for view in views}) == len(views)


def test_augmentation_and_seed_decide_nothing_of_the_plain_view() -> None:
    assert {bank(seed=seed, changes=changes).folder for seed in (0, 1) for changes in OTHER_CHANGES} == {bank().folder}


# What goes wrong while a bank is filled


def interrupt(images: int) -> None:
    if images >= TWO:
        raise KeyboardInterrupt


def test_an_interrupted_fill_goes_on_where_it_stopped() -> None:
    with pytest.raises(KeyboardInterrupt):
        fill(bank(), Extract(interrupt))
    assert bank().missing() == COUNT - TWO
    extract = Extract()
    assert fill(bank(), extract) == extract.images == COUNT - TWO
    again = bank()
    assert again.missing() == 0
    np.testing.assert_array_equal(again.take(ALL), halved(IMAGES.astype(np.float32)))


def test_augmented_views_do_not_depend_on_interruptions() -> None:
    whole, cut = bank(number=1, computing="float32"), bank(number=1, computing="interrupted")
    fill(whole)
    with pytest.raises(KeyboardInterrupt):
        fill(cut, Extract(interrupt))
    cut = bank(number=1, computing="interrupted")
    fill(cut)
    np.testing.assert_array_equal(cut.take(ALL), whole.take(ALL))


def test_views_differ_from_one_another() -> None:
    views = [bank(number=number, rows=ALL[:100]) for number in range(3)] + [bank(number=1, rows=ALL[:100], seed=1)]
    for view in views:
        fill(view)
    for one, two in itertools.combinations([view.take(ALL[:100]) for view in views], 2):
        assert np.mean(np.any(one != two, axis=1)) > 0.5


def test_a_damaged_shard_alone_is_computed_again() -> None:
    fill(bank())
    (damaged,) = bank().folder.glob("000001-*.npy")
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    again, extract = bank(), Extract()
    assert again.missing() == SHARD
    assert fill(again, extract) == extract.images == SHARD
    np.testing.assert_array_equal(again.take(ALL), halved(IMAGES.astype(np.float32)))


def test_too_large_for_float16_is_an_error_and_what_was_kept_is_right() -> None:
    largest = IMAGES.reshape(COUNT, 4).astype(np.float32)
    largest[TWO:] = 140_000
    largest[0] = -131_008

    def large(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        nonlocal largest
        found, largest = largest[: len(pixels)] / 2, largest[len(pixels) :]
        return found

    with pytest.raises(OverflowError, match=r"^A feature is beyond 65504, the largest float16$"):
        fill(bank(), large)
    narrow = bank()
    assert narrow.missing() == COUNT - TWO
    assert fill(narrow) == COUNT - TWO
    kept = narrow.take(ALL)
    assert kept[0].tolist() == [-65_504] * 4
    np.testing.assert_array_equal(kept[1:], halved(IMAGES.astype(np.float32))[1:])
    wide = bank(dtype="float32")
    assert fill(wide, lambda pixels: np.full((len(pixels), 4), 70_000, np.float32)) == COUNT
    assert (wide.take(ALL) == 70_000).all()


def test_an_infinite_feature_is_beyond_float16() -> None:
    with pytest.raises(OverflowError, match="the largest float16"):
        fill(bank(dtype="float16"), lambda pixels: np.full((len(pixels), 4), -np.inf, np.float32))
    assert bank(dtype="float16").missing() == COUNT


def test_float32_keeps_what_the_network_gives_infinities_too() -> None:
    wide = bank(dtype="float32")
    fill(wide, lambda pixels: np.full((len(pixels), 4), -np.inf, np.float32))
    assert np.isneginf(wide.take(ALL)).all(), "training names the step at which it diverges, as with pixels"


def test_a_nan_does_not_hide_that_another_feature_is_too_large() -> None:
    def mixed(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        found = np.full((len(pixels), 4), 1e6, np.float32)
        found[0] = np.nan
        return found

    with np.errstate(over="ignore"), pytest.raises(OverflowError):
        fill(bank(), mixed)


def test_an_error_lets_go_of_the_lock() -> None:
    def fail(images: int) -> None:
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fill(bank(), Extract(fail))
    assert fill(bank()) == COUNT


def test_a_bank_that_was_removed_while_waiting_is_filled_all_the_same() -> None:
    found, remover = bank(), cache.entry_lock(bank().folder)
    found.folder.mkdir(parents=True)
    remover.acquire()

    def removed() -> None:
        found.folder.rename(found.folder.with_name("removed"))
        remover.release()

    events = RecordedEvents(message=removed)
    found.fill(Extract(), "halves", "keras", events)
    assert sum(events.images) == COUNT
    assert bank().missing() == 0


# Several processes


# Keras is loaded once, and each of the processes that fill begins from there
FILLERS = r"""
import os, signal, time
import numpy as np
from tinybench.config.sections import AugmentConfig
from tinybench.data import fingerprint
from tinybench.data.dataset import ImagePool
from tinybench.features.bank import FeatureBank, View
from tinybench.training.run_callbacks import RunCallbacks

images = np.random.default_rng(0).integers(0, 256, (1100, 2, 2, 1), np.uint8)
pool = ImagePool(images, np.zeros(1100, np.int32), fingerprint.hash_images(images))

def bank(name):
    key = {"extractor": name, "computing": "float32", "dtype": "float16"}
    return FeatureBank(pool, np.arange(1100), View(0, AugmentConfig(), 0), (4,), key)

def start(name, dies=False):
    process = os.fork()
    if process:
        return process
    found, computed, waits = bank(name), [], []

    def extract(pixels):
        if dies and sum(computed) >= 2 * found.shards.rows:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(len(pixels) / 1000)
        computed.append(len(pixels))
        return pixels.reshape(len(pixels), 4) / 2

    class Callbacks(RunCallbacks):
        def on_message(self, text):
            waits.append(1)

    found.fill(extract, "halves", "keras", Callbacks())
    total = found.take(np.arange(1100)).sum(dtype=float)
    os.write(1, f"{name} {sum(computed)} {len(waits)} {total}\n".encode())
    os._exit(0)

for name in ("live", "die"):
    processes = [start(name, dies=name == "die")]
    while not (bank(name).folder / "about.json").exists():  # it is at it
        time.sleep(0.01)
    processes += [start(name), start(name)]
    ends = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
    os.write(1, f"{name} {ends}\n".encode())
"""


def test_processes_that_fill_one_bank_at_once_compute_each_image_once_even_when_one_is_killed() -> None:
    out, err = python(FILLERS).communicate(timeout=120)
    total = halved(IMAGES.astype(np.float32)).sum(dtype=float)
    expected = [
        f"live {COUNT} 0 {total}",
        f"live 0 1 {total}",
        f"live 0 1 {total}",
        "live [0, 0, 0]",
        f"die {COUNT - TWO} 1 {total}",  # the others were there when it was killed
        f"die 0 1 {total}",
        f"die [{-signal.SIGKILL}, 0, 0]",
    ]
    assert sorted(out.splitlines()) == sorted(expected), err
    assert [bank(extractor=name).missing() for name in ("live", "die")] == [0, 0]


# Augmented pixels


PIXELS = np.random.default_rng(1).integers(0, 256, (6, 8, 8, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "changes",
    [MANY_CHANGES, AugmentConfig(flip=True), AugmentConfig(rotation=90), AugmentConfig(zoom=0.5),
     AugmentConfig(translation=0.3)],
)  # fmt: skip
def test_augmented_pixels_are_a_function_of_their_seeds(changes: AugmentConfig) -> None:
    first = Augmenter(changes)
    expected = first(PIXELS, 1, 2, 3)
    assert expected.shape == PIXELS.shape
    assert expected.dtype == np.float32
    first(PIXELS[:3], 5)
    keras.layers.RandomRotation(0.1)(PIXELS, training=True)
    for augmenter in (first, Augmenter(changes)):
        np.testing.assert_array_equal(augmenter(PIXELS, 1, 2, 3), expected)
    assert not np.array_equal(first(PIXELS, 1, 2, 4), expected) or changes == AugmentConfig(flip=True)


def test_each_image_is_changed_in_its_own_way_and_by_each_seed() -> None:
    augmenter, same = Augmenter(MANY_CHANGES), np.repeat(PIXELS[:1], 6, axis=0)
    found = [augmenter(same, *seeds) for seeds in [(0,), (1,), (0, 0), (0, 1), (1, 0)]]
    every = np.concatenate(found)
    assert len(np.unique(every, axis=0)) == len(every)


def test_nothing_to_change_changes_nothing() -> None:
    np.testing.assert_array_equal(Augmenter(AugmentConfig())(PIXELS, 1), PIXELS)


def test_who_waited_and_computed_nothing_did_not_make_it() -> None:
    found = bank()
    fill(found)
    cache.write_description(found.folder, "halves", found.key, "openvino")
    assert bank().fill(Extract(), "halves", "keras", RecordedEvents(message=unexpected)) == 0
    assert cache.read_producer(found.folder) == "openvino"
