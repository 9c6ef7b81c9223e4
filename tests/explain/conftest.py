"""What the tests of explanations share: one network that has learned a planted cue."""

from __future__ import annotations

import explained
import pytest


@pytest.fixture(scope="session")
def planted() -> explained.Planted:
    return explained.planted()
