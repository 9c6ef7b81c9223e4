"""The recipe to start with: handwritten digits that come with scikit-learn."""

from __future__ import annotations

from tinybench.config.run_config import RunConfig
from tinybench.config.sections import AugmentConfig, FinetuneConfig, HeadConfig, TransferConfig
from tinybench.recipes.recipe import OWN_SOURCE, Expected, Recipe


def config() -> RunConfig:
    """Train a small network on scikit-learn's digits, without a download, in both phases.

    Source: tinybench; the data are the 1,797 digits of 8 by 8 pixels that scikit-learn carries.
    Command: tinybench train --recipe quickstart, or make run.
    Time: one to two minutes on two CPU cores.
    Expect: test accuracy above .9. The backbone has random weights, so the first phase shows what a head
    can learn from random features, and the second what training the backbone adds.
    """
    return RunConfig(
        model="smallcnn",
        dataset="digits",
        weights="none",
        image_size=16,
        batch_size=32,
        head=HeadConfig(dropout=0.1, hidden=64),
        augment=AugmentConfig(rotation=10, translation=0.1),
        transfer=TransferConfig(epochs=20, lr=3e-3),
        finetune=FinetuneConfig(epochs=15, lr=2e-3, unfreeze="all"),
    )


RECIPES = (
    Recipe(
        "quickstart",
        config,
        (Expected("test/accuracy", 0.9, "test", OWN_SOURCE, "smallcnn", "finetune"),),
        system="-",
        architecture="four convolutions, both phases",
        cost="1 min on 2 CPU cores",
    ),
)
