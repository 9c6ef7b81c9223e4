"""Killed at any write, a promotion leaves the old champion or the new one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from champions import NAME, promote
from mlflow import MlflowClient

from tinybench.registry import evidence, promotion
from tinybench.tracking.model_versions import CHALLENGER, CHAMPION, RegisteredModel
from tinybench.tracking.tracker import Tracker

STEPS = """
import os, signal, sys
from mlflow import MlflowClient
from tinybench.registry import policy, promotion
from tinybench.registry.candidates import CandidateQuery
from tinybench.tracking.tracker import Tracker

WRITES = ("create_registered_model", "create_model_version", "set_model_version_tag", "set_registered_model_tag",
          "set_registered_model_alias", "delete_registered_model_alias", "log_text", "log_artifact",
          "set_experiment_tag")
left = int(sys.argv[3])

def dying(write):
    def call(*given, **words):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return write(*given, **words)
    return call

for name in WRITES:
    setattr(MlflowClient, name, dying(getattr(MlflowClient, name)))
done = promotion.promote(Tracker.at(sys.argv[1]), CandidateQuery(sys.argv[2]), policy.read())
print("whole", done.promoted)
"""


def dying_after(store, run_id, writes):
    words = [sys.executable, "-c", STEPS, store, run_id, str(writes)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ, timeout=200)
    return done.returncode, done.stdout + done.stderr


def walked(store, run_id, folder):
    """A promotion killed before its first write, its second and so on, each in a copy of a store; at last a whole one.

    Gives each copy's address, its registered model and whether the promotion was whole.
    """
    kept = Path(store.removeprefix("sqlite:///")).read_bytes()
    for writes in range(20):
        file = folder / f"{writes}.db"
        file.write_bytes(kept)
        code, said = dying_after(f"sqlite:///{file}", run_id, writes)
        assert code in (0, -9), said
        yield f"sqlite:///{file}", RegisteredModel(MlflowClient(f"sqlite:///{file}"), NAME), code == 0
        if code == 0:
            assert "whole True" in said
            assert writes >= 4
            return
    raise AssertionError("it never came to its end")


@pytest.mark.slow
def test_killed_at_any_write_the_champion_is_the_old_one_or_the_new_one(store, runs, tmp_path):
    assert promote(Tracker.at(store), runs["good"]).promoted
    there = RegisteredModel(MlflowClient(store), NAME)  # and the next one was refused before
    refused = there.register(runs["better"], evidence.get_model_uri(Tracker.at(store), runs["better"]), "")
    there.set_alias(CHALLENGER, refused.number)
    seen = set()
    for copy, registry, whole in walked(store, runs["better"], tmp_path):
        champion = registry.get_by_alias(CHAMPION)
        seen.add(champion.run_id)
        moves = promotion.champion_moves(promotion.decisions(registry), champion.number)
        assert moves[-1].version == champion.number
        if not whole:
            assert promote(Tracker.at(copy), runs["better"]).promoted
        assert registry.aliases() == {CHAMPION: refused.number}
    assert seen == {runs["good"], runs["better"]}


@pytest.mark.slow
def test_killed_at_any_write_of_the_first_promotion_there_is_none_or_the_new_one(store, runs, tmp_path):
    for copy, registry, whole in walked(store, runs["good"], tmp_path):
        champion = registry.get_by_alias(CHAMPION)
        assert champion is None or champion.run_id == runs["good"]
        if not whole:
            assert promote(Tracker.at(copy), runs["good"]).promoted
        assert registry.get_by_alias(CHAMPION).run_id == runs["good"]
