"""The commands that list what can be trained, and on which data: `models` and `datasets`."""

from __future__ import annotations

import click

from tinybench.core import quiet_libraries


@click.command()
def models() -> None:
    """List the models.

    The path of a .keras file is a model as well.
    """
    with quiet_libraries.filter_startup_noise():
        from tinybench.models import backbones

    click.echo("\n".join(backbones.names()))


@click.command()
def datasets() -> None:
    """List the data sets.

    folder:/path is a data set as well: a folder with one folder of images per class.
    """
    from tinybench import data

    for name in data.names():
        click.echo(f"{name:16} {data.card(name).summary}")
