"""Runs on folders of images: of one folder at several sizes, and of two folders with one name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stores import elsewhere, fresh

import tinybench
from tinybench.core.errors import ConfigError
from tinybench.registry import policy, promotion
from tinybench.registry.candidates import CandidateQuery
from tinybench.tracking.tracker import Tracker

_SETTINGS = {
    "recipe": "quickstart",
    "phases": "scratch",
    "scratch.epochs": 2,
    "track.pictures": False,
    "track.costs": "off",
}
_ONLY_DATA = "".join(f"[{gate}]\noff = true\n" for gate in policy.GATES if gate != "data")


def make_images(folder: Path, seed: int) -> Path:
    generator = np.random.default_rng(seed)
    for label in ("dark", "light"):
        (folder / label).mkdir(parents=True)
        for number in range(20):
            low = 0 if label == "dark" else 100
            pixels = generator.integers(low, low + 120, (*generator.integers(12, 40, 2), 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> str:
    return fresh(tmp_path_factory)


@pytest.fixture(scope="module")
def runs(store, tmp_path_factory) -> dict[str, str]:
    first = make_images(tmp_path_factory.mktemp("a") / "pics", 0)
    second = make_images(tmp_path_factory.mktemp("b") / "pics", 1)
    wanted = {
        "small": {"dataset": f"folder:{first}"},
        "large": {"dataset": f"folder:{first}", "image_size": 24, "data.resize": "pad"},
        "other": {"dataset": f"folder:{second}"},
    }
    with elsewhere(tmp_path_factory):
        return {name: tinybench.train(**_SETTINGS | {"track.uri": store} | own).run_id for name, own in wanted.items()}


def test_runs_on_one_folder_at_two_sizes_are_compared(store, runs):
    comparison = tinybench.compare([runs["small"], runs["large"]], uri=store)
    assert len(comparison.differences) == 1


def test_the_champion_may_have_another_size_but_not_other_images(store, runs):
    tracker, limits = Tracker.at(store), policy.parse(_ONLY_DATA)
    first = promotion.promote(tracker, CandidateQuery(runs["small"]), limits)
    second = promotion.promote(tracker, CandidateQuery(runs["large"]), limits)
    assert first.decision.name == second.decision.name == "tinybench-pics"
    assert (first.decision.action, second.decision.action) == ("promote", "promote")
    with pytest.raises(
        ConfigError, match=r"was trained on folder:.*/a.*/pics, and the run on folder:.*/b.*another --name"
    ):
        promotion.promote(tracker, CandidateQuery(runs["other"]), limits)
    refused = promotion.promote(tracker, CandidateQuery(runs["other"]), limits, name="tinybench-pics")
    assert refused.decision.action == "refuse"
    with pytest.raises(ConfigError, match="choose by --dataset"):
        promotion.promote(tracker, CandidateQuery(dataset="pics"), limits)
