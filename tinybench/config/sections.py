"""The sections of a run's configuration: each setting with its default, its type and one line of help.

Standard library only, like the whole package.
"""

from __future__ import annotations

from dataclasses import dataclass

from tinybench.config.fields import (
    boolean,
    byte_size,
    choice,
    float_list,
    float_range,
    fraction,
    identifier,
    int_list,
    int_range,
    name_value_pairs,
    optional,
    setting,
    text,
    text_list,
    union,
)


@dataclass(frozen=True)
class DataConfig:
    """The data set, and how it is split."""

    root: str | None = setting(
        None, optional(text("a folder")), "Folder of the data, or a packed copy; downloads go there too."
    )
    classes: int | tuple[str, ...] | None = setting(
        None,
        optional(union(int_range(2), text_list("class names separated by commas")), "all"),
        "Number of classes (the first n), or names of classes.",
    )
    labels: str = setting("fine", choice("fine", "coarse"), "CIFAR-100 only: the 100 classes or the 20 superclasses.")
    per_class: int | None = setting(None, optional(int_range(2), "all"), "Most training images of a class.")
    test_per_class: int | None = setting(None, optional(int_range(1), "all"), "Most test images of a class.")
    validation: float = setting(0.1, float_range(0, 0.5, min_open=True), "Share of the training images for validation.")
    folds: int | None = setting(
        None, optional(int_range(2)), "Folds of stratified cross-validation, one run each, in place of data.validation."
    )
    test: float = setting(0.2, float_range(0, 0.5, min_open=True), "Share for testing if there is no test split.")
    split_folders: str | tuple[str, ...] | None = setting(
        None,
        optional(union(choice("none"), name_value_pairs("pairs such as train=A,test=B")), "auto"),
        "Folders of your own: which hold the splits, such as train=A,test=B; none: those at the top are classes.",
    )
    labels_file: str | None = setting(
        None,
        optional(text("a CSV file, none or auto"), "auto"),
        "Folders of your own: table of images and labels; none: folders are classes; auto: one that fits.",
    )
    image_column: str | None = setting(
        None, optional(text("a column"), "auto"), "Column of data.labels_file with the names of the images."
    )
    label_column: str | None = setting(
        None, optional(text("a column"), "auto"), "Column of data.labels_file with the classes."
    )
    split_column: str | None = setting(
        None, optional(text("a column"), "auto"), "Column of data.labels_file with the splits; none: there is none."
    )
    resize: str = setting(
        "crop",
        choice("crop", "squash", "pad"),
        "Images of another aspect ratio: cut off the sides, change the ratio, or fill up the sides.",
    )
    range: str = setting(
        "full",
        choice("full", "14bit", "12bit", "10bit", "8bit", "image"),
        "16-bit images: white is 65535 (full), 4095 (12bit) and so on, or the brightest pixel of each image.",
    )
    skip_corrupt: bool = setting(False, boolean(), "Leave out images that cannot be read instead of stopping.")


@dataclass(frozen=True)
class BackboneConfig:
    """The input and the weights of the backbone."""

    preprocessing: str = setting(
        "included",
        choice("included", "caffe", "tf", "torch"),
        "For a backbone of your own: its preprocessing (Keras's names); included: the model contains it.",
    )
    mirror: str | None = setting(None, optional(text("an address")), "Address to fetch ImageNet weights from.")


@dataclass(frozen=True)
class NetworkConfig:
    """The size of a small network; auto is the published size."""

    filters: tuple[int, ...] | None = setting(
        None, optional(int_list(), "auto"), "Filters of each stage, from the input up."
    )
    blocks: int | None = setting(None, optional(int_range(1), "auto"), "Convolutions, or residual blocks, in a stage.")
    dropout: float | None = setting(
        None,
        optional(float_range(0, 1, max_open=True), "auto"),
        "Dropout rate after each stage, if the network has it.",
    )
    l2: float | None = setting(None, optional(float_range(0), "auto"), "L2 penalty on the convolutions' kernels.")


@dataclass(frozen=True)
class HeadConfig:
    """The classifier on top of the backbone."""

    pooling: str = setting(
        "avg", choice("avg", "max", "flatten"), "Global pooling of the backbone's features; flatten: all of them."
    )
    dropout: float = setting(0.3, float_range(0, 1, max_open=True), "Dropout rate after pooling.")
    hidden: int | tuple[int, ...] | None = setting(
        256, optional(union(int_range(1), int_list())), "Units of the hidden dense layers, from the input up."
    )
    hidden_dropout: float = setting(0.0, float_range(0, 1, max_open=True), "Dropout rate after each hidden layer.")
    batch_norm: bool = setting(False, boolean(), "Batch normalization after pooling and after each hidden layer.")
    l2: float = setting(1e-4, float_range(0), "L2 penalty on the hidden layers' kernels.")


