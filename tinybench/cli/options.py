"""Every setting of a run as an option of a command."""

from __future__ import annotations

from typing import Any

import click

from tinybench.config.run_config import KEYS, UNTOUCHED, Key, canonical, spellings
from tinybench.core.errors import ConfigError

_DESTINATION = "setting_"


class Setting(click.Option):
    """A setting of a run as an option: help shows its dotted key, and its other spellings are taken too."""

    def __init__(self, key: Key) -> None:
        """Args: the setting."""
        self.key = key
        # The destination is what no other option of a command can be called
        super().__init__([_DESTINATION + key.name.replace(".", "_"), *spellings(key.name)], multiple=True)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str]:
        """The dotted key, what it means and what it takes."""
        return f"--{self.key.name}", f"{self.key.help} [{self.key.kind.expected}]"


class SettingsCommand(click.Command):
    """A command that takes every setting of a run as an option."""

    settings_left_out: tuple[str, ...] = ()  # whose names the command needs itself

    def __init__(self, name: str | None, **kwargs: Any) -> None:
        """Args: as for a click command."""
        super().__init__(name, **kwargs | {"options_metavar": "[OPTIONS] [--KEY VALUE]..."})
        self.params += [Setting(key) for key in KEYS.values() if key.name not in self.settings_left_out]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; what it suggests for a misspelt setting is the dotted key alone."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            near = sorted({f"--{_dotted(name.lstrip('-'))}" for name in error.possibilities or ()})
            raise click.NoSuchOption(error.option_name, possibilities=near, ctx=ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Hand the settings that were given over as one dictionary."""
        values = {
            param.key.name: ctx.params.pop(str(param.name)) for param in self.params if isinstance(param, Setting)
        }
        ctx.params["settings"] = {key: _one(key, given) for key, given in values.items() if given}
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options, then the settings."""
        own = [
            record for p in self.get_params(ctx) if not isinstance(p, Setting) and (record := p.get_help_record(ctx))
        ]
        with formatter.section("Options"):
            formatter.write_dl(own)
        origin = "earlier run" if any(param.name == "run_id" for param in self.params) else "recipe"
        with formatter.section(f"Settings (--KEY VALUE; the {origin}'s value holds unless given)"):
            formatter.write_dl([p.get_help_record(ctx) for p in self.params if isinstance(p, Setting)])


def _dotted(option: str) -> str:
    """The dotted key where an option is one, else the option."""
    try:
        return canonical(option)
    except ConfigError:
        return option


def _one(key: str, given: tuple[str, ...]) -> str:
    """The one value of a setting; one that leaves it alone, as MLproject's parameters do, does not count."""
    values = list(dict.fromkeys(value for value in given if value not in UNTOUCHED)) or [UNTOUCHED[0]]
    if len(values) > 1:
        raise ConfigError(f"`{key}` is given twice, as {values[0]!r} and as {values[1]!r}: give it once.")
    return values[0]
