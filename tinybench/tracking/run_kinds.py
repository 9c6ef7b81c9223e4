"""What kind of run a run is: told by a tag, and for runs without it by their other tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tinybench.tracking import tags

if TYPE_CHECKING:
    from collections.abc import Mapping

TRAINING = "training"
EVALUATION = "evaluation"
MEASUREMENT = "measurement"
PROBE = "probe"
"""Of a backbone that a probe scored by a head in closed form, and of the run above several of them."""
STUDY = "study"
TRIAL = "trial"
BENCHMARK = "benchmark"
PHASE = "phase"
FOLD = "fold"
SEED = "seed"
OTHER = "other"
"""Of a run that tinybench did not make."""

_BY_TAG = {tags.PHASE: PHASE, tags.FOLD: FOLD, tags.TRIAL: TRIAL, tags.SEED: SEED, tags.STUDY: STUDY}


def kind_of(run_tags: Mapping[str, str]) -> str:
    """Return the kind of a run by its tags."""
    if tags.KIND in run_tags:
        return run_tags[tags.KIND]
    for tag, kind in _BY_TAG.items():
        if tag in run_tags:
            return kind
    if tags.SPLIT_HASH in run_tags or tags.CONFIG_HASH in run_tags:
        return TRAINING
    return OTHER
