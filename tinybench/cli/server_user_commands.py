"""The commands `server user`: who may use a team's server, and for what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinybench.cli.option_values import none_if_unset
from tinybench.core import quiet_libraries
from tinybench.service import roles

if TYPE_CHECKING:
    from tinybench.service.users import Users

_uri_option = click.option("--uri", help="Address of the server.  [default: MLFLOW_TRACKING_URI]")
_password_option = click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the password.  [default: a new password, which is printed once]",
)


@click.group()
def user() -> None:
    """Add, list and remove the users of a server with --auth.

    Who calls these commands is an administrator, named by MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
    """


@user.command("add")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(roles.NAMES),
    required=True,
    help="reader: reads everything; contributor: also writes runs; registrar: also registers models and moves their "
    "aliases; admin: everything.",
)
@_password_option
@_uri_option
def add(name: str, role: str, password_file: Path | None, uri: str | None) -> None:
    """Add the user NAME.

    Example: tinybench server user add ada --role contributor
    """
    password = _read_password(name, password_file)
    changes = _connect(uri).add(name, role, password)
    if changes:
        click.echo(f"Roles: {'; '.join(changes)}.")
    click.echo(f"Added {name} as {role}.")
    _print_password(name, password, password_file)


@user.command("passwd")
@click.argument("name")
@_password_option
@_uri_option
def passwd(name: str, password_file: Path | None, uri: str | None) -> None:
    """Change the password of the user NAME."""
    password = _read_password(name, password_file)
    _connect(uri).set_password(name, password)
    click.echo(f"Changed the password of {name}.")
    _print_password(name, password, password_file)


@user.command("remove")
@click.argument("name")
@_uri_option
def remove(name: str, uri: str | None) -> None:
    """Remove the user NAME; runs and models stay."""
    _connect(uri).remove(name)
    click.echo(f"Removed {name}.")


@user.command("list")
@_uri_option
def list_users(uri: str | None) -> None:
    """List the users with their roles."""
    from rich.console import Console as Terminal

    from tinybench.display import user_table

    user_table.print_users(_connect(uri).all(), Terminal())


def _connect(uri: str | None) -> Users:
    with quiet_libraries.filter_startup_noise():
        from tinybench.service.users import Users

    return Users(none_if_unset(uri))


def _read_password(name: str, file: Path | None) -> str:
    """Return the password of a file, or a new one if there is no file."""
    from tinybench.service import passwords
    from tinybench.service.settings import read_secret

    if file is None:
        return passwords.generate()
    password = read_secret("--password-file", file, "")
    assert password is not None
    passwords.check("`--password-file`", password, name)
    return password


def _print_password(name: str, password: str, file: Path | None) -> None:
    if file is None:
        click.echo(f"Password of {name} (not shown again): {password}")
