"""The roles of a team's server, as grants of MLflow's access control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinybench.service.admin_client import AdminClient

ADMIN = "admin"
"""The role that may do everything; MLflow keeps it as a mark of the user and asks no grants."""

WORKSPACE = "default"
"""Where MLflow looks for grants as long as its workspaces are off."""

_RUNS = ("experiment", "run", "trace", "assessment", "logged_model", "review_queue", "scorer", "scorer_version")
_REGISTRY = ("registered_model", "prompt")
_VERSIONS = ("registered_model_version", "prompt_version")


@dataclass(frozen=True)
class Role:
    """What some users may do.

    Attributes:
        name: Name of the role.
        description: What it is for, as MLflow's page of roles shows it.
        grants: The permission for all resources of a type, by type.
    """

    name: str
    description: str
    grants: Mapping[str, str]


def _grant(runs: str, registry: str, versions: str) -> dict[str, str]:
    """Return grants for every type, those of parts included: else who creates an experiment may delete its runs."""
    return dict.fromkeys(_RUNS, runs) | dict.fromkeys(_REGISTRY, registry) | dict.fromkeys(_VERSIONS, versions)


ROLES = (
    Role("reader", "Reads everything and writes nothing.", _grant("READ", "READ", "READ")),
    Role("contributor", "Also creates experiments and runs, and logs to them.", _grant("EDIT", "READ", "READ")),
    # MANAGE, since MLflow lets nobody else take an alias away; EDIT of versions keeps them from being deleted
    Role("registrar", "Also writes the registry and moves its aliases.", _grant("EDIT", "MANAGE", "EDIT")),
)

NAMES = (*(role.name for role in ROLES), ADMIN)
"""All roles, from the least to the greatest."""


def create_or_repair(client: AdminClient) -> list[str]:
    """Create the roles that are missing and correct the grants of the others.

    Returns:
        What was changed, one line a change; empty if all was as it should be.

    Raises:
        MlflowException: The server refuses a change.
    """
    stored = {role.name: role for role in client.list_roles(WORKSPACE)}
    changes = []
    for role in ROLES:
        if role.name not in stored:
            stored[role.name] = client.create_role(WORKSPACE, role.name, role.description)
            _repair_grants(client, role, stored[role.name].id)
            changes.append(f"created the role {role.name}")
        else:
            changes += _repair_grants(client, role, stored[role.name].id)
    return changes


def _repair_grants(client: AdminClient, role: Role, role_id: int) -> list[str]:
    changes = []
    seen: dict[str, Any] = {}
    for grant in client.list_role_permissions(role_id):
        expected = role.grants.get(grant.resource_type) if grant.resource_pattern == "*" else None
        if expected is None or grant.resource_type in seen:
            client.remove_role_permission(grant.id)
            changes.append(f"{role.name}: took away {grant.permission} of {_name(grant)}")
            continue
        seen[grant.resource_type] = grant
        if grant.permission != expected:
            client.update_role_permission(grant.id, expected)
            changes.append(f"{role.name}: {expected} of {_name(grant)} instead of {grant.permission}")
    missing = [kind for kind in role.grants if kind not in seen]
    for kind in missing:
        client.add_role_permission(role_id, kind, "*", role.grants[kind])
    if missing:
        changes.append(f"{role.name}: granted {', '.join(f'{role.grants[kind]} of {kind}' for kind in missing)}")
    return changes


def _name(grant: Any) -> str:
    return str(
        grant.resource_type if grant.resource_pattern == "*" else f"{grant.resource_type} {grant.resource_pattern}"
    )
