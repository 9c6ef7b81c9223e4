"""Journals that are sent in any order, in parts, twice, as copies and by senders that are killed, to a real store."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from journals import offline, runs_of
from mlflow.tracking import MlflowClient
from small_runs import artifacts, points
from stores import fresh

from tinybench.tracking import tags
from tinybench.tracking.journal.journal import Journal, find_journals
from tinybench.tracking.journal.marks import Marks
from tinybench.tracking.journal.replay import Replay
from tinybench.tracking.journal.sender import send_journal
from tinybench.tracking.journal.sent_counts import SentCounts
from tinybench.tracking.journal.stored_runs import StoredRuns, WaitError
from tinybench.tracking.run_writer import RunWriter
from tinybench.tracking.store_writer import StoreWriter


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fresh(tmp_path_factory)


@pytest.fixture(scope="module")
def client(store: str) -> MlflowClient:
    return MlflowClient(store)


def whole_run(writer: StoreWriter, name: str = "x") -> RunWriter:
    run = writer.create_run({"id": "0"}, name, {"kind": "test"})
    run.log_params({"lr": 0.1})
    run.log_metrics({"val/loss": 2.0, "odd": float("nan")}, 1, 1000)
    run.log_metrics({"val/loss": 1.0, "odd": float("inf")}, 2, 2000)
    run.set_tags({"state": "done"})
    run.log_text("hello", "notes/a.txt")
    run.end("FINISHED")
    return run


def check(store: str, client: MlflowClient, key: str) -> None:
    (run,) = runs_of(client, key)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"lr": "0.1"}
    assert run.data.tags["state"] == "done"
    assert set(points(store, run.info.run_id)) == {
        ("val/loss", 1, 1000, "2.0"),
        ("val/loss", 2, 2000, "1.0"),
        ("odd", 1, 1000, "nan"),
        ("odd", 2, 2000, repr(1.7976931348623157e308)),
    }
    assert set(points(store, run.info.run_id).values()) == {1}
    assert artifacts(store, run.info.run_id) == {"notes/a.txt"}


class Killed(Exception):
    """Stands for the death of a sender."""


class Fragile:
    """A client whose process dies after a number of writing calls."""

    def __init__(self, client: MlflowClient, calls: int, *, after_the_call: bool) -> None:
        self._client, self._calls, self._after = client, calls, after_the_call

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if not callable(attribute) or name.startswith(("search", "get", "list")):
            return attribute

        def call(*arguments: Any, **options: Any) -> Any:
            if self._calls == 0 and not self._after:
                raise Killed
            result = attribute(*arguments, **options)
            if self._calls == 0:
                raise Killed
            self._calls -= 1
            return result

        return call


@pytest.mark.parametrize("after_the_call", [False, True])
def test_a_sender_may_die_at_every_call(store: str, client: MlflowClient, after_the_call: bool) -> None:
    for calls in range(12):
        writer = offline(store)
        run = whole_run(writer)
        writer.close()
        (journal,) = find_journals()
        with suppress(Killed):
            Replay(journal, Fragile(client, calls, after_the_call=after_the_call)).send(journal.read()[0])
        counts = send_journal(Journal(journal.folder), client)
        assert counts.sent + counts.known == len(journal.read()[0]) or not journal.folder.exists()
        check(store, client, run.key)
        assert not [*find_journals()]


def test_counts_of_what_was_sent_and_known(store: str, client: MlflowClient, tmp_path: Path) -> None:
    writer = offline(store)
    whole_run(writer)
    writer.close()
    (journal,) = find_journals()
    shutil.copytree(journal.folder, tmp_path / "copy")
    assert send_journal(journal, client) == SentCounts(sent=7)
    assert send_journal(Journal(tmp_path / "copy"), client) == SentCounts(known=7)
    assert str(SentCounts(1, 2, 3)) == "1 sent, 2 known already, 3 refused"


def test_two_senders_that_create_a_run_in_one_moment_leave_one(
    store: str, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = offline(store)
    run = whole_run(writer)
    writer.close()
    (journal,) = find_journals()
    shutil.copytree(journal.folder, tmp_path / "copy")
    with monkeypatch.context() as patch:  # both have looked before either creates
        patch.setattr(StoredRuns, "find", lambda *_: None)
        first = Replay(Journal(tmp_path / "copy"), client)
        first.send(first.journal.read()[0][:1])
        second = Replay(journal, client)
        second.send(journal.read()[0])
    assert len(runs_of(client, run.key)) == 2
    first.send(first.journal.read()[0])
    for replay in (first, second):
        if replay.merge_duplicates():
            replay.send(replay.journal.read()[0])
    check(store, client, run.key)


def test_a_child_waits_for_its_parent_and_then_belongs_to_it(store: str, client: MlflowClient) -> None:
    above, below = offline(store), offline(store)
    parent = whole_run(above, "above")
    child = below.create_run({"run": parent.key}, "below", {tags.PARENT_RUN: parent.key})
    child.end("FINISHED")
    above.close()
    below.close()
    first, second = find_journals()
    with pytest.raises(WaitError, match="has not been sent yet"):
        send_journal(second, client)
    send_journal(first, client)
    send_journal(second, client)
    (stored,) = runs_of(client, child.key)
    assert stored.data.tags[tags.PARENT_RUN] == runs_of(client, parent.key)[0].info.run_id


def test_what_an_earlier_journal_says_of_the_state_is_outdated(
    store: str, client: MlflowClient, tmp_path: Path
) -> None:
    """A machine that is cut off sends what it logged after the run was resumed and finished on another one."""
    first = offline(store)
    run = first.create_run({"id": "0"}, "x", {})
    run.set_tags({"state": "first"})
    (journal,) = find_journals()
    Replay(journal, client).send(journal.read()[0])
    run.log_metrics({"late": 1.0}, 1, 1)
    run.set_tags({"state": "late"})
    run.end("KILLED", "The machine was taken away.")
    first.close()
    second = offline(store)
    (stored,) = runs_of(client, run.key)
    resumed = second.reopen_run(run.key, stored.info.run_id, stored.data.tags, stored.data.metrics)
    resumed.set_tags({"state": "second"})
    resumed.end("FINISHED")
    second.close()
    cut_off, other = find_journals()
    send_journal(other, client)
    send_journal(cut_off, client)
    (stored,) = runs_of(client, run.key)
    assert stored.info.status == "FINISHED"
    assert stored.data.tags["state"] == "second"
    assert tags.ERROR not in stored.data.tags
    assert stored.data.metrics == {"late": 1.0}


def test_a_sender_that_was_cut_off_leaves_the_state_to_who_resumed_the_run(store: str, client: MlflowClient) -> None:
    first = offline(store)
    run = first.create_run({"id": "0"}, "x", {})
    (journal,) = find_journals()
    cut_off = Replay(journal, client)
    cut_off.send(journal.read()[0])
    second = offline(store)
    resumed = second.reopen_run(run.key, runs_of(client, run.key)[0].info.run_id, {}, {})
    resumed.end("FINISHED")
    second.close()
    send_journal([*find_journals()][1], client)
    run.log_metrics({"late": 1.0}, 1, 1)
    run.end("KILLED", "The machine was cut off.")
    cut_off.runs.forget_marks()  # as after a minute without an answer
    cut_off.send(journal.read()[0])
    first.close()
    (stored,) = runs_of(client, run.key)
    assert stored.info.status == "FINISHED"
    assert tags.ERROR not in stored.data.tags
    assert stored.data.metrics == {"late": 1.0}


def test_an_entry_of_another_s_run_that_is_not_there_holds_nothing_up(store: str, client: MlflowClient) -> None:
    writer = offline(store)
    writer.amend_run("local-" + "0" * 32).end("KILLED")
    run = whole_run(writer)
    writer.close()
    (journal,) = find_journals()
    send_journal(journal, client)
    check(store, client, run.key)


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("", Marks([], -1, [])),
        ("a:3", Marks([], 3, [])),
        ("x:1 a:3 y:9", Marks(["x:1"], 3, ["y:9"])),
        ("x:1", Marks(["x:1"], -1, [])),
        ("a:x", Marks(["a:x"], -1, [])),
    ],
)
def test_marks_are_read_and_written(text: str, marks: Marks) -> None:
    assert Marks.parse(text, "a") == marks
    assert Marks.parse(marks.text("a", 5), "a").upto == 5
    assert Marks.parse(marks.text("a", 5), "a").after == marks.after
    assert Marks.parse(Marks([], 7, []).text("a", 5), "a").upto == 7


ACTIONS = st.sampled_from(["metric", "tag", "param", "text", "kill", "send", "half", "copy", "send copy", "end"])


def walk_through(store: str, client: MlflowClient, folder: Path, actions: list[str], calls: int) -> Walk:
    """Take all actions, then send everything that is left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYBENCH_STATE", str(folder / "state"))
        walk = Walk(store, client, folder, calls)
        for action in actions:
            walk.take(action)
        walk.send_everything()
    return walk


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTIONS, min_size=3, max_size=25), st.integers(0, 6))
@example(["tag", "copy", "kill", "tag", "send", "send copy"], 0)
@example(["text", "copy", "text", "text", "text", "send", "send copy"], 0)
@example(["metric", "end", "copy", "kill", "metric", "send", "copy", "send copy"], 0)
@example(["tag", "metric", "half", "tag", "copy", "half", "kill", "tag", "send copy"], 2)
def test_any_order_of_logging_dying_and_sending_ends_the_same(
    store: str, client: MlflowClient, tmp_path_factory: pytest.TempPathFactory, actions: list[str], calls: int
) -> None:
    walk = walk_through(store, client, tmp_path_factory.mktemp("walk"), actions, calls)
    assert walk.stored() == walk.logged()


@pytest.mark.slow
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ACTIONS, min_size=3, max_size=40), st.integers(0, 8))
def test_many_orders_of_logging_dying_and_sending_end_the_same(
    store: str, client: MlflowClient, tmp_path_factory: pytest.TempPathFactory, actions: list[str], calls: int
) -> None:
    walk = walk_through(store, client, tmp_path_factory.mktemp("walk"), actions, calls)
    assert walk.stored() == walk.logged()


class Walk:
    """One run, what was logged to it, and the copies that were made of its journals."""

    def __init__(self, store: str, client: MlflowClient, folder: Path, calls: int) -> None:
        self.store, self.client, self.folder, self.calls = store, client, folder, calls
        self.writer = offline(store)
        self.run = self.writer.create_run({"id": "0"}, "walk", {})
        self.step, self.copies = 0, 0
        self.points: set[tuple[str, int, int, str]] = set()
        self.tags: dict[str, str] = {}
        self.params: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.status = "RUNNING"

    def take(self, action: str) -> None:
        self.step += 1
        getattr(self, f"_{action.replace(' ', '_')}")()

    def _metric(self) -> None:
        self.run.log_metrics({"loss": self.step / 3}, self.step, 1000 * self.step)
        self.points.add(("loss", self.step, 1000 * self.step, repr(self.step / 3)))

    def _tag(self) -> None:
        self.run.set_tags({"state": self.step})
        self.tags["state"] = str(self.step)

    def _param(self) -> None:
        self.run.log_params({f"p{self.step}": self.step})
        self.params[f"p{self.step}"] = str(self.step)

    def _text(self) -> None:
        self.run.log_text(f"{self.step}", f"texts/{self.step % 2}.txt")
        self.texts[f"texts/{self.step % 2}.txt"] = str(self.step)

    def _end(self) -> None:
        self.run.end("FINISHED")
        self.status = "FINISHED"

    def _kill(self) -> None:
        """The process dies; another one resumes the run, by what the store or this machine says of it."""
        self.writer.close()
        stored = runs_of(self.client, self.run.key)
        run_id = stored[0].info.run_id if stored else self.run.key
        self.writer = offline(self.store)
        self.run = self.writer.reopen_run(self.run.key, run_id, {}, {})
        self.status = "RUNNING"

    def _send(self) -> None:
        for journal in find_journals():
            send_journal(journal, self.client)

    def _half(self) -> None:
        for journal in find_journals():
            with journal.send_lock.acquire(timeout=0):
                journal.reload()
                try:
                    Replay(journal, Fragile(self.client, self.calls, after_the_call=self.step % 2 == 0)).send(
                        journal.read()[0]
                    )
                except Killed:
                    return

    def _copy(self) -> None:
        for journal in find_journals():
            self.copies += 1
            shutil.copytree(journal.folder, self.folder / "copies" / f"{self.copies:03d}")

    def _send_copy(self) -> None:
        for folder in sorted((self.folder / "copies").glob("*")):
            try:
                send_journal(Journal(folder), self.client, keep=True)
            except WaitError:
                continue  # a copy of a later journal of a run that is not in the store yet

    def send_everything(self) -> None:
        self._send()
        self._send_copy()
        self._send()
        self.writer.close()

    def logged(self) -> dict[str, Any]:
        """What was logged, as `stored` returns it."""
        return {
            "points": dict.fromkeys(self.points, 1),
            "params": self.params,
            "state": self.tags.get("state"),
            "status": self.status,
            "texts": self.texts,
        }

    def stored(self) -> dict[str, Any]:
        """What the store has: points with the number of times, and texts of artifacts by path."""
        (run,) = runs_of(self.client, self.run.key)
        run_id = run.info.run_id
        paths = artifacts(self.store, run_id)
        return {
            "points": dict(points(self.store, run_id)),
            "params": run.data.params,
            "state": run.data.tags.get("state"),
            "status": run.info.status,
            "texts": {path: Path(self.client.download_artifacts(run_id, path)).read_text() for path in paths},
        }
