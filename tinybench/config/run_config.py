"""The configuration of a run: frozen dataclasses, and the dotted keys of all settings.

A key is a dotted path such as `head.dropout`. The command line, recipes, sweeps and `-P` use the same keys;
the parameters of an MLproject file have underscores, since MLflow does not allow dots there.
Standard library only, so that `--help` stays fast.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, cast

from tinybench.config import network_size
from tinybench.config.fields import (
    ValueType,
    boolean,
    choice,
    format_value,
    import_paths,
    int_range,
    setting,
    text,
    text_list,
)
from tinybench.config.sections import (
    AugmentConfig,
    BackboneConfig,
    CacheConfig,
    CheckpointConfig,
    DataConfig,
    ExplainConfig,
    FinetuneConfig,
    HeadConfig,
    LossConfig,
    NetworkConfig,
    OptimizerConfig,
    PhaseConfig,
    ScratchConfig,
    TrackConfig,
    TransferConfig,
)
from tinybench.core.errors import ConfigError
from tinybench.core.redaction import redact
from tinybench.core.suggestion import suggest

PHASES = ("scratch", "transfer", "finetune")
_ORDERS = (("transfer", "finetune"), *((phase,) for phase in PHASES))

FILE_WEIGHTS = "file"
"""The weights of a user's model: those in its own file."""

# Values of an MLproject parameter that the user did not set: the recipe's value is used.
UNSET_VALUES = ("", "recipe")

NOT_IDENTITY = ("data.root", "backbone.mirror", "device", "engine", "explain.", "cache.", "checkpoint.", "track.")
"""Beginnings of the keys of settings that affect where and how a run is executed, but not its result."""


