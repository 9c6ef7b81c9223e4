"""The command `serve`: a registered model as an HTTP service."""

from __future__ import annotations

import re

import click

from tinybench.cli.option_values import none_if_unset, parse_origin, parse_size
from tinybench.cli.options import log_format_option, uri_option
from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError

_UNCHANGING_ADDRESS = re.compile(r"models:/[^@/]+/\d+|models:/m-\w+|runs:/.*")


@click.command()
@click.argument("model")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 admits other machines."
)
@click.option("--port", type=click.IntRange(1, 65535), default=5001, show_default=True, help="Port to listen on.")
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes, each with the model.")
@click.option(
    "--threads", type=click.IntRange(1), help="CPU threads of each worker.  [default: an equal share of all threads]"
)
@click.option("--max-body", default="32MB", show_default=True, help="Largest request that is accepted.")
@click.option("--follow", is_flag=True, help="Switch to a new champion without a restart.")
@click.option(
    "--every",
    type=click.FloatRange(0.1),
    default=5.0,
    show_default=True,
    help="With --follow: seconds between two checks for a new champion.",
)
@click.option(
    "--cors",
    multiple=True,
    metavar="ORIGIN",
    help="Let web pages of this origin use the service, such as https://app.example.org; * means any.  [repeatable]",
)
@log_format_option
@uri_option
def serve(
    model: str,
    host: str,
    port: int,
    workers: int,
    threads: int | None,
    max_body: str,
    follow: bool,
    every: float,
    cors: tuple[str, ...],
    log_format: str,
    uri: str | None,
) -> None:
    """Serve a registered model over HTTP.

    MODEL is a registered name, whose champion is served, or an address such as models:/NAME@champion.

    POST /invocations takes {"inputs": ["<base64 of an image file>"], "params": {"top_k": 3}}, an image file with
    content type image/jpeg, or files of a form (curl -F image=@cat.jpg). GET /health, GET /ready, GET /metrics.

    Example: tinybench serve tinybench-digits --follow
    """
    if follow and _UNCHANGING_ADDRESS.fullmatch(model):
        raise ConfigError(f"Invalid value for `--follow`: {model} never changes. Give a name or models:/NAME@ALIAS.")
    max_bytes = parse_size("--max-body", max_body, "32MB")
    origins = tuple(parse_origin("--cors", origin) for origin in cors)
    with quiet_libraries.filter_startup_noise():
        from tinybench.hardware import certificate
        from tinybench.serving import server

    if threads is None and workers > 1:
        threads = max(1, certificate.usable_threads() // workers)
    settings = server.ServerSettings(
        server.resolve_address(model),
        none_if_unset(uri),
        threads,
        max_body_bytes=max_bytes,
        poll_seconds=every if follow else None,
        log_format=log_format,
        origins=origins,
    )
    server.run(settings, host=host, port=port, workers=workers)
