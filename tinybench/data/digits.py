"""Load the digits that come with scikit-learn: 1,797 small scans, which need no download."""

from __future__ import annotations

import numpy as np

from tinybench.data import fingerprint
from tinybench.data.dataset import DatasetCard, ImagePool, RawDataset
from tinybench.data.dataset_registry import register
from tinybench.data.load_request import LoadRequest

CARD = DatasetCard("digits", "Handwritten digits, 8 x 8 gray, embedded: needs no download.", 10, 1797, None, (8, 8, 1))

_WHITE = 16  # the largest value of scikit-learn's pixels


@register(CARD)
def load(_request: LoadRequest) -> RawDataset:
    """Load all digits as one pool of (8, 8, 1) images, scaled from 0..16 to 0..255."""
    from sklearn.datasets import load_digits  # takes a second to import, which reading the card must not cost

    bunch = load_digits()
    images = np.rint(bunch.images[..., np.newaxis] * (255 / _WHITE)).astype(np.uint8)
    pool = ImagePool(images, bunch.target.astype(np.int32), fingerprint.hash_images(images))
    names = tuple(str(digit) for digit in range(10))
    return RawDataset(pool, None, names, fingerprint.hash_content([pool], names), "scikit-learn's load_digits")
