"""The command `server`: the tracking service, for one person and for a team."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from tinybench.cli.options import log_format_option
from tinybench.cli.server_backup_commands import backup, restore
from tinybench.cli.server_gc_command import gc
from tinybench.cli.server_user_commands import user
from tinybench.core import quiet_libraries
from tinybench.core.redaction import redact

_SECRET_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(invoke_without_command=True)
@click.option(
    "--backend-store-uri",
    envvar="MLFLOW_BACKEND_STORE_URI",
    default="sqlite:///mlflow.db",
    show_default=True,
    help="Database of the runs: sqlite:///FILE or postgresql://USER@HOST/DATABASE.",
)
@click.option(
    "--database-password-file",
    type=_SECRET_FILE,
    envvar="TINYBENCH_DATABASE_PASSWORD_FILE",
    help="File with the password of the database, which then is in no command line.",
)
@click.option(
    "--artifacts-destination",
    envvar="MLFLOW_ARTIFACTS_DESTINATION",
    default="mlartifacts",
    show_default=True,
    help="Folder of the artifacts, or s3://BUCKET/PATH.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 admits other machines, with --auth.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Port to listen on.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes that answer.")
@click.option("--auth", is_flag=True, envvar="TINYBENCH_SERVER_AUTH", help="Have users log in; see server user --help.")
@click.option(
    "--admin-username",
    envvar="MLFLOW_AUTH_ADMIN_USERNAME",
    help="With --auth: the first administrator.  [default: admin]",
)
@click.option(
    "--admin-password-file",
    type=_SECRET_FILE,
    envvar="TINYBENCH_ADMIN_PASSWORD_FILE",
    help="With --auth: file with the administrator's password.  [default: MLFLOW_AUTH_ADMIN_PASSWORD]",
)
@click.option(
    "--secret-key-file",
    type=_SECRET_FILE,
    envvar="TINYBENCH_SECRET_KEY_FILE",
    help="With --auth: file with the key that signs forms of the web page.  [default: a new one at each start]",
)
@click.option(
    "--allowed-hosts",
    envvar="MLFLOW_SERVER_ALLOWED_HOSTS",
    default="",
    help="Names by which others address this server, with commas between.",
)
@click.option(
    "--metrics-folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Publish /metrics for Prometheus, with its counters in this folder.",
)
@click.option(
    "--metrics-token-file",
    type=_SECRET_FILE,
    envvar="TINYBENCH_METRICS_TOKEN_FILE",
    help="File with a token that reads /metrics; with --auth, without it, only administrators do.",
)
@log_format_option
@click.pass_context
def server(
    context: click.Context,
    backend_store_uri: str,
    database_password_file: Path | None,
    artifacts_destination: str,
    host: str,
    port: int,
    workers: int,
    auth: bool,
    admin_username: str | None,
    admin_password_file: Path | None,
    secret_key_file: Path | None,
    allowed_hosts: str,
    metrics_folder: Path | None,
    metrics_token_file: Path | None,
    log_format: str,
) -> int:
    """Run the tracking server, for one person on this machine or for a team.

    Without options it serves sqlite:///mlflow.db and the folder mlartifacts to this machine alone, without a password.

    Example: tinybench server --auth --admin-password-file admin.txt --host 0.0.0.0 --allowed-hosts mlflow.lab
    """
    if context.invoked_subcommand is not None:
        return 0
    with quiet_libraries.filter_startup_noise():
        from tinybench.service import process, start_checks
        from tinybench.service.settings import ServerSettings, check, read_secret, with_database_password

    settings = ServerSettings(
        backend_store_uri,
        artifacts_destination,
        host=host,
        port=port,
        workers=workers,
        auth=auth,
        admin_username=admin_username or None,
        allowed_hosts=tuple(filter(None, allowed_hosts.replace(" ", "").split(","))),
        metrics_folder=metrics_folder,
        metrics_token=read_secret("--metrics-token-file", metrics_token_file, "TINYBENCH_METRICS_TOKEN"),
        log_format=log_format,
        admin_password=read_secret("--admin-password-file", admin_password_file, "MLFLOW_AUTH_ADMIN_PASSWORD"),
        secret_key=read_secret("--secret-key-file", secret_key_file, "MLFLOW_FLASK_SERVER_SECRET_KEY"),
    )
    password = read_secret("--database-password-file", database_password_file, "TINYBENCH_DATABASE_PASSWORD")
    settings = with_database_password(settings, password)
    notices = [*check(settings), *start_checks.check(settings)]

    def print_ready() -> None:
        who = "users who log in" if auth else "everybody on this machine, without a password"
        _print(
            f"Serving {redact(settings.backend_store_uri)} and {redact(artifacts_destination)} to {who}.", log_format
        )
        for notice in notices:
            _print(notice, log_format)
        _print(f"Open http://{host}:{port}   (end with Ctrl-C)", log_format)

    return process.run(settings, print_ready)


def _print(line: str, log_format: str) -> None:
    """Print a line; with `--log-format json`, as an object of the log."""
    if log_format != "json":
        click.echo(line)
        return
    from tinybench.web.log_format import JsonFormatter

    record = logging.LogRecord(__name__, logging.INFO, __file__, 0, line, (), None)
    click.echo(JsonFormatter().format(record), err=True)


for _command in (user, backup, restore, gc):
    server.add_command(_command)
