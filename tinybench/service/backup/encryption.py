"""Encrypt the files of a backup with age, for recipients whose identities the backup job need not know."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tinybench.core import text_file
from tinybench.core.errors import ConfigError, DataError


@dataclass(frozen=True)
class Encryption:
    """The recipients of a backup.

    Attributes:
        recipients: Their public keys, `age1…`, sorted.
    """

    recipients: tuple[str, ...]

    @classmethod
    def to(cls, recipients: Sequence[str]) -> Encryption | None:
        """Return the encryption to recipients; None if there are none.

        Raises:
            ConfigError: A recipient is no public key of age, or the library is not installed.
        """
        encryption = cls(tuple(sorted(set(recipients))))
        encryption._keys()
        return encryption if recipients else None

    @property
    def suffix(self) -> str:
        """The end of the names of files that these recipients can read."""
        return f"-{hashlib.sha256(' '.join(self.recipients).encode()).hexdigest()[:16]}.age"

    def encrypt(self, source: Any, target: BinaryIO) -> None:
        """Encrypt all that can be read from `source`."""
        _pyrage().encrypt_io(source, target, self._keys())

    def _keys(self) -> list[Any]:
        keys = []
        for recipient in self.recipients:
            pyrage = _pyrage()
            try:
                keys.append(pyrage.x25519.Recipient.from_str(recipient))
            except pyrage.RecipientError as error:
                raise ConfigError(
                    f"Invalid value for `--encrypt-to`: expected a public key of age (age1…), got {recipient[:80]!r}. "
                    "age-keygen makes one."
                ) from error
        return keys


class Identity:
    """The secret keys that can read an encrypted backup.

    Args:
        file: The file that `age-keygen` wrote.

    Raises:
        ConfigError: The file cannot be read or has no key, or the library is not installed.
    """

    def __init__(self, file: Path) -> None:
        pyrage = _pyrage()
        try:
            lines = text_file.read(file).split()
            self._keys = [pyrage.x25519.Identity.from_str(line) for line in lines if line.startswith("AGE-SECRET-KEY-")]
        except (OSError, UnicodeError, pyrage.IdentityError) as error:
            reason = getattr(error, "strerror", None) or "its key is damaged"
            raise ConfigError(f"Invalid value for `--identity`: cannot read {file}: {reason}.") from error
        if not self._keys:
            raise ConfigError(
                f"Invalid value for `--identity`: expected a file of age-keygen with AGE-SECRET-KEY-…, got {file}."
            )

    def decrypt(self, source: BinaryIO, target: Any, name: str) -> None:
        """Decrypt a file.

        Args:
            source: The file.
            target: Receives the decrypted bytes by `write`.
            name: Its name, for messages.

        Raises:
            ConfigError: It was encrypted to others.
            DataError: It is damaged.
        """
        pyrage = _pyrage()
        try:
            pyrage.decrypt_io(source, target, self._keys)
        except pyrage.DecryptError as error:
            if "No matching keys" in str(error):
                raise ConfigError(
                    f"Invalid value for `--identity`: it cannot read {name}, which was encrypted to another recipient."
                ) from error
            raise DataError(f"{name} is damaged: {error}.") from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise DataError(f"{name} is damaged: {error}.") from error


def _pyrage() -> Any:
    try:
        import pyrage
    except ImportError as error:
        raise ConfigError("Encryption needs the library pyrage: pip install 'tinybench[server]'.") from error
    return pyrage
