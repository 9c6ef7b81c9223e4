"""A request is read as MLflow's protocol says, or refused with a sentence; nothing else comes of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinybench.serving import protocol
from tinybench.serving.protocol import RequestError

JSON = "application/json"


def read(value, kind=JSON):
    return protocol.parse_request(json.dumps(value).encode(), kind)


@pytest.mark.parametrize(
    ("asked", "pictures"),
    [
        ({"inputs": ["a", "b"]}, ["a", "b"]),
        ({"inputs": "a"}, ["a"]),
        ({"inputs": {"image": ["a", [[1]]]}}, ["a", [[1]]]),
        ({"instances": ["a"]}, ["a"]),
        ({"instances": [{"image": "a"}, {"image": "b"}]}, ["a", "b"]),
        ({"dataframe_split": {"columns": ["image"], "data": [["a"], ["b"]]}}, ["a", "b"]),
        ({"dataframe_records": [{"image": "a"}]}, ["a"]),
        ({"inputs": []}, []),
    ],
)
def test_every_form_of_the_protocol(asked, pictures):
    assert read(asked) == (pictures, {})
    assert read(asked | {"params": {"top_k": 3}}) == (pictures, {"top_k": 3})
    assert read(asked | {"params": None}) == (pictures, {})


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png; charset=binary", "application/octet-stream", "IMAGE/WEBP"])
def test_a_file_as_it_is(kind):
    assert protocol.parse_request(b"file", kind) == ([b"file"], {})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "got an empty body"),
        (b"\xff\xfe", "no valid JSON"),
        (b"[]", "Expected a JSON object, got list"),
        (b"{}", "got nothing"),
        (b'{"a": 1}', "Expected one of inputs, instances, dataframe_split, dataframe_records"),
        (b'{"inputs": [], "instances": []}', "got 'inputs', 'instances'"),
        (b'{"inputs": 5}', "Expected inputs as a list of images, got int"),
        (b'{"inputs": {"a": [], "b": []}}', "Expected inputs as a list of images"),
        (b'{"dataframe_split": {"data": [[1, 2]]}}', "one column of images"),
        (b'{"dataframe_records": [1]}', "Expected dataframe_records as a list of"),
        (b'{"inputs": ["a"], "params": {"k": 1}}', 'Expected params as {"top_k": 3}'),
        (b'{"inputs": ["a"], "params": [1]}', 'Expected params as {"top_k": 3}'),
        (b'{"inputs": ["a"], "params": []}', 'Expected params as {"top_k": 3}'),
        (b'{"inputs": ["a"], "params": false}', 'Expected params as {"top_k": 3}'),
        (b'{"inputs": ' + b"[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_request_is_told_in_a_sentence(body, words):
    with pytest.raises(RequestError) as caught:
        protocol.parse_request(body, JSON)
    assert words in str(caught.value)
    assert caught.value.status == 400
    assert len(str(caught.value)) < 400


def test_another_type_is_refused_as_such():
    with pytest.raises(RequestError, match="got 'text/csv'") as caught:
        protocol.parse_request(b"a,b", "text/csv")
    assert caught.value.status == 415


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=8,
)
forms = st.sampled_from(["inputs", "instances", "dataframe_split", "dataframe_records", "params", "x"])


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # its alphabet takes seconds to be made
@given(st.dictionaries(forms, anything, max_size=3))
def test_whatever_json_comes_it_is_read_or_refused(asked):
    try:
        pictures, params = read(asked)
    except RequestError:
        return
    assert isinstance(pictures, list)
    assert set(params) <= {"top_k"}


@given(st.binary(max_size=200))
def test_whatever_bytes_come_they_are_refused(body):
    with pytest.raises(RequestError):
        protocol.parse_request(body, JSON)
