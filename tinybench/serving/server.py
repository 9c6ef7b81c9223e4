"""Run the server: uvicorn with the application, in one or several processes."""

from __future__ import annotations

import json
import logging
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from tempfile import TemporaryDirectory

import uvicorn

from tinybench.core import quiet_libraries
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.core.suggestion import suggest
from tinybench.inference.classifier import ImageClassifier
from tinybench.serving import app
from tinybench.serving.current_model import CurrentModel
from tinybench.serving.prometheus import FOLDER_VARIABLE, ServingMetrics
from tinybench.web import log_format
from tinybench.web.header_timeout import HeaderTimeoutProtocol
from tinybench.web.request_log import RequestLog

_VARIABLE = "TINYBENCH_SERVE"  # environment variable that passes the settings to the processes
_SHUTDOWN_SECONDS = 30  # for requests under way when the server ends


@dataclass(frozen=True)
class ServerSettings:
    """The settings of a server.

    Attributes:
        model: `models:/NAME@ALIAS`, `models:/NAME/VERSION` or the address of a logged model.
        uri: The tracking store; MLflow's default if None.
        threads: Threads of the processor for each worker; None shares all among the workers.
        request_threads: Requests that a worker decodes at a time; some of them may wait for a large image.
        max_body_bytes: Limit of a request's body, also once it is unpacked.
        poll_seconds: Seconds between checks for a new version; None serves the first one.
        log_format: One of `tinybench.web.log_format.FORMATS`.
        origins: Origins of the web pages that may use the service, or `*`; none by default.
    """

    model: str
    uri: str | None = None
    threads: int | None = None
    request_threads: int = 32
    max_body_bytes: int = 32_000_000
    poll_seconds: float | None = None
    log_format: str = "text"
    origins: tuple[str, ...] = ()


def run(settings: ServerSettings, *, host: str, port: int, workers: int) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are answered first.

    Raises:
        TrackingError: There is no such model.
    """
    _find_model(settings)  # fail now instead of starting a server that would never be ready
    os.environ[_VARIABLE] = json.dumps(asdict(settings))
    os.environ["MLFLOW_CONFIGURE_LOGGING"] = "false"  # in the workers; the log has one format
    with TemporaryDirectory(prefix="tinybench-serve-") as folder:
        os.environ.pop(FOLDER_VARIABLE, None)
        if workers > 1:
            os.environ[FOLDER_VARIABLE] = folder
        uvicorn.run(
            "tinybench.serving.server:build_application",
            factory=True,
            host=host,
            port=port,
            workers=workers,
            log_config=log_format.build_config(settings.log_format),
            access_log=False,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            http=HeaderTimeoutProtocol,
        )


def build_application() -> RequestLog:
    """Build the application of one process from the settings in its environment."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    settings = ServerSettings(**json.loads(os.environ[_VARIABLE]))
    _start_libraries(settings.threads)
    metrics = None
    with suppress(ImportError):  # of prometheus_client: /metrics says so
        metrics = ServingMetrics(app.PATHS)
    on_change = None if metrics is None else metrics.set_model
    current = CurrentModel(lambda: _find_model(settings), _load, settings.poll_seconds, on_change)
    return app.build_app(
        current,
        max_body_bytes=settings.max_body_bytes,
        request_threads=settings.request_threads,
        metrics=metrics,
        origins=settings.origins,
    )


def _start_libraries(threads: int | None) -> None:
    """Import TensorFlow without its messages, with a number of threads, which can only be set before it starts."""
    quiet_libraries.quieten_libraries()
    with quiet_libraries.filter_startup_noise():
        import tensorflow as tf

        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.list_logical_devices()


def resolve_address(model: str) -> str:
    """Return the address of a model; a registered name means its champion.

    Raises:
        ConfigError: It is neither an address nor a name.
    """
    if model.startswith(("models:/", "runs:/")):
        return model
    if not re.fullmatch(r"[\w .-]+", model):
        raise ConfigError(f"Invalid value for `MODEL`: expected a name or models:/NAME@ALIAS, got {model!r}.")
    return f"models:/{model}@champion"


def _find_model(settings: ServerSettings) -> str:
    """Return the address of the version that is to be served now.

    Raises:
        TrackingError: There is none.
    """
    from tinybench.tracking.model_versions import RegisteredModel, list_names
    from tinybench.tracking.tracker import Tracker

    tracker = Tracker.at(settings.uri)
    by_alias = re.fullmatch(r"models:/([^@/]+)@(.+)", settings.model)
    if by_alias is not None:
        name, alias = by_alias.groups()
        version = RegisteredModel(tracker.client, name).get_by_alias(alias)
        if version is None:
            names = list_names(tracker.client)
            if name not in names:
                known = f", but {', '.join(names)}" if names else ""
                raise TrackingError(f"No registered model {name!r}{known}.{suggest(name, names)} Check it, or --uri.")
            raise TrackingError(f"{name} has no {alias}: register one by tinybench promote.")
        return version.uri
    by_number = re.fullmatch(r"models:/([^@/]+)/(\d+)", settings.model)
    if by_number is not None:
        return RegisteredModel(tracker.client, by_number[1]).version(int(by_number[2])).uri
    return settings.model


def _load(address: str) -> ImageClassifier:
    from tinybench.tracking import logged_model

    with logged_model.download(address) as files:
        return files.load_classifier()
