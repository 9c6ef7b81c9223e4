"""Several that move a champion at once: one wins, the others are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from champions import NAME, promote
from mlflow import MlflowClient

from tinybench.core.errors import TrackingError
from tinybench.registry import locks, policy, promotion
from tinybench.tracking.model_versions import CHAMPION, RegisteredModel
from tinybench.tracking.run_writer import RunWriter


def test_another_machine_that_was_faster_is_told_just_before_the_move(tracker, runs, two, monkeypatch):
    text = RunWriter.log_text

    def meanwhile(run, *given):
        two.set_alias(CHAMPION, 1)  # which sees no lock of ours
        text(run, *given)

    monkeypatch.setattr(RunWriter, "log_text", meanwhile)
    Path("gates.toml").write_text("".join(f"[{gate}]\noff = true\n" for gate in policy.GATES))
    with pytest.raises(TrackingError, match="became version 1 meanwhile: judge again"):
        promote(tracker, runs["bad"])
    assert two.aliases() == {CHAMPION: 1}


def test_a_store_has_one_lock_however_its_path_is_written(tracker, two, monkeypatch):
    file = Path(two.client.tracking_uri.removeprefix("sqlite:///"))
    monkeypatch.chdir(file.parent)
    other = RegisteredModel(MlflowClient(f"sqlite:///{file.name}"), NAME)
    with locks.lock_model(two), pytest.raises(TrackingError, match="Another process decides"), locks.lock_model(other):
        pass


def test_two_at_once_one_is_told(tracker, runs, two):
    with locks.lock_model(two), pytest.raises(TrackingError, match="Another process decides about tinybench-digits"):
        promotion.rollback(tracker, NAME)


def test_a_champion_that_moved_while_another_was_judged_is_told(tracker, runs, two, monkeypatch):
    judged = promotion.gates.apply

    def meanwhile(*given):
        two.set_alias(CHAMPION, 1)
        return judged(*given)

    monkeypatch.setattr(promotion.gates, "apply", meanwhile)
    with pytest.raises(TrackingError, match="became version 1 meanwhile: judge again"):
        promote(tracker, runs["bad"])
    assert two.aliases() == {CHAMPION: 1}
