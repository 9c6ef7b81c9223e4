"""Define the options that several commands share: every setting of a run, and the tracking store."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import click

from tinybench.config.effects import find_ineffective
from tinybench.config.fields import format_value
from tinybench.config.run_config import SETTINGS, UNSET_VALUES, RunConfig, SettingSpec, canonical_key, option_names
from tinybench.core.errors import ConfigError
from tinybench.recipes.resolve import resolve

DEFAULT_STORAGE = "sqlite:///optuna.db"
STORAGE_VARIABLE = "TINYBENCH_STORAGE"
_PARAMETER_PREFIX = "setting_"  # so that no setting has the parameter name of another option

uri_option = click.option(
    "--uri", help="Tracking store, as an MLflow URI.  [default: MLFLOW_TRACKING_URI, else that of MLflow]"
)

log_format_option = click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    envvar="TINYBENCH_LOG_FORMAT",
    default="text",
    show_default=True,
    help="Format of the log: lines for people, or one JSON object a line.",
)


def default_storage() -> str:
    """Return the address of the database of studies where no option names one."""
    return os.environ.get(STORAGE_VARIABLE) or DEFAULT_STORAGE


def _set_offline(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    """Tell this process and those that it starts to contact no tracking store, until the command ends."""
    if value and not ctx.resilient_parsing and "TINYBENCH_OFFLINE" not in os.environ:
        os.environ["TINYBENCH_OFFLINE"] = "1"
        ctx.call_on_close(lambda: os.environ.pop("TINYBENCH_OFFLINE", None))


offline_option = click.option(
    "--offline",
    is_flag=True,
    expose_value=False,
    callback=_set_offline,
    help="Log to this machine only, for tinybench sync to send.  [also: TINYBENCH_OFFLINE=1]",
)


class Setting(click.Option):
    """A setting of a run as an option: help shows its dotted key, and its other spellings are accepted too.

    Args:
        key: The setting.
    """

    def __init__(self, spec: SettingSpec) -> None:
        self.spec = spec
        super().__init__([_PARAMETER_PREFIX + spec.name.replace(".", "_"), *option_names(spec.name)], multiple=True)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """Return the dotted key, and what it means with the values that it takes."""
        takes = self.spec.value_type.expected
        default = _describe_default(self.spec) if _starts_from_recipe(ctx) else ""
        return f"--{self.spec.name}", f"{self.spec.help} [{takes}]{default}"


class SettingsCommand(click.Command):
    """A command that takes every setting of a run as an option, and is called with them as `settings`.

    Attributes:
        settings_left_out: Settings whose names the command needs for its own options.
    """

    settings_left_out: tuple[str, ...] = ()

    def __init__(self, name: str | None, **kwargs: Any) -> None:
        super().__init__(name, **kwargs | {"options_metavar": "[OPTIONS] [--KEY VALUE]..."})
        self.params += [Setting(key) for key in SETTINGS.values() if key.name not in self.settings_left_out]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; for a misspelt setting suggest only dotted keys."""
        given = [*args]  # which click empties
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            near = _settings_that_end_in(error.option_name.lstrip("-"), given) or near_options(
                error.option_name, {f"--{_dotted(name.lstrip('-'))}" for name in error.possibilities or ()}
            )
            raise no_such_option(error, near) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command with the settings that were given as one dictionary."""
        values = {
            param.spec.name: ctx.params.pop(str(param.name)) for param in self.params if isinstance(param, Setting)
        }
        ctx.params["settings"] = {key: _single_value(key, repeated) for key, repeated in values.items() if repeated}
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options, then the settings."""
        options = [
            param
            for param in self.get_params(ctx)
            if isinstance(param, click.Option) and not isinstance(param, Setting)
        ]
        with formatter.section("Options"):
            formatter.write_dl([record for param in options if (record := param.get_help_record(ctx))])
        default = "default: the value of the earlier run"
        if _starts_from_recipe(ctx):
            default = f"a default of the recipe is that of {RunConfig().recipe}"
        with formatter.section(f"Settings (--KEY VALUE; {default})"):
            formatter.write_dl([param.get_help_record(ctx) for param in self.params if isinstance(param, Setting)])


def no_such_option(error: click.NoSuchOption, near: Sequence[str]) -> click.NoSuchOption:
    """Return the error that there is no such option, with the options that may have been meant."""
    meant = " or ".join(f"'{option}'" for option in near)
    message = f"No such option '{error.option_name}'." + (f" Did you mean {meant}?" if meant else "")
    return click.NoSuchOption(error.option_name, message, ctx=error.ctx)


def near_options(option: str, possibilities: Iterable[str]) -> list[str]:
    """Return the options that are near a misspelt one: click counts the dashes, by which all short ones are near."""
    word = option.lstrip("-")
    bare = {name: name.lstrip("-") for name in sorted(possibilities)}
    return [name for name, text in bare.items() if difflib.get_close_matches(word, [text, text.rpartition(".")[2]])]


def _settings_that_end_in(word: str, args: Sequence[str]) -> list[str]:
    """Return the options for a name without its section, such as epochs, that have an effect with the other arguments.

    Args:
        word: The name.
        args: All arguments of the command.
    """
    keys = [key for key in SETTINGS if key.rpartition(".")[2] == word.replace("-", "_")]
    given = {}
    for option, value in zip(args, [*args[1:], ""], strict=True):
        name, is_joined, joined = option.partition("=")
        if name in ("--recipe", "--model", "--dataset", "--phases"):
            given[name.removeprefix("--")] = joined if is_joined else value
    try:
        without_effect = {item.key for item in find_ineffective(resolve(None, given))}
    except ConfigError:
        without_effect = set()
    return [f"--{key}" for key in keys if key not in without_effect]


def _starts_from_recipe(ctx: click.Context) -> bool:
    """Return whether the settings of a command are those of a recipe; otherwise they are those of an earlier run."""
    return not any(param.name == "run_id" for param in ctx.command.params)


def _describe_default(spec: SettingSpec) -> str:
    """Return the default of a setting; where recipes have different values, that of the default recipe."""
    default, others = _defaults()
    value = default[spec.name]
    text = format_value(value, spec.value_type.none_text)
    text = text.lower() if isinstance(value, bool) else text
    return f"  [{'default of the recipe' if spec.name in others else 'default'}: {text}]"


@cache
def _defaults() -> tuple[dict[str, Any], frozenset[str]]:
    """Return the values of the default recipe by key, and the keys that have other values in some recipe."""
    from tinybench import recipes

    default = recipes.build(RunConfig().recipe).flat()
    builds = [recipe.build().flat() for recipe in recipes.all_recipes().values()]
    return default, frozenset(key for key, value in default.items() if any(build[key] != value for build in builds))


def _dotted(option: str) -> str:
    """Return the dotted key of a setting, or the option itself if it is no setting."""
    try:
        return canonical_key(option)
    except ConfigError:
        return option


def _single_value(key: str, repeated: tuple[str, ...]) -> str:
    """Return the one value of a setting; values that leave the recipe's, as in MLproject, do not count.

    Raises:
        ConfigError: There are several values.
    """
    values = list(dict.fromkeys(value for value in repeated if value not in UNSET_VALUES)) or [UNSET_VALUES[0]]
    if len(values) > 1:
        raise ConfigError(f"`{key}` is given twice, as {values[0]!r} and as {values[1]!r}: give it once.")
    return values[0]
