"""Hashes of files are those of their content."""

from __future__ import annotations

import hashlib

import pytest

from tinybench.core.hashing import hash_file


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
@pytest.mark.parametrize("content", [b"", b"content", bytes(range(256)) * 4096])
def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path, algorithm, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert hash_file(path, algorithm) == hashlib.new(algorithm, content).hexdigest()
