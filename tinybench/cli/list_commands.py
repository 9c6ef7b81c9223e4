"""The commands that list what can be trained, and on which data: `models` and `datasets`."""

from __future__ import annotations

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def models(as_json: bool) -> None:
    """List the models, with their size, their accuracy on ImageNet, and whether their weights are here.

    The path of a .keras or .h5 file is a model as well.
    """
    from rich.console import Console as Terminal

    from tinybench.display import model_table
    from tinybench.models.model_cards import MODEL_CARDS

    if as_json:
        click.echo(model_table.models_json(MODEL_CARDS))
    else:
        model_table.print_models(MODEL_CARDS, Terminal())


@click.command()
def datasets() -> None:
    """List the data sets.

    folder:/path is a data set as well: a folder with one folder of images per class.
    """
    from rich.console import Console as Terminal

    from tinybench import data
    from tinybench.display import dataset_table

    dataset_table.print_datasets([data.card(name) for name in data.names()], Terminal())
