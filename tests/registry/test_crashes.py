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
from tinybench.tracking.tracker import Tracker
from tinybench.tracking.versions import CHALLENGER, CHAMPION, Registry

STEPS = """
import os, signal, sys
from mlflow import MlflowClient
from tinybench.registry import policy, promotion
from tinybench.registry.candidates import Wanted
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
done = promotion.promote(Tracker.at(sys.argv[1]), Wanted(sys.argv[2]), policy.read())
print("whole", done.promoted)
"""


def dying_after(store, run_id, writes):
    words = [sys.executable, "-c", STEPS, store, run_id, str(writes)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ, timeout=200)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_killed_at_any_write_the_champion_is_the_old_one_or_the_new_one(store, runs, tmp_path):
    first = promote(Tracker.at(store), runs["good"])
    assert first.promoted
    there = Registry(MlflowClient(store), NAME)  # and the next one was refused before
    refused = there.register(runs["better"], evidence.model_of(Tracker.at(store), runs["better"]), "")
    there.point(CHALLENGER, refused.number)
    kept = Path(store.removeprefix("sqlite:///")).read_bytes()
    seen = set()
    for writes in range(20):
        file = tmp_path / f"{writes}.db"
        file.write_bytes(kept)
        code, said = dying_after(f"sqlite:///{file}", runs["better"], writes)
        registry = Registry(MlflowClient(f"sqlite:///{file}"), NAME)
        champion = registry.at(CHAMPION)
        seen.add(champion.run_id)
        assert champion.run_id in (runs["good"], runs["better"])
        moves = promotion.effective(promotion.decisions(registry), champion.number)
        assert moves[-1].version == champion.number
        if code == 0:
            assert "whole True" in said
            assert registry.aliases() == {CHAMPION: refused.number}
            break
        assert code == -9, said
        again = promote(Tracker.at(f"sqlite:///{file}"), runs["better"])
        assert again.promoted
        assert registry.aliases() == {CHAMPION: refused.number}
    else:
        raise AssertionError("it never came to its end")
    assert writes >= 4
    assert seen == {runs["good"], runs["better"]}


@pytest.mark.slow
def test_killed_at_any_write_of_the_first_promotion_there_is_none_or_the_new_one(store, runs, tmp_path):
    kept = Path(store.removeprefix("sqlite:///")).read_bytes()
    for writes in range(20):
        file = tmp_path / f"{writes}.db"
        file.write_bytes(kept)
        code, said = dying_after(f"sqlite:///{file}", runs["good"], writes)
        registry = Registry(MlflowClient(f"sqlite:///{file}"), NAME)
        champion = registry.at(CHAMPION)
        assert champion is None or champion.run_id == runs["good"]
        if code == 0:
            break
        assert code == -9, said
        assert promote(Tracker.at(f"sqlite:///{file}"), runs["good"]).promoted
    assert writes >= 4
