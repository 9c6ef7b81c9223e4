"""One run, described: frozen dataclasses, and the one spelling of every setting.

A key is a dotted path such as `head.dropout`. The command line, recipes, sweeps and `-P` all use the same
keys; a parameter of the MLproject file, which cannot hold a dot, has an underscore in its place.
Standard library only, so that `--help` stays fast.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from tinybench.config import network_size
from tinybench.config.fields import Kind, as_text, boolean, choice, integer, references, setting, text, words
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
from tinybench.core.redaction import without_secrets

PHASES = ("scratch", "transfer", "finetune")
_ORDERS = (("transfer", "finetune"), *((phase,) for phase in PHASES))

# What an MLproject parameter says when the user left it alone: the recipe's value holds.
UNTOUCHED = ("", "recipe")

# Settings that say where and how a run is carried out, not what it computes.
_NOT_IDENTITY = ("data.root", "backbone.mirror", "device", "engine", "explain.", "cache.", "checkpoint.", "track.")


@dataclass(frozen=True)
class RunConfig:
    """Everything that describes a run.

    Build it with `resolve`, which checks every value; the sections are frozen, so a config never changes
    once a run has begun.
    """

    recipe: str = setting("tiny-imagenet-tlft", text("a recipe's name"), "Recipe to start from.")
    model: str = setting("resnet50", text("a model's name or a .keras file"), "Backbone by name, or a .keras file.")
    dataset: str = setting("tiny-imagenet", text("a data set's name"), "Data set by name, or folder:/path.")
    weights: str = setting("imagenet", text("imagenet, none or a file"), "imagenet, none, or a weights file.")
    phases: tuple[str, ...] = setting(
        _ORDERS[0], words("scratch, transfer, finetune, or transfer,finetune", PHASES), "Phases to run, in order."
    )
    image_size: int = setting(224, integer(8, 1024), "Side in pixels that the backbone sees.")
    batch_size: int = setting(32, integer(1, 65536), "Images in a training step.")
    seed: int = setting(0, integer(0, 2**31 - 1), "Seed of split, order, initial weights, dropout and augmentation.")
    device: str = setting("auto", text("auto, cpu or gpu:N"), "auto, cpu, or gpu:0. One device is used.")
    monitor: str = setting("val/loss", choice("val/loss", "val/accuracy"), "Validation figure that selects.")
    engine: str = setting(
        "auto",
        choice("auto", "keras", "tensorflow", "openvino", "xla"),
        "What runs the frozen part; auto: the fastest that agrees with Keras in float32.",
    )
    precision: str = setting(
        "auto", choice("auto", "float32"), "auto: bfloat16 where it is faster and agrees, features kept in float16."
    )
    callbacks: tuple[str, ...] = setting(
        (),
        references("import paths such as my_package.my_module:MyCallback, separated by commas"),
        "Your own Keras callbacks, made without arguments.",
    )
    deterministic: bool = setting(True, boolean(), "Only operations that repeat to the bit; false: faster ones too.")
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

    def phase_settings(self, phase: str) -> PhaseConfig:
        """Return the section of a phase: `scratch`, `transfer` or `finetune`."""
        settings: PhaseConfig = getattr(self, phase)
        return settings

    def flat(self) -> dict[str, Any]:
        """Every setting by its dotted key, in the order of declaration."""
        return {key: _get(self, key) for key in KEYS}

    def shown(self) -> dict[str, Any]:
        """Every setting as it may be shown and stored: without passwords."""
        return {key: _without_secrets(value) for key, value in self.flat().items()}

    def words(self) -> dict[str, str]:
        """Every setting as a person reads it; sizes that are left to a small network are those that it has.

        Raises:
            ModelError: a size that the model does not have.
        """
        size = network_size.used(self.model, self.network)
        own = {f"network.{key}": value for key, value in vars(size).items() if value is not None} if size else {}
        return {key: as_text(value, KEYS[key].kind.absent) for key, value in (self.shown() | own).items()}

    def identity(self) -> str:
        """Hash (64 hex digits) of the settings that decide what the run computes."""
        kept = {key: value for key, value in self.flat().items() if not key.startswith(_NOT_IDENTITY)}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Key:
    """A setting's dotted name with what is known about it."""

    name: str
    kind: Kind
    help: str
    default: Any