@dataclass(frozen=True)
class RunConfig:
    """The complete configuration of a run.

    Create it with `resolve`, which checks every value. It is frozen, so that it cannot change during a run.
    """

    recipe: str = setting("tiny-imagenet-tlft", text("a recipe's name"), "Recipe to start from.")
    model: str = setting("resnet50", text("a model's name or file"), "Backbone by name, or a .keras or .h5 file.")
    dataset: str = setting("tiny-imagenet", text("a data set's name"), "Data set by name, or folder:/path.")
    weights: str = setting(
        "imagenet",
        text("imagenet, none, file or a path"),
        "imagenet, none, a weights file; file: those in the .keras model.",
    )
    phases: tuple[str, ...] = setting(
        _ORDERS[0], text_list("scratch, transfer, finetune, or transfer,finetune", PHASES), "Phases to run, in order."
    )
    image_size: int = setting(224, int_range(8, 1024), "Height and width of the backbone's input, in pixels.")
    batch_size: int = setting(32, int_range(1, 65536), "Images in a training step.")
    seed: int = setting(0, int_range(0, 2**31 - 1), "Seed of split, order, initial weights, dropout and augmentation.")
    device: str = setting("auto", text("auto, cpu or gpu:N"), "auto, cpu, or gpu:0. One device is used.")
    monitor: str = setting("val/loss", choice("val/loss", "val/accuracy"), "Validation metric that selects an epoch.")
    engine: str = setting(
        "auto",
        choice("auto", "keras", "tensorflow", "openvino", "xla"),
        "Engine for the frozen part; auto: the fastest that agrees with Keras in float32.",
    )
    precision: str = setting(
        "auto", choice("auto", "float32"), "auto: bfloat16 if it is faster and agrees, features stored in float16."
    )
    callbacks: tuple[str, ...] = setting(
        (),
        import_paths("import paths such as my_package.my_module:MyCallback, separated by commas"),
        "Keras callbacks of your own, created without arguments.",
    )
    deterministic: bool = setting(True, boolean(), "Only operations that repeat to the bit; false: also faster ones.")
    data: DataConfig = field(default_factory=DataConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    scratch: ScratchConfig = field(default_factory=ScratchConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    finetune: FinetuneConfig = field(default_factory=FinetuneConfig)
    explain: ExplainConfig = field(default_factory=ExplainConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    track: TrackConfig = field(default_factory=TrackConfig)

    @property
    def has_own_model(self) -> bool:
        """Return whether the model is a file of the user, and not one that tinybench or Keras knows by name."""
        return self.model.endswith((".keras", ".h5", ".hdf5")) or "/" in self.model

    @property
    def model_name(self) -> str:
        """The name of the model for titles, tables and parameters: that of its file, without folder and suffix."""
        return PurePath(self.model).stem if self.has_own_model else self.model

    def phase_settings(self, phase: str) -> PhaseConfig:
        """Return the section of a phase: `scratch`, `transfer` or `finetune`."""
        settings: PhaseConfig = getattr(self, phase)
        return settings

    def flat(self) -> dict[str, Any]:
        """Return the values of all settings by dotted key, in the order of declaration."""
        return {key: _get(self, key) for key in SETTINGS}

    def flat_redacted(self) -> dict[str, Any]:
        """Return the values of all settings by dotted key without passwords, to print and to log."""
        return {key: _redact_value(value) for key, value in self.flat().items()}

    def flat_text(self) -> dict[str, str]:
        """Return the values of all settings as text by dotted key, without passwords.

        For a small network, `network.` settings that are not set have the published values.

        Raises:
            ModelError: A `network.` setting is set that the model does not have.
        """
        size = network_size.effective_size(self.model, self.network)
        network = {f"network.{key}": value for key, value in vars(size).items() if value is not None} if size else {}
        values = self.flat_redacted() | network
        return {key: format_value(value, SETTINGS[key].value_type.none_text) for key, value in values.items()}

    def identity(self) -> str:
        """Return a hash (64 hex digits) of the settings that affect the result of the run."""
        values = {key: value for key, value in self.flat().items() if not key.startswith(NOT_IDENTITY)}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class SettingSpec:
    """The declaration of a setting.

    Attributes:
        name: The dotted key.
        value_type: The values that are allowed.
        help: One line for `--help`.
        default: The value of `RunConfig()`.
    """

    name: str
    value_type: ValueType
    help: str
    default: Any


def _iterate_settings(section: type[Any], prefix: str = "") -> Iterator[SettingSpec]:
    for item in dataclasses.fields(section):
        if "value_type" in item.metadata:
            yield SettingSpec(prefix + item.name, **item.metadata, default=item.default)
        else:
            yield from _iterate_settings(cast("type[Any]", item.default_factory), f"{prefix}{item.name}.")


SETTINGS: dict[str, SettingSpec] = {spec.name: spec for spec in _iterate_settings(RunConfig)}

# Underscores in place of dots, the two short names of the MLproject file, and a common synonym.
ALIASES: dict[str, str] = {name.replace(".", "_"): name for name in SETTINGS} | {
    "dropout": "head.dropout",
    "l2": "head.l2",
    "augment.shift": "augment.translation",
}


def option_names(key: str) -> list[str]:
    """Return the options for a key: dotted, with underscores, with hyphens, and its short name."""
    names = [key, *(alias for alias, name in ALIASES.items() if name == key)]
    return list(dict.fromkeys(f"--{name}" for spelling in names for name in (spelling, spelling.replace("_", "-"))))


def canonical_key(key: str) -> str:
    """Return the dotted spelling of a key.

    Raises:
        ConfigError: The key is unknown; the message suggests the most similar one, or says where all are listed.
    """
    name = key.replace("-", "_")
    name = ALIASES.get(name, name)
    if name in SETTINGS:
        return name
    similar = difflib.get_close_matches(key, [*SETTINGS, *ALIASES], n=1)
    hint = f"did you mean `{canonical_key(similar[0])}`?" if similar else "`tinybench train --help` lists the settings."
    raise ConfigError(f"Unknown key `{key}`: {hint}")


def parse_value(key: str, value: Any) -> Any:
    """Convert a value to the type of a setting.

    Args:
        key: The dotted key of the setting.
        value: Text, or a Python value.

    Raises:
        ConfigError: The value is not allowed; the message says what was expected.
    """
    value_type = SETTINGS[key].value_type
    try:
        return value_type.parse(value)
    except (ValueError, TypeError, KeyError, OverflowError):
        hint = suggest(value, value_type.choices) if isinstance(value, str) else ""
        raise ConfigError(f"Invalid value for `{key}`: expected {value_type.expected}, got {value!r}.{hint}") from None


def replace(config: RunConfig, overrides: Mapping[str, Any]) -> RunConfig:
    """Return a copy of a configuration with some settings replaced.

    Raises:
        ConfigError: A key is unknown, a value is not allowed, or the settings contradict each other.
    """
    # All values are converted, also those that stay, so that 10 and 10.0 are the same value
    for key, value in (config.flat() | canonical_overrides(overrides)).items():
        config = _set(config, key, parse_value(key, value))
    if config.has_own_model and config.weights == "imagenet":  # the default of recipes, and of runs before there was
        config = dataclasses.replace(config, weights=FILE_WEIGHTS)  # a word for it
    _check_consistency(config)
    return config


def _check_consistency(config: RunConfig) -> None:
    """Raise a ConfigError for values that are allowed, but not in combination."""
    if config.phases not in _ORDERS:
        raise ConfigError(
            "Invalid value for `phases`: expected scratch, transfer, finetune, or transfer before finetune, "
            f"got {config.phases!r}."
        )
    if "scratch" in config.phases and config.weights == "imagenet":
        raise ConfigError("Invalid value for `weights`: a phase from scratch begins without imagenet. Set it to none.")
    if config.weights == FILE_WEIGHTS and not config.has_own_model:
        raise ConfigError(
            f"Invalid value for `weights`: file means those of a .keras model, and {config.model} is none. Give "
            "imagenet, none or the path of a weights file."
        )
    folds, images = config.data.folds, config.data.per_class
    if folds and images and folds > images:
        raise ConfigError(
            f"Invalid value for `data.folds`: expected no more than the {images} images a class of `data.per_class`, "
            f"got {folds}."
        )
    for phase in config.phases:
        settings = config.phase_settings(phase)
        key = f"`{phase}.warmup`"
        if settings.warmup >= settings.epochs:
            raise ConfigError(
                f"Invalid value for {key}: expected fewer epochs than `{phase}.epochs` ({settings.epochs}), "
                f"got {settings.warmup}. Train longer, or warm up for less."
            )
        if settings.warmup and settings.schedule != "cosine":
            raise ConfigError(
                f"Invalid value for {key}: expected 0 with `{phase}.schedule` {settings.schedule}, got "
                f"{settings.warmup}. Set the schedule to cosine."
            )


def from_flat(values: Mapping[str, Any]) -> RunConfig:
    """Return the configuration with the values of `RunConfig.flat`, such as those that a run has logged.

    Raises:
        ConfigError: A key is unknown or a value is not allowed.
    """
    current = dict(values)
    for phase in PHASES:  # early runs had no schedule, and no plateau patience for a constant learning rate
        if f"{phase}.plateau_patience" in current and current[f"{phase}.plateau_patience"] is None:
            current |= {f"{phase}.plateau_patience": 2, f"{phase}.schedule": "constant"}
    return replace(RunConfig(), current)


def canonical_overrides(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by dotted key, without those that mean the recipe's value (see `UNSET_VALUES`).

    Raises:
        ConfigError: A key is unknown, or is given twice with different values.
    """
    values: dict[str, Any] = {}
    for key, value in overrides.items():
        if isinstance(value, str) and value in UNSET_VALUES:
            continue
        name = canonical_key(key)
        if name in values and values[name] != value:
            raise ConfigError(f"`{name}` is given twice, as {values[name]!r} and as {value!r}: give it once.")
        values[name] = value
    return values


def _redact_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_redact_value, value))
    return redact(value) if isinstance(value, str) else value


def _get(config: Any, key: str) -> Any:
    for name in key.split("."):
        config = getattr(config, name)
    return config


def _set(config: Any, key: str, value: Any) -> Any:
    name, _, inner_key = key.partition(".")
    return dataclasses.replace(config, **{name: _set(getattr(config, name), inner_key, value) if inner_key else value})
