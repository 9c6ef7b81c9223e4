"""Lines of the log: one JSON object each, or text, and no secret in either."""

from __future__ import annotations

import json
import logging
import logging.config
import subprocess
import sys
from datetime import datetime

import pytest

from tinybench.web import log_format
from tinybench.web.log_format import JsonFormatter, TextFormatter

RECORD = logging.LogRecord("here", logging.WARNING, "file.py", 1, "%s is\nodd", ("This",), None)


def failing(message):
    try:
        raise ValueError(message)
    except ValueError:
        return logging.LogRecord("here", logging.ERROR, "file.py", 1, "It failed.", (), sys.exc_info())


def test_json_is_one_line_that_can_be_read():
    line = JsonFormatter().format(RECORD)
    assert "\n" not in line
    fields = json.loads(line)
    assert datetime.fromisoformat(fields.pop("time")).timestamp() == pytest.approx(RECORD.created, abs=0.001)
    assert fields == {"level": "warning", "message": "This is\nodd", "logger": "here"}


def test_a_message_cannot_forge_a_line_of_text():
    first, second = TextFormatter().format(RECORD).splitlines()
    assert first.endswith(" WARNING: This is")
    assert second == "    odd"


def test_a_message_cannot_forge_a_line_of_a_terminal():
    message = "Exception on /a\r2026-11-27 06:20:55 INFO: all is well\x1b[2K\u2028\x85\x9b\tb"
    record = logging.LogRecord("here", logging.ERROR, "file.py", 1, message, (), None)
    line = TextFormatter().format(record)
    assert line.endswith(r"/a\r2026-11-27 06:20:55 INFO: all is well\x1b[2K\u2028\x85\x9b" + "\tb")
    assert json.loads(JsonFormatter().format(record))["message"] == message


def test_a_traceback_is_a_field_of_json_and_lines_of_text():
    line = JsonFormatter().format(failing("at the end"))
    assert "\n" not in line
    assert json.loads(line)["traceback"].endswith("ValueError: at the end")
    text = TextFormatter().format(failing("at the end"))
    assert " ERROR: It failed.\nTraceback" in text
    assert text.endswith("ValueError: at the end")


@pytest.mark.parametrize("formatter", [JsonFormatter, TextFormatter])
def test_secrets_of_the_environment_are_hidden_everywhere(monkeypatch, formatter):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush/hush+key")
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "postgresql://me:hush%40words@db/runs")
    made = formatter()
    for message in ("key hush/hush+key", "as given: hush%40words", "as it is: hush@words", "x://a:hush@b/"):
        record = logging.LogRecord("here", logging.INFO, "file.py", 1, message, (), None)
        assert "hush" not in made.format(record)
        assert "***" in made.format(record)
        assert "hush" not in made.format(failing(message))


@pytest.mark.parametrize("kind", log_format.FORMATS)
def test_the_configuration_can_be_written_as_json_and_takes_everything(kind):
    code = f"""
import json, logging, logging.config, warnings
from tinybench.web import log_format
logging.config.dictConfig(json.loads(json.dumps(log_format.build_config({kind!r}))))
logging.getLogger("uvicorn.error").info("of uvicorn")
logging.getLogger("mlflow.server").info("of mlflow")
logging.getLogger("botocore").info("not to be seen")
logging.getLogger("botocore").warning("of others")
warnings.warn("of Python")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == ""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    messages = [json.loads(line)["message"] for line in lines] if kind == "json" else lines
    for message, expected in zip(messages, ("of uvicorn", "of mlflow", "of others", "of Python"), strict=False):
        assert expected in message
    assert "not to be seen" not in done.stderr


@pytest.mark.parametrize(
    ("message", "is_kept"),
    [
        ("[MLflow] Security middleware enabled with x, configure --allowed-hosts and --cors-allowed-origins", False),
        ("This feature is still experimental and may change in a future release", False),
        ("GET /Security middleware enabled configure --allowed-hosts and --cors-allowed-origins 404", True),
    ],
)
def test_lines_that_tell_nothing_are_left_out_and_no_request_can_hide_itself(message, is_kept):
    assert (log_format._NEEDLESS.search(message) is None) is is_kept
