"""Recognise the names that people give to the splits of a data set."""

from __future__ import annotations

import re

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

_WORDS = {
    TRAIN: ("train", "training", "trn"),
    VALIDATION: ("val", "valid", "validation", "validating", "dev", "development", "eval", "evaluation"),
    TEST: ("test", "testing", "tst", "holdout", "heldout"),
}
_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words}
_STANDARD = ("train", "val", "valid", "validation", "test")
# As in `seg_train`, `training_set`, `test images`, `val2017`
_NAME = re.compile(r"(?:seg)?(?P<word>[a-z]+?)(?:set|data|images|imgs|pictures|split|folder)?(?:[0-9]{4})?")


def recognize_split(name: str) -> str | None:
    """Return the split that a folder, a table or a value is named after; None if it is none.

    Case, hyphens, underscores and spaces do not matter: `Training`, `seg_train` and `train-set` are `train`.
    """
    letters = re.sub(r"[\W_]+", "", name.casefold())
    match = _NAME.fullmatch(letters)
    return _SPLIT_OF.get(letters) or (_SPLIT_OF.get(match["word"]) if match else None)


def is_standard(name: str) -> bool:
    """Return whether a folder has one of the names that nobody needs to be told the meaning of."""
    return name in _STANDARD
