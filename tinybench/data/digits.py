"""Digits: the embedded data set, 1,797 scanned digits that come with scikit-learn."""

from __future__ import annotations

import numpy as np

from tinybench.data import fingerprint
from tinybench.data.dataset import Card, Pool, Source
from tinybench.data.dataset_registry import Request, register

CARD = Card("digits", "Handwritten digits, 8 x 8 gray, embedded: needs no download.", 10, 1797, None, (8, 8, 1))

_WHITE = 16


@register(CARD)
def load(_request: Request) -> Source:
    """All digits as one pool of (8, 8, 1) images, scaled from 0..16 to 0..255."""
    from sklearn.datasets import load_digits  # takes a second to import, and a card must not

    bunch = load_digits()
    images = np.rint(bunch.images[..., np.newaxis] * (255 / _WHITE)).astype(np.uint8)
    pool = Pool(images, bunch.target.astype(np.int32), fingerprint.of_images(images))
    names = tuple(str(digit) for digit in range(10))
    return Source(pool, None, names, fingerprint.of_content([pool], names), "scikit-learn's load_digits")
