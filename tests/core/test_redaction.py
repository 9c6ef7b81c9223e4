"""Secrets stay out of what is written down."""

from __future__ import annotations

import pytest

from tinybench.core.redaction import find_secrets, redact, redact_log


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://me:hush@host/x", "http://me:***@host/x"),
        ("postgresql://me:hu/sh@db:5432/runs", "postgresql://me:***@db:5432/runs"),
        ("--token hush --seed 1", "--token *** --seed 1"),
        ("MLFLOW_TRACKING_PASSWORD=hush", "MLFLOW_TRACKING_PASSWORD=***"),
        ("api_key=hush", "api_key=***"),
        ("Secret=hush", "Secret=***"),
    ],
)
def test_secrets_are_hidden(text, expected):
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tinybench train --seed 1",
        "http://host:5000/x",
        "sqlite:///runs.db",
        "postgresql://ann@db:5432/x",
        "mysql+pymysql://a-b.c@db/x",
    ],
)
def test_other_text_stays(text):
    assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "http://me:hu@hush@host/x",
        "https://hush@host/x",
        "postgresql://u@hush@db/x",
        "postgresql://a@db/x,postgresql://b:hush@db/x",
    ],
)
def test_secrets_in_unusual_addresses_are_hidden(text):
    assert "hush" not in redact(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cannot reach postgresql://me:hush@db/runs", "cannot reach postgresql://me:***@db/runs"),
        ("Authorization: Basic aHVzaDpodXNoMQ==", "Authorization: Basic ***"),
        ("authorization: bearer hush.hush", "authorization: bearer ***"),
        ("GET /b?X-Amz-Signature=hush&X-Amz-Date=1", "GET /b?X-Amz-Signature=***&X-Amz-Date=1"),
        ("{'password': 'hush hush'}", "{'password': ***"),
        ("[SQL: INSERT]\n[parameters: ('hush', 1)]\n(see docs)", "[SQL: INSERT]\n[parameters: ***\n(see docs)"),
    ],
)
def test_secrets_in_logs_are_hidden(text, expected):
    shown = redact_log(text)
    assert "hush" not in shown
    assert shown.startswith(expected)


@pytest.mark.parametrize(
    "text",
    ["password authentication failed for user x", "basic authentication", "The token is missing.", "GET /x 200"],
)
def test_sentences_about_secrets_stay_in_logs(text):
    assert redact_log(text) == text


def test_secrets_of_an_environment():
    environment = {
        "MLFLOW_AUTH_ADMIN_PASSWORD": "hush-admin",
        "AWS_ACCESS_KEY_ID": "hush-id-1",
        "STORE": "postgresql://me:hush%2Fstore@db/runs?sslpassword=hush-ssl",
        "ADMIN_PASSWORD_FILE": "/run/secrets/admin",
        "HAS_TOKEN": "true",
        "PATH": "/usr/bin",
    }
    assert set(find_secrets(environment)) == {"hush-admin", "hush-id-1", "hush%2Fstore", "hush/store", "hush-ssl"}
    assert "hush" not in redact_log("got hush-admin and hush/store", find_secrets(environment))
