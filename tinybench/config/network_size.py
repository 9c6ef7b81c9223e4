"""Sizes of the small networks, as published and as changed by the settings of a run. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from tinybench.config.sections import NetworkConfig
from tinybench.core.errors import ModelError


@dataclass(frozen=True)
class NetworkSize:
    """The size of a small network.

    None stands for what the network does not have, and a run cannot set; 0 for what is off, and a run can set.

    Attributes:
        filters: The number of filters of each stage, from the input up.
        blocks: The number of convolutions, or of residual blocks, in a stage.
        dropout: The dropout rate after each stage.
        l2: The L2 penalty on the kernels of the convolutions.
    """

    filters: tuple[int, ...]
    blocks: int | None = None
    dropout: float | None = None
    l2: float | None = None


PUBLISHED_SIZES: dict[str, NetworkSize] = {
    "smallcnn": NetworkSize((32, 64), blocks=2),
    "shallow": NetworkSize((8,)),
    "simple5": NetworkSize((32, 64)),
    "vgg10": NetworkSize((64, 64, 128), dropout=0.2, l2=0.0),
    "resnet20": NetworkSize((16, 32, 64), blocks=3, l2=1e-4),
    "alexnet-mini": NetworkSize((32, 64, 128, 128, 64)),
    "cnn3": NetworkSize((32, 64, 128), blocks=1, dropout=0.25, l2=0.0),
    "conv6": NetworkSize((32, 64, 128), blocks=2, dropout=0.3, l2=0.0),
    "deep": NetworkSize((64, 128, 256, 512), blocks=2, dropout=0.3, l2=5e-4),
}


def effective_size(model: str, config: NetworkConfig) -> NetworkSize | None:
    """Return the published size of a small network with the changes of a run; None for any other model.

    Args:
        model: The name of the model.
        config: The changes; None in a field leaves the published value.

    Raises:
        ModelError: A field is set that the model does not have.
    """
    changes = {key: value for key, value in vars(config).items() if value is not None}
    if model not in PUBLISHED_SIZES:
        if changes:
            first = next(iter(changes))
            raise ModelError(f"`network.{first}` has no effect on {model}: it is for {', '.join(PUBLISHED_SIZES)}.")
        return None
    published = vars(PUBLISHED_SIZES[model])
    for key in changes:
        if published[key] is None:
            available = ", ".join(f"`network.{name}`" for name, value in published.items() if value is not None)
            raise ModelError(f"`network.{key}` has no effect on {model}, which takes {available}: leave it at auto.")
    return NetworkSize(**published | changes)
