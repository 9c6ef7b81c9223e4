"""MLflow's client of users and roles."""

from __future__ import annotations

import warnings
from typing import Any

from mlflow.exceptions import MlflowException

from tinybench.core.errors import ConfigError

try:
    with warnings.catch_warnings():  # the client's package imports the server, whose libraries warn of each other
        warnings.simplefilter("ignore")
        from mlflow.server.auth.client import AuthServiceClient
        from mlflow.server.auth.routes import GET_CURRENT_USER, LIST_USERS
except (ImportError, MlflowException) as error:
    raise ConfigError("Users and roles need the extra server: pip install 'tinybench[server]'.") from error


class AdminClient(AuthServiceClient):
    """MLflow's client with the two requests that it lacks."""

    def list_users(self) -> list[dict[str, Any]]:
        """Return all users as the server describes them: `username`, `is_admin` and `roles`."""
        users: list[dict[str, Any]] = self._request(LIST_USERS, "GET")["users"]
        return users

    def current_user(self) -> dict[str, Any]:
        """Return the user whose password the client sends."""
        user: dict[str, Any] = self._request(GET_CURRENT_USER, "GET")["user"]
        return user
