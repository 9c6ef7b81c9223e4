"""Splits: disjoint, complete, stratified, a function of the seed and of nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinybench.config.sections import DataConfig
from tinybench.core.errors import DataError
from tinybench.data import fingerprint, splits
from tinybench.data.dataset import ImagePool, RawDataset


def pool(labels, seed=0):
    labels = np.asarray(labels, np.int32)
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 4, 4, 3), np.uint8)
    return ImagePool(images, labels, fingerprint.hash_images(images))


def source(train, test=None, validation=None, names=None):
    classes = int(max(train)) + 1
    return RawDataset(
        train=pool(train, 1),
        test=None if test is None else pool(test, 2),
        validation=None if validation is None else pool(validation, 3),
        class_names=tuple(names or (f"class{label}" for label in range(classes))),
        fingerprint="f" * 64,
        origin="made up",
        superclasses=tuple(f"super{label % 2}" for label in range(classes)),
    )


def counts(split, classes):
    return np.bincount(split.labels, minlength=classes).tolist()


SHUFFLED = np.random.default_rng(5).permutation(np.repeat(np.arange(4), 20))

sizes = st.lists(st.integers(3, 30), min_size=2, max_size=6)


@settings(max_examples=60, deadline=None)
@given(sizes=sizes, seed=st.integers(0, 2**31), share=st.floats(0.01, 0.5), test=st.booleans())
def test_splits_are_disjoint_complete_and_stratified(sizes, seed, share, test):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    origin = source(labels, test=np.arange(len(sizes)) if test else None)
    data = splits.split("made", origin, DataConfig(validation=share), seed)
    parts = [data.train, data.validation] + ([] if test else [data.test])
    assert sorted(np.concatenate([part.rows for part in parts]).tolist()) == list(range(len(labels)))
    for part in data.splits.values():
        assert np.all(np.diff(part.rows) > 0)
        assert np.array_equal(part.labels, part.pool.labels[part.rows])
        assert min(counts(part, len(sizes))) >= 1
    remaining = np.add(counts(data.train, len(sizes)), counts(data.validation, len(sizes)))
    assert np.all(np.abs(np.array(counts(data.validation, len(sizes))) - share * remaining) <= 1)


def test_seed_decides_validation_and_leaves_the_test_set_alone():
    origin = source(SHUFFLED)
    one, same, other = (splits.split("made", origin, DataConfig(), seed) for seed in (1, 1, 2))
    assert one.split_hash == same.split_hash != other.split_hash
    assert np.array_equal(one.test.rows, other.test.rows)
    assert not np.array_equal(one.validation.rows, other.validation.rows)


def test_class_is_split_alike_whichever_others_take_part():
    origin = source(SHUFFLED)
    every, some = (
        splits.split("made", origin, DataConfig(classes=classes), 3) for classes in (None, ("class2", "class0"))
    )
    for name in ("train", "validation", "test"):
        rows = every.splits[name].rows
        assert np.array_equal(some.splits[name].rows, rows[np.isin(SHUFFLED[rows], [0, 2])])


def test_first_classes_and_named_classes():
    origin = source(SHUFFLED, test=SHUFFLED)
    first = splits.split("made", origin, DataConfig(classes=2), 0)
    assert first.class_names == ("class0", "class1")
    named = splits.split("made", origin, DataConfig(classes=("class3", "class1")), 0)
    assert named.class_names == ("class3", "class1")
    assert named.superclasses == ("super1", "super1")
    assert np.array_equal(SHUFFLED[named.train.rows], np.array([3, 1])[named.train.labels])
    assert counts(named.test, 2) == [20, 20]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (("class0", "clas1"), "no class 'clas1': did you mean 'class1'"),
        (("class0", "zebra"), "no class 'zebra': classes are class0, class1"),
        (5, "asks for 5 classes, but there are 4"),
        (("class0", "class0"), "two different classes"),
        (("class1",), "at least two"),
    ],
)
def test_wrong_classes_are_named(classes, message):
    with pytest.raises(DataError, match=message):
        splits.split("made", source(SHUFFLED), DataConfig(classes=classes), 0)


def test_limits_take_the_first_images_whatever_the_seed():
    origin = source(SHUFFLED, test=SHUFFLED)
    for seed in (0, 1):
        data = splits.split("made", origin, DataConfig(per_class=5, test_per_class=3), seed)
        used = np.sort(np.concatenate([data.train.rows, data.validation.rows]))
        assert np.array_equal(
            used, np.sort(np.concatenate([np.flatnonzero(label == SHUFFLED)[:5] for label in range(4)]))
        )
        assert counts(data.test, 4) == [3] * 4
        assert data.test.rows[0] == 0


def test_limit_on_training_does_not_move_the_test_set():
    origin = source(SHUFFLED)
    full, few = (splits.split("made", origin, DataConfig(per_class=limit), 0) for limit in (None, 4))
    assert np.array_equal(full.test.rows, few.test.rows)


def test_official_validation_is_used_as_it_is():
    data = splits.split("made", source(SHUFFLED, test=SHUFFLED, validation=[0, 1, 2, 3, 3]), DataConfig(), 0)
    assert len(data.train) == len(SHUFFLED)
    assert data.validation.labels.tolist() == [0, 1, 2, 3, 3]


def test_too_few_images_of_a_class():
    with pytest.raises(DataError, match=r"'class1' has too few training images \(1 left to split\)"):
        splits.split("made", source([0, 0, 0, 1], test=[0, 1]), DataConfig(), 0)
    with pytest.raises(DataError, match="'class1' has no test images"):
        splits.split("made", source([0, 0, 1, 1], test=[0, 0]), DataConfig(), 0)


def test_exact_duplicates_are_counted_across_splits():
    train, test = pool([0, 0, 0, 1, 1, 1]), pool([0, 1, 1], 9)
    test.images[1] = train.images[0]
    test.images[2] = train.images[0]
    test = ImagePool(test.images, test.labels, fingerprint.hash_images(test.images))
    origin = RawDataset(train, test, ("a", "b"), "f" * 64, "made up")
    data = splits.split("made", origin, DataConfig(), 0)
    first_is_held_out = 0 in data.validation.rows
    assert data.duplicates == {
        "train/validation": 0,
        "train/test": 0 if first_is_held_out else 2,
        "validation/test": 2 if first_is_held_out else 0,
    }


def test_hash_sees_pixels_labels_and_order():
    base = splits.split("made", source(SHUFFLED, test=SHUFFLED), DataConfig(), 0)
    changed = source(SHUFFLED, test=SHUFFLED)
    changed.test.digests[0] = b"another"
    swapped = splits.split(
        "made", source(SHUFFLED, test=SHUFFLED), DataConfig(classes=("class1", "class0", "class2", "class3")), 0
    )
    assert len({base.split_hash, splits.split("made", changed, DataConfig(), 0).split_hash, swapped.split_hash}) == 3


def test_split_gathers_pixels_by_position():
    data = splits.split("made", source(SHUFFLED), DataConfig(), 0)
    where = np.array([5, 0, 3])
    assert np.array_equal(data.train.images(where), data.train.pool.images[data.train.rows[where]])
    assert data.train.images(slice(2, 4)).shape == (2, 4, 4, 3)
    assert len(data.train.images()) == len(data.train)


def test_digest_tells_shapes_apart():
    flat = np.zeros((2, 8, 1), np.uint8)
    assert fingerprint.hash_image(flat) != fingerprint.hash_image(flat.reshape(8, 2, 1))
