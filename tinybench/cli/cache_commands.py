"""The commands of the cache: `cache list`, `cache prune` and `cache clear`."""

from __future__ import annotations

import click

from tinybench.cli.option_values import parse_size


@click.group()
def cache() -> None:
    """List and remove cached features and decoded images."""


@cache.command("list")
def cache_list() -> None:
    """List the cached entries, least recently used first."""
    from rich.console import Console as Terminal

    from tinybench.core import cache
    from tinybench.display import cache_table

    cache_table.print_cache_table(cache.list_entries(), cache.root_folder(), Terminal())


@cache.command("prune")
@click.option(
    "--to",
    "size",
    metavar="SIZE",
    help="Size that may remain, such as 5GB.  [default: half of the space that would be free without the cache]",
)
def cache_prune(size: str | None) -> None:
    """Remove the least recently used entries.

    Entries are removed until the rest fits in a size. Those that a run uses stay.
    """
    from tinybench.core import cache
    from tinybench.display import cache_table

    budget = cache.size_budget(None, cache.KINDS) if size is None else parse_size("--to", size, "20GB")
    click.echo(cache_table.describe_removal(cache.prune(budget)))


@cache.command("clear")
def cache_clear() -> None:
    """Remove all entries, except those that a run uses."""
    from tinybench.core import cache
    from tinybench.display import cache_table

    click.echo(cache_table.describe_removal(cache.prune(0)))
