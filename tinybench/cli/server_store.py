"""The store that the commands below `server` work on: the options of `server` itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tinybench.service.settings import ServerSettings


def read_store(context: click.Context) -> ServerSettings:
    """Return the database, with its password, and the artifacts that were given to `tinybench server`.

    Args:
        context: The context of a command below it.

    Raises:
        ConfigError: The file with the password cannot be read.
    """
    from tinybench.service.settings import ServerSettings, read_secret, with_database_password

    assert context.parent is not None
    options = context.parent.params
    password = read_secret("--database-password-file", options["database_password_file"], "TINYBENCH_DATABASE_PASSWORD")
    settings = ServerSettings(options["backend_store_uri"], options["artifacts_destination"])
    return with_database_password(settings, password)
