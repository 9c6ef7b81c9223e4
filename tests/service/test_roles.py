"""The grants of the roles on a real server."""

from __future__ import annotations

import pytest
from conftest import Team, log_in
from team_server import ADMIN

from tinybench.service import roles
from tinybench.service.admin_client import AdminClient


@pytest.fixture
def client(team: Team, monkeypatch: pytest.MonkeyPatch) -> AdminClient:
    log_in(monkeypatch, ADMIN)
    return AdminClient(team.server.uri)


def _grants(client: AdminClient) -> dict[str, dict[tuple[str, str], list[str]]]:
    found: dict[str, dict[tuple[str, str], list[str]]] = {}
    for role in client.list_roles(roles.WORKSPACE):
        for grant in client.list_role_permissions(role.id):
            key = (grant.resource_type, grant.resource_pattern)
            found.setdefault(role.name, {}).setdefault(key, []).append(grant.permission)
    return {role.name: found[role.name] for role in roles.ROLES}


def _role_id(client: AdminClient, name: str) -> int:
    return next(role.id for role in client.list_roles(roles.WORKSPACE) if role.name == name)


def test_creating_the_roles_again_changes_nothing(client: AdminClient):
    before = _grants(client)
    assert roles.create_or_repair(client) == []
    assert _grants(client) == before
    assert before["reader"][("experiment", "*")] == ["READ"]


def test_a_grant_that_was_changed_taken_or_added_is_put_right(client: AdminClient):
    before = _grants(client)
    reader = _role_id(client, "reader")
    stored = {grant.resource_type: grant for grant in client.list_role_permissions(reader)}
    client.update_role_permission(stored["run"].id, "MANAGE")
    client.remove_role_permission(stored["trace"].id)
    client.add_role_permission(reader, "experiment", "1", "MANAGE")
    client.add_role_permission(reader, "gateway_secret", "*", "USE")
    assert _grants(client) != before
    changes = roles.create_or_repair(client)
    assert _grants(client) == before
    assert sorted(changes) == [
        "reader: READ of run instead of MANAGE",
        "reader: granted READ of trace",
        "reader: took away MANAGE of experiment 1",
        "reader: took away USE of gateway_secret",
    ]


def test_a_role_that_was_deleted_is_made_again(client: AdminClient, team: Team):
    before = _grants(client)
    registrar = _role_id(client, "registrar")
    client.delete_role(registrar)
    assert roles.create_or_repair(client) == ["created the role registrar"]
    assert _grants(client) == before
    client.assign_role(team.logins["registrar"][0], _role_id(client, "registrar"))


def test_every_type_that_mlflow_can_grant_is_in_a_role_or_left_out_on_purpose():
    from mlflow.server.auth.permissions import VALID_RESOURCE_TYPES

    left_out = {"workspace", "gateway_secret", "gateway_endpoint", "gateway_model_definition"}
    left_out |= {"mcp_server", "mcp_server_version"}
    for role in roles.ROLES:
        assert role.grants.keys() == VALID_RESOURCE_TYPES - left_out, role.name
