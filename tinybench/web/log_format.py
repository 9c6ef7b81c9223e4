"""Format the log of a service as text or as one JSON object a line, without secrets."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

from tinybench.core.redaction import find_secrets, redact_log
from tinybench.web.request_log import RequestRecord, current_request
from tinybench.web.safe_traceback import format_without_values

FORMATS = ("text", "json")
_NEEDLESS = re.compile(  # of MLflow: an option that `tinybench server` does not have, and a line for each worker
    r"^(\[MLflow\] )?Security middleware enabled .*configure --allowed-hosts"
    r"|^This feature is still experimental and may change"
)

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")  # all but the end of a line and the tab


class _SafeFormatter(logging.Formatter):
    """A formatter that hides the secrets of the environment, as it is when the log begins."""

    def __init__(self) -> None:
        super().__init__()
        self._secrets = find_secrets(os.environ)

    def hide(self, text: str) -> str:
        """Return a text without secrets."""
        return redact_log(text, self._secrets)

    def read_message(self, record: logging.LogRecord) -> str:
        """Return the message of a record without secrets; of a request that was answered, its path and status."""
        request = getattr(record, "request", None)
        if isinstance(request, RequestRecord):
            return f"{request.method} {self.hide(request.path)} {request.status}"
        return self.hide(record.getMessage())

    def read_traceback(self, record: logging.LogRecord) -> str:
        """Return the traceback of a record without secrets; empty if there is none."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return ""
        within_request = _request_of(record) is not None
        text = format_without_values(error) if within_request else "".join(traceback.format_exception(error)).rstrip()
        return self.hide(text)


def _escape(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


class JsonFormatter(_SafeFormatter):
    """Format a record as a JSON object: time, level, message, and what is known of the request."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": self.read_message(record),
            "logger": record.name,
        }
        request = _request_of(record)
        if request is not None:
            fields["request_id"] = request.id
            if request.seconds is not None:
                fields |= {"method": request.method, "path": self.hide(request.path), "status": request.status}
                fields |= {"milliseconds": round(1000 * request.seconds, 2), "client": request.client}
                fields |= {} if request.user is None else {"user": request.user}
        text = self.read_traceback(record)
        if text:
            fields["traceback"] = text
        return json.dumps(fields, ensure_ascii=False)


class TextFormatter(_SafeFormatter):
    """Format a record as a line for people; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        time = self.formatTime(record, "%Y-%m-%d %H:%M:%S")
        message = _CONTROLS.sub(_escape, self.read_message(record))
        message = message.replace("\n", "\n    ")  # no line of it begins like a record
        line = f"{time} {record.levelname}: {message}"
        request = _request_of(record)
        if request is not None:
            if request.seconds is not None:
                line += f" {1000 * request.seconds:.1f} ms client={request.client}"
                line += "" if request.user is None else f" user={request.user!r}"
            line += f" request_id={request.id}"
        text = self.read_traceback(record)
        return f"{line}\n{text}" if text else line


def _request_of(record: logging.LogRecord) -> RequestRecord | None:
    request = getattr(record, "request", None)
    return request if isinstance(request, RequestRecord) else current_request()


def build_handler(log_format: str) -> logging.Handler:
    """Return a handler that writes to the standard error stream; warnings of Python are logged as well.

    Args:
        log_format: One of `FORMATS`.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    handler.addFilter(lambda record: _NEEDLESS.search(record.getMessage()) is None)
    logging.captureWarnings(True)
    return handler


def build_config(log_format: str) -> dict[str, Any]:
    """Return the configuration of `logging.config.dictConfig` for a service.

    Args:
        log_format: One of `FORMATS`.
    """
    inherited = {"handlers": [], "propagate": True, "level": "INFO"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"stderr": {"()": "tinybench.web.log_format.build_handler", "log_format": log_format}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {"uvicorn": inherited, "tinybench": inherited, "mlflow": inherited},
    }
