"""The sections of a configuration: what can be set, with kinds, defaults and a line of help each.

Standard library only, as all of the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinybench.config.fields import (
    boolean,
    choice,
    either,
    integer,
    integers,
    name,
    number,
    numbers,
    optional,
    pairs,
    setting,
    share,
    size,
    text,
    words,
)


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how they are split."""

    root: str | None = setting(None, optional(text("a folder")), "Folder that holds the data; downloads go there too.")
    classes: int | tuple[str, ...] | None = setting(
        None,
        optional(either(integer(2), words("class names separated by commas")), "all"),
        "First n, or names.",
    )
    labels: str = setting("fine", choice("fine", "coarse"), "CIFAR-100 only: the 100 classes or the 20 superclasses.")
    per_class: int | None = setting(None, optional(integer(2), "all"), "Most training images of a class.")
    test_per_class: int | None = setting(None, optional(integer(1), "all"), "Most test images of a class.")
    validation: float = setting(0.1, number(0, 0.5, ends="(]"), "Share of the training images held out to select by.")
    folds: int | None = setting(
        None, optional(integer(2)), "Folds of stratified cross-validation, a run each, in place of data.validation."
    )
    test: float = setting(0.2, number(0, 0.5, ends="(]"), "Share held out for testing where there is no test split.")
    skip_corrupt: bool = setting(False, boolean(), "Leave out images that cannot be read instead of stopping.")


@dataclass(frozen=True)
class BackboneConfig:
    """How the backbone's pixels and weights reach it."""

    preprocessing: str = setting(
        "included",
        choice("included", "caffe", "tf", "torch"),
        "For a user's own backbone: what its pixels need (Keras's names); included: the model does it itself.",
    )
    mirror: str | None = setting(None, optional(text("an address")), "Address to fetch ImageNet weights from.")


@dataclass(frozen=True)
class NetworkConfig:
    """How large a small network is; what is left at auto is as it was published."""

    filters: tuple[int, ...] | None = setting(None, optional(integers(), "auto"), "Filters of each stage, from below.")
    blocks: int | None = setting(None, optional(integer(1), "auto"), "Convolutions, or residual blocks, in a stage.")
    dropout: float | None = setting(
        None, optional(number(0, 1, ends="[)"), "auto"), "Dropout rate after each stage; not every network has it."
    )
    l2: float | None = setting(None, optional(number(0), "auto"), "L2 penalty on the convolutions' kernels.")


