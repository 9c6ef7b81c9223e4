"""Types of the settings as keyword arguments. Written by scripts/write_setting_types.py: do not edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class Settings(TypedDict, total=False):
    """The settings of a run, with underscores in place of the dots of a key."""

    recipe: str
    """Recipe to start from."""

    model: str
    """Backbone by name, or a .keras or .h5 file."""

    dataset: str
    """Data set by name, or folder:/path."""

    weights: str
    """imagenet, none, a weights file; file: those in the .keras model."""

    phases: Sequence[str]
    """Phases to run, in order."""

    image_size: int
    """Height and width of the backbone's input, in pixels."""

    batch_size: int
    """Images in a training step."""

    seed: int
    """Seed of split, order, initial weights, dropout and augmentation."""

    device: str
    """auto, cpu, or gpu:0. One device is used."""

    monitor: str
    """Validation metric that selects an epoch."""

    engine: str
    """Engine for the frozen part; auto: the fastest that agrees with Keras in float32."""

    precision: str
    """auto: bfloat16 if it is faster and agrees, features stored in float16."""

    callbacks: Sequence[str]
    """Keras callbacks of your own, created without arguments."""

    deterministic: bool
    """Only operations that repeat to the bit; false: also faster ones."""

    data_root: str | None
    """Folder of the data, or a packed copy; downloads go there too."""

    data_classes: int | Sequence[str] | None
    """Number of classes (the first n), or names of classes."""

    data_labels: str
    """CIFAR-100 only: the 100 classes or the 20 superclasses."""

    data_per_class: int | None
    """Most training images of a class."""

    data_test_per_class: int | None
    """Most test images of a class."""

    data_validation: float
    """Share of the training images for validation."""

    data_folds: int | None
    """Folds of stratified cross-validation, one run each, in place of data.validation."""

    data_test: float
    """Share for testing if there is no test split."""

    data_split_folders: str | Sequence[str] | None
    """Folders of your own: which hold the splits, such as train=A,test=B; none: those at the top are classes."""

    data_labels_file: str | None
    """Folders of your own: table of images and labels; none: folders are classes; auto: one that fits."""

    data_image_column: str | None
    """Column of data.labels_file with the names of the images."""

    data_label_column: str | None
    """Column of data.labels_file with the classes."""

    data_split_column: str | None
    """Column of data.labels_file with the splits; none: there is none."""

    data_resize: str
    """Images of another aspect ratio: cut off the sides, change the ratio, or fill up the sides."""

    data_range: str
    """16-bit images: white is 65535 (full), 4095 (12bit) and so on, or the brightest pixel of each image."""

    data_skip_corrupt: bool
    """Leave out images that cannot be read instead of stopping."""

    backbone_preprocessing: str
    """For a backbone of your own: its preprocessing (Keras's names); included: the model contains it."""

    backbone_mirror: str | None
    """Address to fetch ImageNet weights from."""

    network_filters: Sequence[int] | None
    """Filters of each stage, from the input up."""

    network_blocks: int | None
    """Convolutions, or residual blocks, in a stage."""

    network_dropout: float | None
    """Dropout rate after each stage, if the network has it."""

    network_l2: float | None
    """L2 penalty on the convolutions' kernels."""

    head_pooling: str
    """Global pooling of the backbone's features; flatten: all of them."""

    head_dropout: float
    """Dropout rate after pooling."""

    head_hidden: int | Sequence[int] | None
    """Units of the hidden dense layers, from the input up."""

    head_hidden_dropout: float
    """Dropout rate after each hidden layer."""

    head_batch_norm: bool
    """Batch normalization after pooling and after each hidden layer."""

    head_l2: float
    """L2 penalty on the hidden layers' kernels."""

    augment_flip: bool
    """Mirror left and right."""

    augment_rotation: float
    """Largest rotation, in degrees."""

    augment_zoom: float
    """Largest zoom, as a share of the side."""

    augment_translation: float
    """Largest shift, as a share of the side."""

    augment_contrast: float
    """Largest change of contrast, as a share."""

    augment_crop: int
    """Pixels of padding around an image before a random crop."""

    augment_cutout: float
    """Side of a square that is blanked, as a share of the image's side."""

    augment_mixup: float
    """Mix pairs of images and labels: alpha of the Beta distribution; 0 is off."""

    augment_cutmix: float
    """Paste a patch of another image and mix the labels by area: alpha; 0 is off."""

    optimizer_name: str
    """Optimizer, by its Keras name in lower case."""

    optimizer_momentum: float
    """Momentum of sgd."""

    optimizer_nesterov: bool
    """Nesterov momentum, for sgd."""

    optimizer_weight_decay: float
    """Decoupled weight decay of adamw."""

    loss_labels: str
    """Form of the labels; both give the same loss."""

    loss_smoothing: float
    """Label smoothing; labels are one-hot then."""

    loss_class_weights: str | Sequence[float] | None
    """Weights of the classes in the training loss; balanced: the rarer the class, the larger."""

    scratch_epochs: int
    """Largest number of epochs."""

    scratch_lr: float
    """Learning rate at the start, or after the warm-up."""

    scratch_schedule: str
    """Schedule of lr: reduced on a plateau, or a cosine to 0."""

    scratch_warmup: int
    """Epochs in which a cosine schedule first raises lr from 0."""

    scratch_patience: int | None
    """Epochs without progress before stopping early."""

    scratch_plateau_patience: int
    """Epochs without progress before lr is reduced."""

    scratch_plateau_factor: float
    """Factor of lr on a plateau."""

    transfer_epochs: int
    """Largest number of epochs."""

    transfer_lr: float
    """Learning rate at the start, or after the warm-up."""

    transfer_schedule: str
    """Schedule of lr: reduced on a plateau, or a cosine to 0."""

    transfer_warmup: int
    """Epochs in which a cosine schedule first raises lr from 0."""

    transfer_patience: int | None
    """Epochs without progress before stopping early."""

    transfer_plateau_patience: int
    """Epochs without progress before lr is reduced."""

    transfer_plateau_factor: float
    """Factor of lr on a plateau."""

    transfer_views: int | str
    """Augmented views of each image whose features are stored, in addition to the plain one; live stores none."""

    finetune_epochs: int
    """Largest number of epochs."""

    finetune_lr: float
    """Learning rate at the start, or after the warm-up."""

    finetune_schedule: str
    """Schedule of lr: reduced on a plateau, or a cosine to 0."""

    finetune_warmup: int
    """Epochs in which a cosine schedule first raises lr from 0."""

    finetune_patience: int | None
    """Epochs without progress before stopping early."""

    finetune_plateau_patience: int
    """Epochs without progress before lr is reduced."""

    finetune_plateau_factor: float
    """Factor of lr on a plateau."""

    finetune_views: int | str
    """Augmented views of each image whose features are stored, in addition to the plain one; live stores none."""

    finetune_unfreeze: int | float | str
    """Last n layers, a share of the layers, the name of a block, or all."""

    finetune_batch_norm: str
    """Mode of unfrozen batch normalization."""

    explain_images: int
    """Test images that are explained by maps after each phase; 0: none."""

    cache_budget: int | None
    """Largest size of the stored features; auto: half of the free disk space."""

    checkpoint_every: int
    """Epochs between two checkpoints."""

    checkpoint_keep: int
    """Number of checkpoints that are stored, the latest."""

    track_uri: str | None
    """MLflow tracking URI."""

    track_experiment: str | None
    """MLflow experiment."""

    track_run_name: str | None
    """Name of the parent run."""

    track_offline: bool
    """Write to this machine only, and to the tracking store when tinybench sync sends it."""

    track_checkpoints: str
    """remote: also store the checkpoints with the run, so that it can be resumed on another machine."""

    track_pictures: bool
    """Draw plots of data, curves, predictions and explanations; tables are always logged."""

    track_costs: str
    """Measure latency, throughput and memory of the model in another process: about 10 s, or a minute if full."""

    track_tensorboard: bool
    """Also write TensorBoard event files (extra: tensorboard)."""

    track_tags: Sequence[str]
    """Tags of the run, as name=value,…"""
