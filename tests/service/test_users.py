"""Users of a real server: added, listed, given another password, removed."""

from __future__ import annotations

import base64
import datetime
import ssl
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Thread

import pytest
from conftest import Team, log_in
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from team_server import ADMIN, TeamServer

from tinybench.core.errors import ConfigError, TrackingError
from tinybench.service.users import User, Users
from tinybench.tracking import store

_PASSWORD = "first-password-of-the-bee"
_OTHER = "second-password-of-the-bee"
_RUNS = "/api/2.0/mlflow/users/current"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/1/none"
_DAY = datetime.timedelta(days=1)
_numbers = count()


@pytest.fixture
def https(tmp_path: Path) -> Iterator[str]:
    """The address of a server whose certificate nobody has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + _DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, format_ = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(pem, format_, serialization.NoEncryption())
    (tmp_path / "server.pem").write_bytes(private + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()


@pytest.fixture
def bee(users: Users) -> str:
    """A new reader."""
    name = f"bee{next(_numbers)}"
    users.add(name, "reader", _PASSWORD)
    return name


def _may_log_in(server: TeamServer, name: str, password: str) -> bool:
    codes = {server.ask((name, password), "GET", path).status_code for path in (_RUNS, _ARTIFACTS)}
    assert 401 not in codes or codes == {401}, codes  # the two halves of the server agree
    return codes != {401}


def test_users_are_listed_with_their_roles(team: Team, users: Users):
    listed = users.all()
    for role, (name, _) in team.logins.items():
        assert User(name, "none" if role == "outsider" else role) in listed


def test_a_certificate_that_is_not_trusted_is_told_as_that(https: str):
    with pytest.raises(
        TrackingError, match="its certificate is not trusted here: set MLFLOW_TRACKING_SERVER_CERT_PATH"
    ):
        Users(https)
    with pytest.raises(TrackingError, match="MLFLOW_TRACKING_SERVER_CERT_PATH"):
        store.connect(https)


def test_an_administrator_that_was_added_may_add_others(team: Team, users: Users, monkeypatch: pytest.MonkeyPatch):
    users.add("queen", "admin", _PASSWORD)
    log_in(monkeypatch, ("queen", _PASSWORD))
    Users(team.server.uri).add("drone", "reader", _PASSWORD)
    assert {User("queen", "admin"), User("drone", "reader")} <= set(users.all())
    Users(team.server.uri).remove("drone")
    log_in(monkeypatch, ADMIN)
    users.remove("queen")


def test_a_removed_user_is_out_at_once(team: Team, users: Users, bee: str):
    assert _may_log_in(team.server, bee, _PASSWORD)
    users.remove(bee)
    assert not _may_log_in(team.server, bee, _PASSWORD)
    assert bee not in [user.name for user in users.all()]


def test_a_new_password_counts_at_once(team: Team, users: Users, bee: str):
    assert _may_log_in(team.server, bee, _PASSWORD)
    users.set_password(bee, _OTHER)
    assert not _may_log_in(team.server, bee, _PASSWORD)
    assert _may_log_in(team.server, bee, _OTHER)


def test_an_administrator_changes_their_own_password(team: Team, users: Users, monkeypatch: pytest.MonkeyPatch):
    users.set_password("admin", _OTHER)
    assert not _may_log_in(team.server, *ADMIN)
    log_in(monkeypatch, ("admin", _OTHER))
    Users(team.server.uri).set_password("admin", ADMIN[1])
    assert _may_log_in(team.server, *ADMIN)


def test_what_a_user_owned_does_not_pass_on_to_the_next_of_that_name(team: Team, users: Users):
    server, login = team.server, ("wasp", _PASSWORD)
    users.add("wasp", "contributor", _PASSWORD)
    answer = server.ask(login, "POST", "/api/2.0/mlflow/experiments/create", json={"name": "of the wasp"})
    users.remove("wasp")
    users.add("wasp", "reader", _PASSWORD)
    body = answer.json() | {"key": "a", "value": "b"}
    path = "/api/2.0/mlflow/experiments/set-experiment-tag"
    assert server.ask(login, "POST", path, json=body).status_code == 403
    users.remove("wasp")


def test_the_last_administrator_stays(users: Users):
    with pytest.raises(ConfigError, match="last administrator"):
        users.remove("admin")


def test_nobody_removes_their_own_account(users: Users):
    users.add("second", "admin", _PASSWORD)
    with pytest.raises(ConfigError, match="their own account"):
        users.remove("admin")
    users.remove("second")


def test_a_user_that_cannot_get_the_role_is_not_left_without_one(users: Users, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(KeyError):
        users.add("half", "no such role", _PASSWORD)
    assert "half" not in [user.name for user in users.all()]


@pytest.mark.parametrize("name", ["", "a:b", "a b", "ä", "-a", "a" * 65, "a\n", "__user_1__"])
def test_names_that_cannot_log_in_are_refused(users: Users, name: str):
    with pytest.raises(ConfigError, match="expected letters"):
        users.add(name, "reader", _PASSWORD)


def test_errors_say_what_to_do(team: Team, users: Users, bee: str, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match=r"there is a user .* already"):
        users.add(bee, "reader", _PASSWORD)
    with pytest.raises(ConfigError, match="there is no user nobody"):
        users.remove("nobody")
    with pytest.raises(ConfigError, match="there is no user nobody"):
        users.set_password("nobody", _PASSWORD)
    with pytest.raises(TrackingError, match="at least 12"):
        users.set_password(bee, "short")
    with pytest.raises(ConfigError, match="expected http"):
        Users("sqlite:///runs.db")
    with pytest.raises(ConfigError, match="leave the password out") as refusal:
        Users(f"http://admin:{ADMIN[1]}@127.0.0.1:{team.server.port}")
    assert ADMIN[1] not in str(refusal.value)
    with pytest.raises(TrackingError, match="does not answer"):
        Users("http://127.0.0.1:9")
    log_in(monkeypatch, (bee, _PASSWORD))
    with pytest.raises(ConfigError, match=f"{bee} is not an administrator"):
        Users(team.server.uri)
    log_in(monkeypatch, (bee, "a-wrong-password"))
    with pytest.raises(ConfigError, match="does not accept this user and password"):
        Users(team.server.uri)


def test_no_password_is_in_the_log(team: Team, users: Users, bee: str):
    users.set_password(bee, _OTHER)
    team.server.ask((bee, "a-wrong-password"), "GET", _RUNS)
    team.server.ask((bee, _OTHER), "GET", "/graphql")  # an error of the server, with its traceback
    bodies = [{"username": bee, "password": "too-short"}, {"username": ["x"], "password": "of-no-user-at-all"}]
    for body in bodies:
        team.server.ask(ADMIN, "POST", "/api/2.0/mlflow/users/create", json=body)
        team.server.ask(ADMIN, "PATCH", "/api/2.0/mlflow/users/update-password", json=body)
    secrets = [_PASSWORD, _OTHER, "a-wrong-password", "too-short", "of-no-user-at-all"]
    secrets += [password for _, password in team.logins.values()]
    log = team.server.log.read_text()
    assert "users/create" in log
    assert "Traceback" in log
    names = [*(name for name, _ in team.logins.values()), bee]
    encoded = [base64.b64encode(f"{name}:{secret}".encode()).decode() for name in names for secret in secrets]
    assert not [text for text in (*secrets, *encoded, "pbkdf2", "scrypt") if text in log]


@pytest.mark.slow
def test_with_several_workers_a_removed_user_is_out_within_half_a_minute(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
):
    with TeamServer(tmp_path_factory.mktemp("workers"), "--workers", "3") as server:
        log_in(monkeypatch, ADMIN)
        users = Users(server.uri)
        users.add("bee", "reader", _PASSWORD)
        users.add("wasp", "reader", _PASSWORD)
        for _ in range(40):  # until every worker has seen them
            assert server.ask(("bee", _PASSWORD), "GET", _RUNS).ok
            assert server.ask(("wasp", _PASSWORD), "GET", _RUNS).ok
        users.remove("bee")
        users.set_password("wasp", _OTHER)
        removed = time.monotonic()
        time.sleep(31 - (time.monotonic() - removed))
        for _ in range(40):
            assert server.ask(("bee", _PASSWORD), "GET", _RUNS).status_code == 401
            assert server.ask(("wasp", _PASSWORD), "GET", _RUNS).status_code == 401
        assert server.ask(("wasp", _OTHER), "GET", _RUNS).ok
        assert "Traceback" not in server.log.read_text()
