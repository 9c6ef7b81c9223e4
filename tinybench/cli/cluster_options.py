"""Define the options that commands share whose work may run on a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_Function = Callable[..., Any]


def cluster_options(unit: str, engines: str = "Ray") -> Callable[[_Function], _Function]:
    """Return the decorator that adds `--address`, `--cpu`, `--gpu` and `--memory` to a command.

    Args:
        unit: What has that many CPUs, such as a trial.
        engines: The engines for which the resources hold.
    """
    options = [
        click.option(
            "--address", default="auto", show_default=True, help="Ray: address of the cluster, auto or ray://HOST:PORT."
        ),
        click.option(
            "--cpu",
            type=click.FloatRange(0, min_open=True),
            default=1.0,
            show_default=True,
            help=f"{engines}: CPUs per {unit}.",
        ),
        click.option(
            "--gpu", type=click.FloatRange(0), default=0.0, show_default=True, help=f"{engines}: GPUs per {unit}."
        ),
        click.option("--memory", help=f"{engines}: memory per {unit}, such as 4GB."),
    ]

    def decorate(function: _Function) -> _Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate
