"""One process at a time copies to a store; one that is gone is not waited for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import stores
from mlflow.tracking import MlflowClient

from tinybench.core.errors import TrackingError
from tinybench.tracking import process_identity, tags
from tinybench.tracking.copying import copy_lock
from tinybench.tracking.copying.copy_lock import NAME, CopyLock, locked
from tinybench.tracking.copying.copy_report import CopyCallbacks
from tinybench.tracking.copying.store_side import StoreSide


@pytest.fixture
def side(tmp_path_factory: pytest.TempPathFactory) -> StoreSide:
    return StoreSide.open(stores.fresh(tmp_path_factory))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(copy_lock, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(copy_lock, "_BEAT_SECONDS", 0.05)


class Messages(CopyCallbacks):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def on_message(self, text: str) -> None:
        self.lines.append(text)


def names(side: StoreSide) -> list[str]:
    return [model.name for model in side.registered_models()]


def hold(side: StoreSide, process: str) -> None:
    side.client.create_registered_model(NAME, {tags.PROCESS: process, tags.COPY_OWNER: "somebody"})


def test_a_lock_is_a_name_that_is_gone_afterwards(side, quick):
    with locked(side, CopyCallbacks()) as lock:
        assert names(side) == [NAME]
        time.sleep(0.3)
        assert int(side.get_registered_model(NAME).tags[tags.HEARTBEAT]) > 0
        lock.require()
    assert names(side) == []


def test_a_second_process_waits_and_says_so(side, quick):
    messages, order = Messages(), []
    with locked(side, CopyCallbacks()):
        thread = threading.Thread(target=lambda: enter(side, messages, order))
        thread.start()
        time.sleep(0.5)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert [line.partition(" to ")[0] for line in messages.lines] == ["Another process copies"]


def enter(side: StoreSide, messages: Messages, order: list[str]) -> None:
    with locked(side, messages):
        order.append("second")


def test_a_process_of_this_host_that_is_gone_is_not_waited_for(side):
    *machine, number, started = process_identity.describe_process().split(" ")
    hold(side, " ".join([*machine, number, f"{int(started) + 1}"]))
    with locked(side, CopyCallbacks()):
        assert side.get_registered_model(NAME).tags[tags.COPY_OWNER] != "somebody"


def test_a_silent_process_of_another_host_is_waited_for_a_while(side, quick, monkeypatch):
    monkeypatch.setattr(copy_lock, "_SILENT_SECONDS", 0.5)
    hold(side, "elsewhere boot - 17 4")
    begin = time.monotonic()
    with locked(side, CopyCallbacks()):
        assert time.monotonic() - begin > 0.5


def test_a_process_of_another_machine_with_the_same_name_is_waited_for(side, quick, monkeypatch):
    monkeypatch.setattr(copy_lock, "_SILENT_SECONDS", 0.5)
    host, _, *rest = process_identity.describe_process().split(" ")
    hold(side, " ".join([host, "b7a5d0c4-0000-4000-8000-0123456789ab", *rest]))
    begin = time.monotonic()
    with locked(side, CopyCallbacks()):
        assert time.monotonic() - begin > 0.5


def test_a_lock_that_another_process_took_is_noticed_and_left_alone(side, quick):
    lock = CopyLock(side)
    lock.acquire(CopyCallbacks())
    MlflowClient(side.uri).set_registered_model_tag(NAME, tags.COPY_OWNER, "somebody")
    time.sleep(0.5)
    with pytest.raises(TrackingError, match="since this one did not answer"):
        lock.require()
    lock.release()
    assert names(side) == [NAME]