def _walk(section: type[Any], prefix: str = "") -> Iterator[Key]:
    for item in dataclasses.fields(section):
        if "kind" in item.metadata:
            yield Key(prefix + item.name, item.metadata["kind"], item.metadata["help"], item.default)
        else:
            yield from _walk(cast("type[Any]", item.default_factory), f"{prefix}{item.name}.")


KEYS: dict[str, Key] = {key.name: key for key in _walk(RunConfig)}

# Underscores for dots, the two short names that MLproject declares, and a word that others use.
ALIASES: dict[str, str] = {name.replace(".", "_"): name for name in KEYS} | {
    "dropout": "head.dropout",
    "l2": "head.l2",
    "augment.shift": "augment.translation",
}


def spellings(key: str) -> list[str]:
    """The options that stand for a key: dotted, with underscores, with hyphens, and its short name."""
    names = [key, *(alias for alias, name in ALIASES.items() if name == key)]
    return list(dict.fromkeys(f"--{name}" for spelling in names for name in (spelling, spelling.replace("_", "-"))))


def canonical(key: str) -> str:
    """The dotted spelling of a key.

    Raises:
        ConfigError: the key is unknown; the message lists the near ones or all.
    """
    name = key.replace("-", "_")
    name = ALIASES.get(name, name)
    if name in KEYS:
        return name
    near = difflib.get_close_matches(key, [*KEYS, *ALIASES], n=1)
    hint = f"did you mean `{canonical(near[0])}`? " if near else ""
    raise ConfigError(f"Unknown key `{key}`: {hint}Known keys: {', '.join(KEYS)}.")


def check(key: str, value: Any) -> Any:
    """The value of a key as its own type.

    Raises:
        ConfigError: the value is not of the key's kind.
    """
    kind = KEYS[key].kind
    try:
        return kind.parse(value)
    except (ValueError, TypeError, KeyError, OverflowError):
        raise ConfigError(f"Invalid value for `{key}`: expected {kind.expected}, got {value!r}.") from None


def replace(config: RunConfig, overrides: Mapping[str, Any]) -> RunConfig:
    """A copy of a configuration with some keys replaced, each value checked."""
    # The values of the recipe are checked as well, so that 10 and 10.0 are one value
    for key, value in (config.flat() | canonical_overrides(overrides)).items():
        config = _set(config, key, check(key, value))
    _consistent(config)
    return config


def _consistent(config: RunConfig) -> None:
    """Refuse values that are allowed by themselves, but not together."""
    if config.phases not in _ORDERS:
        raise ConfigError(
            "Invalid value for `phases`: expected scratch, transfer, finetune, or transfer before finetune, "
            f"got {config.phases!r}."
        )
    if "scratch" in config.phases and config.weights == "imagenet":
        raise ConfigError("Invalid value for `weights`: a phase from scratch begins without imagenet. Set it to none.")
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
    """The configuration that `RunConfig.flat` described, such as one read back from a run."""
    now = dict(values)
    for phase in PHASES:  # runs of before there were schedules
        if f"{phase}.plateau_patience" in now and now[f"{phase}.plateau_patience"] is None:
            now |= {f"{phase}.plateau_patience": 2, f"{phase}.schedule": "constant"}
    return replace(RunConfig(), now)


def canonical_overrides(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values by canonical key, without those that leave the recipe's value (see `UNTOUCHED`).

    Raises:
        ConfigError: A key is unknown, or is given twice with different values.
    """
    given: dict[str, Any] = {}
    for key, value in overrides.items():
        if isinstance(value, str) and value in UNTOUCHED:
            continue
        name = canonical(key)
        if name in given and given[name] != value:
            raise ConfigError(f"`{name}` is given twice, as {given[name]!r} and as {value!r}: give it once.")
        given[name] = value
    return given


def _without_secrets(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_without_secrets, value))
    return without_secrets(value) if isinstance(value, str) else value


def _get(config: Any, key: str) -> Any:
    for part in key.split("."):
        config = getattr(config, part)
    return config


def _set(config: Any, key: str, value: Any) -> Any:
    head, _, rest = key.partition(".")
    return dataclasses.replace(config, **{head: _set(getattr(config, head), rest, value) if rest else value})
