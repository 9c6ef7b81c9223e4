"""Registered models under test: how their runs are trained, and by which limits they are judged."""

from __future__ import annotations

from tinybench.registry import policy, promotion
from tinybench.registry.candidates import CandidateQuery

GOOD = {"recipe": "quickstart", "phases": "scratch", "scratch.epochs": 4, "scratch.lr": 3e-3, "data.per_class": 60}
GOOD |= {"data.test_per_class": 20, "track.pictures": False, "track.costs": "off"}
NAME = "tinybench-digits"
# The same images, a few of each class; timings of a busy machine are another test's, and each reload is a process
LIMITS = "[latency]\noff = true\n[calibration]\noff = true\n[reload]\noff = true\n"
RELOADED = LIMITS.partition("[reload]")[0]


def promote(tracker, run_id=None, **words):
    return promotion.promote(tracker, CandidateQuery(run_id), policy.read(), **words)
