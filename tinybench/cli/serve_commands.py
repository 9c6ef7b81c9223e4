"""The command `serve`: a registered model as a service."""

from __future__ import annotations

import click

from tinybench.config.fields import size
from tinybench.config.run_config import UNTOUCHED
from tinybench.core import quiet_libraries


@click.command()
@click.argument("model")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 lets other machines in.")
@click.option("--port", type=click.IntRange(1, 65535), default=5001, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes, each with the model.")
@click.option("--threads", type=click.IntRange(1), help="Of the processor, for each worker.  [default: its share]")
@click.option("--max-body", default="32MB", show_default=True, help="Largest request.")
@click.option("--follow", is_flag=True, help="Serve a new champion as soon as there is one.")
@click.option("--every", type=click.FloatRange(0.1), default=5.0, show_default=True, help="Seconds, with --follow.")
@click.option("--uri", help="Tracking store that holds the model.")
def serve(
    model: str,
    host: str,
    port: int,
    workers: int,
    threads: int | None,
    max_body: str,
    follow: bool,
    every: float,
    uri: str | None,
) -> None:
    """Serve MODEL, a registered name (its champion) or an address such as models:/NAME@champion.

    POST /invocations takes {"inputs": ["<base64 of a picture>"], "params": {"top_k": 3}}, or a picture as image/jpeg.
    GET /health, GET /ready.

    Example: tinybench serve tinybench-digits --follow
    """
    import re

    from tinybench.core.errors import ConfigError

    if follow and re.fullmatch(r"models:/[^@/]+/\d+|models:/m-\w+|runs:/.*", model):
        raise ConfigError(f"Invalid value for `--follow`: {model} never changes. Give a name or models:/NAME@ALIAS.")
    try:
        most = int(size().parse(max_body))
    except ValueError:
        raise ConfigError(f"Invalid value for `--max-body`: expected a size such as 32MB, got {max_body!r}.") from None
    with quiet_libraries.starting():
        from tinybench.hardware import certificate
        from tinybench.serving import server

    own = threads or (max(1, certificate.usable_threads() // workers) if workers > 1 else None)
    settings = server.Settings(
        server.address(model),
        None if uri in UNTOUCHED else uri,
        own,
        most_bytes=most,
        follow=every if follow else None,
    )
    server.run(settings, host=host, port=port, workers=workers)
