"""The commands about what is kept to be faster next time."""

from __future__ import annotations

import click

from tinybench.config.fields import size
from tinybench.core.errors import ConfigError


@click.group()
def cache() -> None:
    """What is kept to be faster next time: features of frozen backbones, and decoded images."""


@cache.command("list")
def cache_list() -> None:
    """List what is kept, least recently used first."""
    from rich.console import Console as Terminal

    from tinybench.cli import cache_table
    from tinybench.core import cache as storage

    cache_table.print_cache_table(storage.entries(), storage.root(), Terminal())


@cache.command("prune")
@click.option("--to", "most", metavar="SIZE", help="Bytes to keep, as in 5GB.  [default: half of what is free]")
def cache_prune(most: str | None) -> None:
    """Remove what was not used for longest, until the rest takes no more than a size. What a run uses stays."""
    from tinybench.cli import cache_table
    from tinybench.core import cache as storage

    click.echo(cache_table.describe_removal(storage.prune(storage.budget(None, storage.KINDS) if most is None else _size(most))))


@cache.command("clear")
def cache_clear() -> None:
    """Remove all that no run uses."""
    from tinybench.cli import cache_table
    from tinybench.core import cache as storage

    click.echo(cache_table.describe_removal(storage.prune(0)))


def _size(text: str) -> int:
    """Bytes of a size as a person writes it."""
    kind = size()
    try:
        return int(kind.parse(text))
    except ValueError:
        raise ConfigError(f"Invalid value for `--to`: expected {kind.expected}, got {text!r}.") from None
