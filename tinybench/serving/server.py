"""The server: uvicorn with the application, one or several processes."""

from __future__ import annotations

import json
import logging
import os
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import uvicorn

from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.inference.classifier import Answerer
from tinybench.serving import app
from tinybench.serving.current_model import Current
from tinybench.serving.header_timeout import PatientProtocol

if TYPE_CHECKING:
    from starlette.applications import Starlette

_VARIABLE = "TINYBENCH_SERVE"  # by which processes know what to serve
_GRACE = 30  # seconds for requests under way when the server ends


@dataclass(frozen=True)
class Settings:
    """How to serve.

    Attributes:
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION` or a logged model's address.
        uri: Store that holds it; MLflow's default when None.
        threads: Of the processor, for each worker; None shares all among the workers.
        readers: Requests that a worker reads at once.
        most_bytes: Of a request's body.
        follow: Seconds between looks for a new version; None serves the one that is found first.
    """

    model: str
    uri: str | None = None
    threads: int | None = None
    readers: int = 32  # some of which may wait until a large picture was read
    most_bytes: int = 32_000_000
    follow: float | None = None


def run(settings: Settings, *, host: str, port: int, workers: int) -> None:
    """Serve until the process is told to end; requests under way are answered first.

    Raises:
        TrackingError: there is no such model.
    """
    _find(settings)  # before a server that would never be ready
    os.environ[_VARIABLE] = json.dumps(asdict(settings))
    uvicorn.run(
        "tinybench.serving.server:application",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_level="info",
        access_log=False,
        timeout_graceful_shutdown=_GRACE,
        http=PatientProtocol,
    )


def application() -> Starlette:
    """The application of one process, by the settings in its environment."""
    logging.basicConfig(format="%(levelname)s:     %(message)s", level=logging.INFO)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    settings = Settings(**json.loads(os.environ[_VARIABLE]))
    _start_libraries(settings.threads)
    current = Current(lambda: _find(settings), lambda address: _load(address, settings), settings.follow)
    return app.make(current, most_bytes=settings.most_bytes, threads=settings.readers)


def _start_libraries(threads: int | None) -> None:
    """Load TensorFlow without its notes, on so many threads: it takes a number only before it has begun."""
    quiet_libraries.libraries()
    with quiet_libraries.starting():
        import tensorflow as tf

        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.list_logical_devices()


def address(given: str) -> str:
    """The address of a model that is given by it, or by a registered name, whose champion is meant.

    Raises:
        ConfigError: it is neither.
    """
    if given.startswith(("models:/", "runs:/")):
        return given
    if not re.fullmatch(r"[\w .-]+", given):
        raise ConfigError(f"Invalid value for `MODEL`: expected a name or models:/NAME@ALIAS, got {given!r}.")
    return f"models:/{given}@champion"


def _find(settings: Settings) -> str:
    """The version that is to be served now.

    Raises:
        TrackingError: there is none.
    """
    from tinybench.tracking.model_versions import RegisteredModel
    from tinybench.tracking.tracker import Tracker

    tracker = Tracker.at(settings.uri)
    made = re.fullmatch(r"models:/([^@/]+)@(.+)", settings.model)
    if made is None:
        numbered = re.fullmatch(r"models:/([^@/]+)/(\d+)", settings.model)
        return RegisteredModel(tracker.client, numbered[1]).version(int(numbered[2])).uri if numbered else settings.model
    found = RegisteredModel(tracker.client, made[1]).get_by_alias(made[2])
    if found is None:
        raise TrackingError(f"{made[1]} has no {made[2]}: register one by tinybench promote.")
    return found.uri


def _load(where: str, settings: Settings) -> Answerer:
    from tinybench.tracking import logged_model

    with logged_model.download(where) as files:
        return files.load_classifier()
