"""Which settings of a configuration have no effect on the run, and why.

Standard library only, like the whole package.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tinybench.config.dataset_name import is_folder
from tinybench.config.network_size import PUBLISHED_SIZES
from tinybench.config.run_config import PHASES, RunConfig
from tinybench.core.errors import ConfigError

# Where and how a run is executed and stored: nothing by which runs are compared
_UNCOMPARED = ("data.root", "backbone.mirror", "cache.", "checkpoint.", "explain.", "track.")
_COMPARED_ANYWAY = ("track.checkpoints",)  # by which the list of runs knows those that can be resumed elsewhere
_COLUMNS = ("image_column", "label_column", "split_column")
FOLDER_SETTINGS = tuple(f"data.{name}" for name in ("split_folders", "labels_file", *_COLUMNS))
"""Settings by which the classes and splits of a folder of images are found: they hold for that folder only."""
_OPTIMIZER_OPTIONS = {"momentum": "sgd", "nesterov": "sgd", "weight_decay": "adamw"}
_SCHEDULE_OPTIONS = {"plateau_patience": "plateau", "plateau_factor": "plateau", "warmup": "cosine"}
_HIDDEN_OPTIONS = ("hidden_dropout", "l2")
DECIDING = (
    "phases",
    *(f"{phase}.schedule" for phase in PHASES),
    "optimizer.name",
    "head.hidden",
    "model",
    "dataset",
    "data.folds",
)
"""Keys of the settings whose values decide whether others have an effect."""


@dataclass(frozen=True)
class Ineffective:
    """A setting that cannot have an effect.

    Attributes:
        key: Its dotted key.
        because_of: The key of the setting that rules it out.
        reason: Why, as the end of a sentence.
    """

    key: str
    because_of: str
    reason: str


def find_ineffective(config: RunConfig) -> list[Ineffective]:
    """Return the settings that cannot have an effect because of other settings."""
    return [*_iterate_phases(config), *_iterate_others(config)]


def _iterate_phases(config: RunConfig) -> Iterator[Ineffective]:
    for phase in PHASES:
        if phase not in config.phases:
            reason = f"the phases of this run are {' and '.join(config.phases)}"
            keys = (key for key in config.flat() if key.startswith(f"{phase}."))
            yield from (Ineffective(key, "phases", reason) for key in keys)
            continue
        schedule = config.phase_settings(phase).schedule
        for name, needed in _SCHEDULE_OPTIONS.items():
            if schedule != needed:
                key = f"{phase}.schedule"
                yield Ineffective(f"{phase}.{name}", key, f"it is for {needed}, and `{key}` is {schedule}")


def _iterate_others(config: RunConfig) -> Iterator[Ineffective]:
    for option, optimizer in _OPTIMIZER_OPTIONS.items():
        if config.optimizer.name != optimizer:
            reason = f"it is for {optimizer}, and `optimizer.name` is {config.optimizer.name}"
            yield Ineffective(f"optimizer.{option}", "optimizer.name", reason)
    if not config.has_own_model:
        yield Ineffective("backbone.preprocessing", "model", f"it is for a .keras file, and {config.model} has its own")
    if config.head.hidden is None:
        for name in _HIDDEN_OPTIONS:
            yield Ineffective(f"head.{name}", "head.hidden", "it is for hidden layers, and `head.hidden` is none")
    yield from _iterate_network(config)
    if config.dataset != "cifar100":
        yield Ineffective("data.labels", "dataset", "only cifar100 has labels of two kinds")
    if not is_folder(config.dataset):
        reason = f"it is for a folder of images, and the data set is {config.dataset}"
        yield from (Ineffective(key, "dataset", reason) for key in (*FOLDER_SETTINGS, "data.range"))
    elif config.data.labels_file == "none":
        for name in _COLUMNS:
            yield Ineffective(f"data.{name}", "data.labels_file", "no table is read")
    if config.data.folds:
        reason = "each fold is validated on the images that it holds out"
        yield Ineffective("data.validation", "data.folds", reason)


def _iterate_network(config: RunConfig) -> Iterator[Ineffective]:
    published = PUBLISHED_SIZES.get(config.model)
    if published is None:
        keys = (key for key in config.flat() if key.startswith("network."))
        reason = f"it is for {', '.join(PUBLISHED_SIZES)}"
        yield from (Ineffective(key, "model", reason) for key in keys)
        return
    taken = [f"`network.{name}`" for name, value in vars(published).items() if value is not None]
    for name, value in vars(published).items():
        if value is None:
            yield Ineffective(f"network.{name}", "model", f"{config.model} takes {', '.join(taken)}")


def refuse_ineffective(
    config: RunConfig, before: RunConfig, keys: Collection[str], *, searched: Collection[str] = ()
) -> None:
    """Raise ConfigError if a setting was changed that cannot have an effect.

    Args:
        config: The configuration with the changed settings.
        before: The configuration before they were changed.
        keys: The dotted keys of the changed settings.
        searched: Keys of settings that a study searches: what they rule out now may have an effect in a trial.
    """
    values, earlier = config.flat(), before.flat()
    for item in find_ineffective(config):
        if item.key in keys and item.because_of not in searched and values[item.key] != earlier[item.key]:
            raise ConfigError(
                f"`{item.key}` would have no effect: {item.reason}. Leave it out, or change `{item.because_of}`."
            )


def compared_text(config: RunConfig) -> dict[str, str]:
    """Return the settings by which runs are compared as text by dotted key: those that affect the result of the run.

    A model of the user is named without its folder.

    Raises:
        ModelError: A `network.` setting is set that the model does not have.
    """
    left_out = {item.key for item in find_ineffective(config)}
    return {
        key: config.model_name if key == "model" else text
        for key, text in config.flat_text().items()
        if key not in left_out and (key in _COMPARED_ANYWAY or not key.startswith(_UNCOMPARED))
    }
