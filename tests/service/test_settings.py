"""Which settings of the tracking server are refused, and what is told about the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from tinybench.cli.server_commands import server
from tinybench.core.errors import ConfigError
from tinybench.service.settings import ServerSettings, check, is_loopback, read_secret, with_database_password

PASSWORD = "kR4-vq9Zt_wm2Xp"
ONE_PERSON = ServerSettings("sqlite:///mlflow.db", "mlartifacts")
TEAM = ServerSettings(
    "postgresql://tinybench@db/tinybench", "artifacts", host="0.0.0.0", workers=4, auth=True,
    admin_password=PASSWORD, allowed_hosts=("mlflow.lab",),
)  # fmt: skip


def test_one_person_on_this_machine_is_told_nothing():
    assert check(ONE_PERSON) == []


def test_a_team_is_told_that_the_port_is_not_encrypted():
    (notice,) = check(TEAM)
    assert notice.startswith("Passwords travel unencrypted to this port")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"host": "192.168.1.7", "auth": False, "admin_password": None},
            "`--host`: 192.168.1.7 is reached by other machines",
        ),
        (
            {"host": "mlflow.lab", "auth": False, "admin_password": None},
            "`--host`: mlflow.lab is reached by other machines",
        ),
        ({"allowed_hosts": ()}, "`--host`: 0.0.0.0 needs --allowed-hosts"),
        ({"allowed_hosts": ("a b",)}, "`--allowed-hosts`: expected names such as mlflow.lab, got 'a b'"),
        ({"admin_password": None}, "Missing password of the administrator"),
        ({"admin_password": "short"}, "expected at least 12 characters, got 5"),
        ({"admin_password": "password1234"}, "one that everybody tries first"),
        ({"admin_password": "ChangeMe1234"}, "one that everybody tries first"),
        ({"admin_password": "aaaaaaaaaaaaaaaa"}, "one that everybody tries first"),
        ({"admin_password": "tinybench-team", "admin_username": "Tinybench-Team"}, "one that everybody tries first"),
        ({"secret_key": "short"}, "`--secret-key-file`: expected at least 16 characters"),
        ({"backend_store_uri": "http://elsewhere"}, "`--backend-store-uri`: expected sqlite:///FILE or postgresql://"),
        ({"artifacts_destination": ""}, "`--artifacts-destination`: it is empty"),
        ({"backend_store_uri": "./mlruns"}, "`--backend-store-uri`: expected sqlite:///FILE or postgresql://"),
    ],
)
def test_what_is_not_safe_is_refused(changes, message):
    with pytest.raises(ConfigError) as caught:
        check(replace(TEAM, **changes))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "::", "mlflow.lab"])
def test_an_address_for_other_machines_needs_passwords(host: str):
    with pytest.raises(ConfigError, match=f"`--host`: {host} is reached by other machines"):
        check(replace(ONE_PERSON, host=host))


@pytest.mark.parametrize("name", ["admin_username", "admin_password", "secret_key"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_what_has_an_effect_only_with_passwords_starts_no_server_without(name: str, host: str):
    with pytest.raises(ConfigError, match=r"^--[a-z-]+ .* is given, but without --auth .* Add --auth"):
        check(replace(ONE_PERSON, host=host, **{name: "admin"}))


def test_the_command_knows_what_was_given(tmp_path: Path):
    """Also a name that is the default one, and variables of the environment."""
    (tmp_path / "admin.txt").write_text(PASSWORD)
    for words, variables in (
        (["--admin-username", "admin"], {}),
        (["--admin-password-file", str(tmp_path / "admin.txt")], {}),
        (["--secret-key-file", str(tmp_path / "admin.txt")], {}),
        ([], {"MLFLOW_AUTH_ADMIN_USERNAME": "admin"}),
        ([], {"MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD}),
    ):
        result = CliRunner().invoke(server, words, env=variables)
        assert isinstance(result.exception, ConfigError), result.output
        assert "Add --auth" in str(result.exception)


def test_the_message_of_a_wrong_store_hides_its_password():
    with pytest.raises(ConfigError) as caught:
        check(replace(TEAM, backend_store_uri="mongodb://me:hush@host/x"))
    assert "hush" not in str(caught.value)


def test_any_host_name_is_told():
    notices = check(replace(TEAM, allowed_hosts=("*",)))
    assert any("DNS rebinding" in notice for notice in notices)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_addresses_of_this_machine_alone(host):
    assert is_loopback(host)
    assert check(replace(ONE_PERSON, host=host)) == []


@given(st.ip_addresses().map(str))
def test_every_other_address_needs_passwords(host):
    if not is_loopback(host):
        with pytest.raises(ConfigError):
            check(replace(ONE_PERSON, host=host))


def test_a_secret_is_read_from_its_file_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SECRET", "of the environment")
    (tmp_path / "secret").write_text("of the file\n")
    assert read_secret("--x", tmp_path / "secret", "SECRET") == "of the file"
    assert read_secret("--x", None, "SECRET") == "of the environment"
    monkeypatch.setenv("SECRET", "")
    assert read_secret("--x", None, "SECRET") is None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_a_secret(tmp_path: Path, encoding):
    (tmp_path / "secret").write_text("of the file\r\n", encoding)
    assert read_secret("--x", tmp_path / "secret", "SECRET") == "of the file"


@pytest.mark.parametrize(("content", "reason"), [(None, "No such file"), (b"", "is empty"), (b"\xff\xff", "not text")])
def test_a_secret_that_cannot_be_read(tmp_path: Path, content, reason):
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"Invalid value for `--x`.*{reason}"):
        read_secret("--x", file, "SECRET")


def test_a_password_is_put_into_the_address_of_the_database():
    settings = with_database_password(TEAM, "a@b/c:d")
    assert settings.backend_store_uri == "postgresql://tinybench:a%40b%2Fc%3Ad@db/tinybench"
    assert with_database_password(TEAM, None) == TEAM


def test_a_password_needs_a_user():
    with pytest.raises(ConfigError, match=r"^A password of a database is given .* but sqlite:///mlflow.db has no user"):
        with_database_password(ONE_PERSON, "x")


def test_secrets_are_not_shown():
    shown = repr(replace(TEAM, secret_key="k" * 20, backend_store_uri="postgresql://u:hush@db/x"))
    assert PASSWORD not in shown
    assert "k" * 20 not in shown
    assert "hush" not in shown
