"""What the server remembers of users, their grants and the experiments of runs, and when it forgets."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException
from mlflow.server import auth
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import event

from tinybench.service import permission_cache


class Users:
    """A database of users, and the statements that read it."""

    def __init__(self, uri: str) -> None:
        self.store = SqlAlchemyStore()
        self.store.init_db(uri)
        self.statements: list[str] = []
        event.listen(self.store.engine, "after_cursor_execute", lambda *given: self.statements.append(given[2]))


@pytest.fixture
def users(tmp_path):
    users = Users(f"sqlite:///{tmp_path / 'users.db'}")
    permission_cache.remember_users(users.store)
    users.store.create_user("ann", "a password of some length")
    return users


def grants(store):
    found = store.list_grants(store.get_user("ann").id, "default", {"experiment"})
    return [(grant.resource_pattern, grant.permission) for grant in found]


def test_users_and_grants_are_read_once(users):
    users.store.grant_user_permission("ann", "experiment", "7", "EDIT")
    first = grants(users.store)
    assert first == [("7", "EDIT")]
    users.statements.clear()
    assert all(grants(users.store) == first for _ in range(5))
    assert users.statements == []


def test_different_questions_have_different_answers(users):
    users.store.grant_user_permission("ann", "experiment", "7", "EDIT")
    ann = users.store.get_user("ann").id
    assert grants(users.store)
    assert users.store.list_grants(ann, "default", {"registered_model"}) == []
    assert users.store.list_grants(ann, "other", {"experiment"}) == []
    assert users.store.list_grants(ann + 1, "default", {"experiment"}) == []


def test_a_change_is_in_force_at_once(users):
    assert grants(users.store) == []
    users.store.grant_user_permission("ann", "experiment", "7", "EDIT")
    assert grants(users.store) == [("7", "EDIT")]
    users.store.grant_user_permission("ann", "experiment", "7", "READ")
    assert grants(users.store) == [("7", "READ")]
    users.store.revoke_user_resource_permission("ann", "experiment", "7")
    assert grants(users.store) == []
    assert not users.store.get_user("ann").is_admin
    users.store.update_user("ann", is_admin=True)
    assert users.store.get_user("ann").is_admin
    role = users.store.create_role("reader", "default")
    assert "reader" not in [one.name for one in users.store.list_user_roles(users.store.get_user("ann").id)]
    users.store.assign_role_to_user(users.store.get_user("ann").id, role.id)
    assert "reader" in [one.name for one in users.store.list_user_roles(users.store.get_user("ann").id)]
    users.store.delete_user("ann")
    with pytest.raises(MlflowException):
        users.store.get_user("ann")


def test_a_change_by_another_process_is_seen_after_some_seconds(users, tmp_path):
    clock = [100.0]
    other = Users(f"sqlite:///{tmp_path / 'users.db'}").store
    users = Users(f"sqlite:///{tmp_path / 'users.db'}")
    permission_cache.remember_users(users.store, lambda: clock[0])
    assert grants(users.store) == []
    other.grant_user_permission("ann", "experiment", "7", "READ")
    clock[0] += permission_cache.SECONDS - 0.1
    assert grants(users.store) == []
    clock[0] += 0.2
    assert grants(users.store) == [("7", "READ")]


def test_an_answer_read_before_a_change_is_not_kept(tmp_path):
    """A request reads the grants while another one revokes them: what it has read is for itself alone."""
    store = Users(f"sqlite:///{tmp_path / 'users.db'}").store
    store.create_user("ann", "a password of some length")
    store.grant_user_permission("ann", "experiment", "7", "EDIT")
    read, revoked = store.list_grants, []

    def read_slowly(*arguments):
        answer = read(*arguments)
        if not revoked:
            revoked.append(True)
            store.revoke_user_resource_permission("ann", "experiment", "7")
        return answer

    read_slowly.__name__ = "list_grants"
    store.list_grants = read_slowly
    permission_cache.remember_users(store)
    assert grants(store) == [("7", "EDIT")]
    assert grants(store) == []


def test_the_experiment_of_a_run_is_read_once():
    asked = []

    def read(run_id, action):
        asked.append((run_id, action))
        return None if run_id == "missing" else (("experiment", "7"), [run_id, action])

    requirement = permission_cache.remember_experiments(read)
    anchor, first = requirement("a", "read")
    first.append("of this request")
    assert requirement("a", "read") == (anchor, ["a", "read"])
    assert requirement("a", "update") == (("experiment", "7"), ["a", "update"])
    assert asked == [("a", "read"), ("a", "update")]


def test_a_run_that_is_missing_is_asked_for_again():
    found = [None, (("experiment", "7"), [])]
    requirement = permission_cache.remember_experiments(lambda *_: found.pop(0))
    assert requirement("a", "read") is None
    assert requirement("a", "read") == (("experiment", "7"), [])


@pytest.mark.parametrize("sent", [["a"], {"a": "b"}, 1.0, None])
def test_what_is_no_id_is_left_to_mlflow(sent):
    requirement = permission_cache.remember_experiments(lambda run_id, _: (("experiment", "7"), [run_id]))
    assert requirement(sent, "read") == (("experiment", "7"), [sent])


def test_what_is_no_name_is_left_to_mlflow(tmp_path):
    store = Users(f"sqlite:///{tmp_path / 'users.db'}").store
    store.get_user = lambda name: name
    store.get_user.__name__ = "get_user"
    permission_cache.remember_users(store)
    assert store.get_user(["ann"]) == ["ann"]


@pytest.mark.parametrize("denied", [set(), {"logged_model"}])
def test_runs_are_read_again_only_where_something_must_be_withheld(monkeypatch, denied):
    monkeypatch.setattr(auth, "authenticate_request", lambda: SimpleNamespace(username="ann"))
    monkeypatch.setattr(auth, "_denied_sibling_tiers", lambda username, types: denied & set(types))
    calls = []
    permission_cache.skip_needless_redaction(lambda *given: calls.append(given))("response", "message", list)
    assert calls == ([("response", "message", list)] if denied else [])


def test_an_error_of_mlflow_s_own_is_not_a_run_that_is_missing():
    def read(*_):
        raise KeyError("column")

    with pytest.raises(KeyError, match="column"):
        permission_cache.remember_experiments(read)("a", "read")
