"""Processes of this machine, alive, dead and with the same number as another one."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from tinybench.tracking import process_identity
from tinybench.tracking.process_identity import describe_process, is_alive, is_same_boot, is_same_machine


def child_and_its_identity() -> tuple[subprocess.Popen[str], str]:
    code = "from tinybench.tracking.process_identity import describe_process as d; print(d(), flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    return child, child.stdout.readline().strip()


def test_this_process_is_alive_on_this_machine() -> None:
    assert is_same_machine(describe_process())
    assert is_alive(describe_process())
    assert str(os.getpid()) in describe_process().split()


def test_another_process_is_alive_until_it_is_killed() -> None:
    child, identity = child_and_its_identity()
    assert is_alive(identity)
    child.kill()
    deadline = time.monotonic() + 10
    while is_alive(identity):  # a zombie, which nobody has waited for, is dead
        assert time.monotonic() < deadline
    child.communicate()
    assert not is_alive(identity)


@pytest.mark.parametrize("field", [1, 4], ids=["another boot", "another start"])
def test_a_number_that_another_process_has_is_not_alive(field: int) -> None:
    fields = describe_process().split(" ")
    fields[field] = "123"
    assert is_same_machine(" ".join(fields))
    assert not is_alive(" ".join(fields))


@pytest.mark.parametrize("field", [0, 2], ids=["another host", "another container"])
def test_another_machine_is_told(field: int) -> None:
    fields = describe_process().split(" ")
    fields[field] = "another"
    assert not is_same_machine(" ".join(fields))


def test_another_boot_of_a_machine_is_told() -> None:
    """Machines are often called localhost, and each first process namespace of Linux has one name."""
    host, _, *rest = describe_process().split(" ")
    assert is_same_boot(describe_process())
    assert not is_same_boot(" ".join([host, "b7a5d0c4-0000-4000-8000-0123456789ab", *rest]))


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root becomes another user")
def test_a_process_of_another_user_that_is_hidden_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """As /proc shows it that is mounted with hidepid: it has no folder, but a signal is forbidden and not lost."""
    child, identity = child_and_its_identity()

    def hide(number: int) -> None:
        raise psutil.NoSuchProcess(number)

    monkeypatch.setattr(psutil, "Process", hide)
    asking = os.fork()
    if asking == 0:
        os.setresuid(65534, 65534, 65534)
        os._exit(0 if is_alive(identity) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(asking, 0)[1]) == 0
    host, _, *rest = identity.split(" ")
    assert not is_alive(" ".join([host, "another-boot", *rest]))
    child.communicate("\n")
    assert not is_alive(identity)


def test_a_clock_that_is_set_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    child, identity = child_and_its_identity()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 3600)
    monkeypatch.setattr(psutil, "boot_time", lambda: 0.0)
    assert process_identity.is_alive(identity)
    child.communicate("\n")
