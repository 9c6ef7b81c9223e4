"""How people name the splits of a data set."""

from __future__ import annotations

import pytest

from tinybench.data.split_names import is_standard, recognize_split


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", "train Train TRAIN Training seg_train training_set train-images trainset train2017"),
        ("validation", "val valid validation dev eval Valid seg_val validation_set dev_set val2017"),
        ("test", "test Test Testing seg_test test_set test.images testset holdout hold-out"),
        (None, "bus trainer valley contest testimony set images seg_pred asl_train value"),
    ],
)
def test_names_of_splits_are_recognized(split: str | None, names: str) -> None:
    assert {name: recognize_split(name) for name in names.split()} == dict.fromkeys(names.split(), split)


def test_usual_names_need_no_explanation() -> None:
    assert all(map(is_standard, ("train", "val", "valid", "validation", "test")))
    assert not any(map(is_standard, ("Training", "dev", "eval", "seg_test")))
