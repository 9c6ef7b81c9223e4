"""Print the users of a team's server with their roles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tinybench.display.fitted_table import Column, print_table

if TYPE_CHECKING:
    from rich.console import Console as Terminal

    from tinybench.service.users import User


def print_users(users: Iterable[User], terminal: Terminal) -> None:
    """Print one row per user."""
    print_table(terminal, ("user", Column("role", wraps=True)), [(user.name, user.role) for user in users])
