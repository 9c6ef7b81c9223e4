"""The commands of recipes: `recipes` lists them, `recipes show` prints one."""

from __future__ import annotations

import click


@click.group(invoke_without_command=True)
@click.pass_context
def recipes(context: click.Context) -> None:
    """List the recipes, which reproduce published systems."""
    if context.invoked_subcommand is None:
        from rich.console import Console as Terminal

        from tinybench import recipes
        from tinybench.display import recipe_table

        recipe_table.print_recipe_list(recipes.all_recipes().values(), Terminal())


@recipes.command("show")
@click.argument("name")
def recipes_show(name: str) -> None:
    """Show recipe NAME with its published metrics and settings."""
    from rich.console import Console as Terminal

    from tinybench import recipes
    from tinybench.display import recipe_table

    recipe_table.print_recipe(recipes.find(name), recipes.build(name), Terminal())
