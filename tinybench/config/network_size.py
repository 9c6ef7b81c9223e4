"""How large the small networks are, as published and as a run has them. Standard library only, as the settings."""

from __future__ import annotations

from dataclasses import dataclass

from tinybench.config.sections import NetworkConfig
from tinybench.core.errors import ModelError


@dataclass(frozen=True)
class Size:
    """How large a network is; None for what it does not have.

    Attributes:
        filters: Of each stage, from below.
        blocks: Convolutions, or residual blocks, in a stage.
        dropout: Rate after each stage.
        l2: Penalty on the kernels of the convolutions.
    """

    filters: tuple[int, ...]
    blocks: int | None = None
    dropout: float | None = None
    l2: float | None = None


PUBLISHED: dict[str, Size] = {
    "smallcnn": Size((32, 64), blocks=2),
    "shallow": Size((8,)),
    "simple5": Size((32, 64)),
    "vgg10": Size((64, 64, 128), dropout=0.2, l2=0.0),
    "resnet20": Size((16, 32, 64), blocks=3, l2=1e-4),
    "alexnet-mini": Size((32, 64, 128, 128, 64)),
    "cnn3": Size((32, 64, 128), blocks=1, dropout=0.25, l2=0.0),
    "conv6": Size((32, 64, 128), blocks=2, dropout=0.3, l2=0.0),
    "deep": Size((64, 128, 256, 512), blocks=2, dropout=0.3, l2=5e-4),
}


def used(model: str, config: NetworkConfig) -> Size | None:
    """The published size of a small network, changed by what is given; None for any other model.

    Raises:
        ModelError: a size is given that the model does not have.
    """
    given = {key: value for key, value in vars(config).items() if value is not None}
    if model not in PUBLISHED:
        if given:
            first = next(iter(given))
            raise ModelError(f"`network.{first}` has no effect on {model}: it is for {', '.join(PUBLISHED)}.")
        return None
    own = vars(PUBLISHED[model])
    for key in given:
        if own[key] is None:
            takes = ", ".join(f"`network.{each}`" for each, value in own.items() if value is not None)
            raise ModelError(f"`network.{key}` has no effect on {model}, which takes {takes}: leave it at auto.")
    return Size(**own | given)
