"""Secrets stay out of what is written down."""

from __future__ import annotations

import pytest

from tinybench.core.redaction import redact


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


@pytest.mark.parametrize("text", ["", "tinybench train --seed 1", "http://host:5000/x", "sqlite:///runs.db"])
def test_other_text_stays(text):
    assert redact(text) == text


@pytest.mark.parametrize("text", ["http://me:hu@hush@host/x", "https://hush@host/x"])
def test_secrets_in_unusual_addresses_are_hidden(text):
    assert "hush" not in redact(text)