@dataclass(frozen=True)
class HeadConfig:
    """The classifier on top of the backbone."""

    pooling: str = setting(
        "avg", choice("avg", "max", "flatten"), "Global pooling of the backbone's features, or all of them."
    )
    dropout: float = setting(0.3, number(0, 1, ends="[)"), "Dropout rate after pooling.")
    hidden: int | tuple[int, ...] | None = setting(
        256, optional(either(integer(1), integers())), "Units of the hidden dense layer, or of each, from below."
    )
    hidden_dropout: float = setting(0.0, number(0, 1, ends="[)"), "Dropout rate after each hidden layer.")
    batch_norm: bool = setting(False, boolean(), "Batch normalization after pooling and after each hidden layer.")
    l2: float = setting(1e-4, number(0), "L2 penalty on the hidden layers' kernels.")


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes of the training images, in the training graph only."""

    flip: bool = setting(False, boolean(), "Mirror left and right.")
    rotation: float = setting(0.0, number(0, 180), "Largest rotation, in degrees.")
    zoom: float = setting(0.0, number(0, 1, ends="[)"), "Largest zoom, as a share of the side.")
    translation: float = setting(0.0, number(0, 1, ends="[)"), "Largest shift, as a share of the side.")
    contrast: float = setting(0.0, number(0, 1), "Largest change of contrast, as a share.")
    crop: int = setting(0, integer(0, 1024), "Pixels of padding around an image that is then cropped at random.")
    cutout: float = setting(0.0, number(0, 1, ends="[)"), "Side of a square that is blanked, as a share of the side.")
    mixup: float = setting(0.0, number(0), "Mix pairs of images and labels: alpha of the Beta distribution; 0 is off.")
    cutmix: float = setting(0.0, number(0), "Paste a part of another image, with its share of the label: alpha.")


@dataclass(frozen=True)
class OptimizerConfig:
    """What turns gradients into steps."""

    name: str = setting("adam", choice("adam", "adamw", "sgd"), "Optimizer, by Keras's name in lower case.")
    momentum: float = setting(0.0, number(0, 1, ends="[)"), "Momentum of sgd.")
    nesterov: bool = setting(False, boolean(), "Nesterov momentum, for sgd.")
    weight_decay: float = setting(0.004, number(0), "Decoupled weight decay of adamw.")


@dataclass(frozen=True)
class LossConfig:
    """Cross-entropy, and how labels and classes enter it."""

    labels: str = setting("sparse", choice("sparse", "one-hot"), "Form of the labels; both give the same loss.")
    smoothing: float = setting(0.0, number(0, 1, ends="[)"), "Label smoothing; labels are one-hot then.")
    class_weights: str | tuple[float, ...] | None = setting(
        None,
        optional(either(choice("balanced"), numbers())),
        "Weights of the classes in the training loss; balanced: as rare as they are.",
    )


@dataclass(frozen=True)
class PhaseConfig:
    """One phase of training."""

    epochs: int = setting(15, integer(1), "Most epochs.")
    lr: float = setting(1e-4, number(0, ends="(]"), "Learning rate at the start, or after the warm-up.")
    schedule: str = setting(
        "plateau", choice("constant", "plateau", "cosine"), "How lr goes on: reduced on a plateau, or a cosine to 0."
    )
    warmup: int = setting(0, integer(0), "Epochs over which a cosine schedule first raises lr from 0.")
    patience: int | None = setting(5, optional(integer(1)), "Epochs without progress before stopping early.")
    plateau_patience: int = setting(2, integer(1), "Epochs without progress before lr is reduced.")
    plateau_factor: float = setting(0.5, number(0, 1, ends="()"), "What lr is multiplied by on a plateau.")


@dataclass(frozen=True)
class ScratchConfig(PhaseConfig):
    """The only phase of a network that begins with random weights: everything is trained."""

    epochs: int = setting(30, integer(1), "Most epochs.")
    lr: float = setting(1e-3, number(0, ends="(]"), "Learning rate at the start, or after the warm-up.")


@dataclass(frozen=True)
class TransferConfig(PhaseConfig):
    """The first phase on a pretrained backbone, which is frozen."""

    views: int | str = setting(
        0,
        either(integer(0, 1000), choice("live")),
        "Augmented views of an image whose frozen features are kept, beside the plain one; live keeps none.",
    )


@dataclass(frozen=True)
class FinetuneConfig(TransferConfig):
    """The second phase, with a part of the backbone unfrozen."""

    epochs: int = setting(5, integer(1), "Most epochs.")
    unfreeze: int | float | str = setting(
        0.2,
        either(share(), integer(1), name("all, or the name of a layer or block")),
        "Last n layers, a share of the layers, the name of a block, or all.",
    )
    batch_norm: str = setting("inference", choice("inference", "train"), "Mode of unfrozen batch normalization.")


@dataclass(frozen=True)
class ExplainConfig:
    """Pictures that say why a model decided so."""

    images: int = setting(6, integer(0, 100), "Test images whose maps are drawn after each phase; 0 draws none.")


@dataclass(frozen=True)
class CacheConfig:
    """What is kept to be faster next time."""

    budget: int | None = setting(
        None, optional(size(), "auto"), "Most bytes of kept features; auto: half of what is free on the disk."
    )


@dataclass(frozen=True)
class CheckpointConfig:
    """What is kept while training, so that a run can be resumed."""

    every: int = setting(1, integer(1), "Epochs between two checkpoints.")
    keep: int = setting(2, integer(1), "How many of the latest checkpoints are kept.")


@dataclass(frozen=True)
class TrackConfig:
    """Where the run is recorded."""

    uri: str | None = setting(None, optional(text("a tracking URI")), "MLflow tracking URI.")
    experiment: str | None = setting(None, optional(text("a name")), "MLflow experiment.")
    run_name: str | None = setting(None, optional(text("a name")), "Name of the parent run.")
    pictures: bool = setting(True, boolean(), "Draw pictures of data, curves, answers and reasons; tables are kept.")
    costs: str = setting(
        "quick",
        choice("quick", "full", "off"),
        "Measure latency, throughput and memory of the model in a process of its own: some 10 s a run, or a minute.",
    )
    tensorboard: bool = setting(False, boolean(), "Write TensorBoard event files too (extra: tensorboard).")
    tags: tuple[str, ...] = setting((), pairs("name=value pairs separated by commas"), "Tags, as name=value,…")
