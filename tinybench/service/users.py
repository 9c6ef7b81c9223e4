"""Add, list and remove the users of a running server, as one of its administrators."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from mlflow.exceptions import MlflowException

from tinybench.core.errors import ConfigError, TrackingError, format_error
from tinybench.core.redaction import redact
from tinybench.service import roles
from tinybench.service.admin_client import AdminClient
from tinybench.tracking import store

_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_LOG_IN = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to those of an administrator."


@dataclass(frozen=True)
class User:
    """A user of the server.

    Attributes:
        name: Name to log in with.
        role: One of `roles.NAMES`, other roles of MLflow with commas between, or `none`.
    """

    name: str
    role: str


class Users:
    """The users of a server.

    Args:
        uri: Address of the server, without a password; that of MLflow's settings if None.

    Raises:
        ConfigError: The address is not that of a server, or who asks is not an administrator.
        TrackingError: The server does not answer or has no users.
    """

    def __init__(self, uri: str | None = None) -> None:
        store.prepare_client()
        self._uri = (uri or store.default_uri()).rstrip("/")
        parts = urlsplit(self._uri)
        if parts.scheme not in ("http", "https"):
            raise ConfigError(
                f"Invalid value for `--uri`: expected http://HOST:PORT of a server with --auth, got "
                f"{redact(self._uri)!r}."
            )
        if parts.password is not None:
            raise ConfigError(f"Invalid value for `--uri`: leave the password out of the address. {_LOG_IN}")
        self._client = AdminClient(self._uri)
        with self._errors():
            self._me = self._client.current_user()
        if not self._me["is_admin"]:
            raise ConfigError(f"{self._me['username']} is not an administrator of {self._uri}. {_LOG_IN}")

    def all(self) -> list[User]:
        """Return the users in the order of their names."""
        with self._errors():
            users = self._client.list_users()
        return sorted((User(user["username"], _role(user)) for user in users), key=lambda user: user.name)

    def add(self, name: str, role: str, password: str) -> list[str]:
        """Add a user, after creating the roles or correcting their grants.

        Returns:
            What was changed in the roles.

        Raises:
            ConfigError: There is such a user already, or the name cannot be used.
        """
        if not _NAME_PATTERN.fullmatch(name):
            raise ConfigError(
                f"Invalid value for `NAME`: expected letters, digits and . _ @ - (at most 64), got {name!r}."
            )
        with self._errors():
            if any(user.name == name for user in self.all()):
                raise ConfigError(
                    f"Invalid value for `NAME`: there is a user {name} already. To give another role, remove the user "
                    "first: what users may do with their own experiments goes with them."
                )
            changes = roles.create_or_repair(self._client)
            self._client.create_user(name, password)
            try:
                self._assign(name, role)
            except BaseException:
                with suppress(MlflowException, requests.RequestException):
                    self._client.delete_user(name)
                raise
        return changes

    def _assign(self, name: str, role: str) -> None:
        if role == roles.ADMIN:
            self._client.update_user_admin(name, True)
            return
        stored = {role.name: role.id for role in self._client.list_roles(roles.WORKSPACE)}
        self._client.assign_role(name, stored[role])

    def remove(self, name: str) -> None:
        """Remove a user and what was granted to that user alone; runs and models stay.

        Raises:
            ConfigError: There is no such user, it is the last administrator, or it is who asks.
        """
        role = self._find(name).role
        if role == roles.ADMIN and sum(user.role == roles.ADMIN for user in self.all()) == 1:
            raise ConfigError(
                f"Invalid value for `NAME`: {name} is the last administrator. Add another first: "
                "tinybench server user add NAME --role admin"
            )
        if name == self._me["username"]:
            raise ConfigError(
                "Invalid value for `NAME`: nobody can remove their own account. Ask another administrator."
            )
        with self._errors():
            self._client.delete_user(name)

    def set_password(self, name: str, password: str) -> None:
        """Change the password of a user.

        Raises:
            ConfigError: There is no such user, or the password is the same as before.
        """
        self._find(name)
        own = os.environ.get("MLFLOW_TRACKING_PASSWORD") if name == self._me["username"] else None
        with self._errors():
            self._client.update_user_password(name, password, own)

    def _find(self, name: str) -> User:
        for user in self.all():
            if user.name == name:
                return user
        raise ConfigError(f"Invalid value for `NAME`: there is no user {name}. See tinybench server user list.")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn the errors of MLflow's client into those that say what to do."""
        try:
            yield
        except MlflowException as error:
            if "error code 401" in str(error):
                raise ConfigError(f"{self._uri} does not accept this user and password. {_LOG_IN}") from error
            if "error code 404" in str(error) or "error code 405" in str(error):
                raise TrackingError(
                    f"{self._uri} has no users: start it by tinybench server --auth, or correct --uri."
                ) from error
            if "failed with exception" in str(error):  # how MLflow reports that there was no answer
                raise self._no_answer(error) from error
            raise TrackingError(f"{self._uri} answered: {redact(format_error(error))}") from error
        except requests.RequestException as error:
            raise self._no_answer(error) from error

    def _no_answer(self, error: Exception) -> TrackingError:
        reason = store.describe_error(error)
        return TrackingError(f"Cannot use {self._uri}: {reason} Check --uri, and that the server runs.")


def _role(user: dict[str, Any]) -> str:
    if user["is_admin"]:
        return roles.ADMIN
    names = sorted(role["name"] for role in user["roles"] if not role["name"].startswith("__user_"))
    return ", ".join(names) or "none"