@dataclass(frozen=True)
class AugmentConfig:
    """The random changes of training images, which are applied in the training graph only."""

    flip: bool = setting(False, boolean(), "Mirror left and right.")
    rotation: float = setting(0.0, float_range(0, 180), "Largest rotation, in degrees.")
    zoom: float = setting(0.0, float_range(0, 1, max_open=True), "Largest zoom, as a share of the side.")
    translation: float = setting(0.0, float_range(0, 1, max_open=True), "Largest shift, as a share of the side.")
    contrast: float = setting(0.0, float_range(0, 1), "Largest change of contrast, as a share.")
    crop: int = setting(0, int_range(0, 1024), "Pixels of padding around an image before a random crop.")
    cutout: float = setting(
        0.0, float_range(0, 1, max_open=True), "Side of a square that is blanked, as a share of the image's side."
    )
    mixup: float = setting(
        0.0, float_range(0), "Mix pairs of images and labels: alpha of the Beta distribution; 0 is off."
    )
    cutmix: float = setting(
        0.0, float_range(0), "Paste a patch of another image and mix the labels by area: alpha; 0 is off."
    )


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer and its options."""

    name: str = setting("adam", choice("adam", "adamw", "sgd"), "Optimizer, by its Keras name in lower case.")
    momentum: float = setting(0.0, float_range(0, 1, max_open=True), "Momentum of sgd.")
    nesterov: bool = setting(False, boolean(), "Nesterov momentum, for sgd.")
    weight_decay: float = setting(0.004, float_range(0), "Decoupled weight decay of adamw.")


@dataclass(frozen=True)
class LossConfig:
    """The cross-entropy loss: form and smoothing of labels, and weights of classes."""

    labels: str = setting("sparse", choice("sparse", "one-hot"), "Form of the labels; both give the same loss.")
    smoothing: float = setting(0.0, float_range(0, 1, max_open=True), "Label smoothing; labels are one-hot then.")
    class_weights: str | tuple[float, ...] | None = setting(
        None,
        optional(union(choice("balanced"), float_list())),
        "Weights of the classes in the training loss; balanced: the rarer the class, the larger.",
    )


@dataclass(frozen=True)
class PhaseConfig:
    """The settings that all phases of training have."""

    epochs: int = setting(15, int_range(1), "Largest number of epochs.")
    lr: float = setting(1e-4, float_range(0, min_open=True), "Learning rate at the start, or after the warm-up.")
    schedule: str = setting(
        "plateau", choice("constant", "plateau", "cosine"), "Schedule of lr: reduced on a plateau, or a cosine to 0."
    )
    warmup: int = setting(0, int_range(0), "Epochs in which a cosine schedule first raises lr from 0.")
    patience: int | None = setting(5, optional(int_range(1)), "Epochs without progress before stopping early.")
    plateau_patience: int = setting(2, int_range(1), "Epochs without progress before lr is reduced.")
    plateau_factor: float = setting(0.5, float_range(0, 1, min_open=True, max_open=True), "Factor of lr on a plateau.")


@dataclass(frozen=True)
class ScratchConfig(PhaseConfig):
    """The only phase of a network with random initial weights: all layers are trained."""

    epochs: int = setting(30, int_range(1), "Largest number of epochs.")
    lr: float = setting(1e-3, float_range(0, min_open=True), "Learning rate at the start, or after the warm-up.")


@dataclass(frozen=True)
class TransferConfig(PhaseConfig):
    """The first phase on a pretrained backbone, which is frozen."""

    views: int | str = setting(
        0,
        union(int_range(0, 1000), choice("live")),
        "Augmented views of each image whose features are stored, in addition to the plain one; live stores none.",
    )


@dataclass(frozen=True)
class FinetuneConfig(TransferConfig):
    """The second phase, in which the last layers of the backbone are trained as well."""

    epochs: int = setting(5, int_range(1), "Largest number of epochs.")
    unfreeze: int | float | str = setting(
        0.2,
        union(fraction(), int_range(1), identifier("all, or the name of a layer or block")),
        "Last n layers, a share of the layers, the name of a block, or all.",
    )
    batch_norm: str = setting("inference", choice("inference", "train"), "Mode of unfrozen batch normalization.")


@dataclass(frozen=True)
class ExplainConfig:
    """The explanation of predictions by maps."""

    images: int = setting(6, int_range(0, 100), "Test images that are explained by maps after each phase; 0: none.")


@dataclass(frozen=True)
class CacheConfig:
    """The cache of features."""

    budget: int | None = setting(
        None, optional(byte_size(), "auto"), "Largest size of the stored features; auto: half of the free disk space."
    )


@dataclass(frozen=True)
class CheckpointConfig:
    """The checkpoints from which a run can be resumed."""

    every: int = setting(1, int_range(1), "Epochs between two checkpoints.")
    keep: int = setting(2, int_range(1), "Number of checkpoints that are stored, the latest.")


@dataclass(frozen=True)
class TrackConfig:
    """The tracking store, and what is logged there."""

    uri: str | None = setting(None, optional(text("a tracking URI")), "MLflow tracking URI.")
    experiment: str | None = setting(None, optional(text("a name")), "MLflow experiment.")
    run_name: str | None = setting(None, optional(text("a name")), "Name of the parent run.")
    offline: bool = setting(
        False, boolean(), "Write to this machine only, and to the tracking store when tinybench sync sends it."
    )
    checkpoints: str = setting(
        "local",
        choice("local", "remote"),
        "remote: also store the checkpoints with the run, so that it can be resumed on another machine.",
    )
    pictures: bool = setting(
        True, boolean(), "Draw plots of data, curves, predictions and explanations; tables are always logged."
    )
    costs: str = setting(
        "quick",
        choice("quick", "full", "off"),
        "Measure latency, throughput and memory of the model in another process: about 10 s, or a minute if full.",
    )
    tensorboard: bool = setting(False, boolean(), "Also write TensorBoard event files (extra: tensorboard).")
    tags: tuple[str, ...] = setting(
        (), name_value_pairs("name=value pairs separated by commas"), "Tags of the run, as name=value,…"
    )
