"""How a person names a run: by id, by the beginning of it, by name, `last` and `best`."""

from __future__ import annotations

import getpass
import re

import pytest
from stores import fresh

from tinybench.core.errors import TrackingError
from tinybench.tracking import references, run_kinds, tags
from tinybench.tracking.tracker import Tracker


@pytest.fixture
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    return Tracker.at(fresh(tmp_path_factory))


def add_run(
    tracker: Tracker,
    name: str,
    *,
    kind: str = run_kinds.TRAINING,
    start: int,
    accuracy: float | None = None,
    user: str | None = None,
    test_hash: str = "t",
) -> str:
    run_tags = {tags.KIND: kind, tags.USER: user or getpass.getuser(), tags.TEST_HASH: test_hash}
    run = tracker.client.create_run("0", start, run_tags, name)
    if accuracy is not None:
        tracker.client.log_metric(run.info.run_id, references.BEST_METRIC, accuracy)
        tracker.client.set_terminated(run.info.run_id, "FINISHED")
    return str(run.info.run_id)


def test_a_run_is_known_by_its_id_its_beginning_and_its_name(tracker: Tracker) -> None:
    first = add_run(tracker, 'it\'s "one"', start=1)
    second = add_run(tracker, "two % of _", start=2)
    for reference in (first, first[:8], first[:20], 'it\'s "one"'):
        assert references.find_run_id(tracker, reference) == first
    assert references.find_run_id(tracker, "two % of _") == second
    with pytest.raises(TrackingError, match="at least the first 4 digits"):
        references.find_run_id(tracker, first[:3])
    short = add_run(tracker, "abc", start=3)
    assert references.find_run_id(tracker, "abc") == short


def test_an_ambiguous_name_lists_what_it_can_be(tracker: Tracker) -> None:
    runs = [add_run(tracker, "smallcnn on digits", start=number) for number in (1, 2)]
    with pytest.raises(TrackingError, match=r"can be 2 runs: .*Give an id") as error:
        references.find_run_id(tracker, "smallcnn on digits")
    assert all(run_id[:8] in str(error.value) for run_id in runs)
    assert str(error.value).index(runs[1][:8]) < str(error.value).index(runs[0][:8]), "the newest first"


def test_a_name_that_is_also_the_beginning_of_an_id_is_ambiguous(tracker: Tracker) -> None:
    run_id = add_run(tracker, "one", start=1)
    add_run(tracker, run_id[:6], start=2)
    with pytest.raises(TrackingError, match="can be 2 runs"):
        references.find_run_id(tracker, run_id[:6])


def test_last_is_the_newest_training_run_of_this_user(tracker: Tracker) -> None:
    add_run(tracker, "old", start=1)
    newest = add_run(tracker, "new", start=2)
    add_run(tracker, "transfer: new", kind=run_kinds.PHASE, start=3)
    add_run(tracker, "evaluate new", kind=run_kinds.EVALUATION, start=4)
    add_run(tracker, "of somebody else", start=5, user="somebody")
    assert references.find_run_id(tracker, "last") == newest


def test_best_has_the_highest_validation_accuracy_of_finished_runs(tracker: Tracker) -> None:
    add_run(tracker, "unfinished", start=1)
    add_run(tracker, "worse", start=2, accuracy=0.4)
    best = add_run(tracker, "best", start=3, accuracy=0.9)
    add_run(tracker, "trial 7", kind=run_kinds.TRIAL, start=4, accuracy=0.99)
    assert references.find_run_id(tracker, "best") == best


def test_best_is_ambiguous_among_runs_with_different_test_images(tracker: Tracker) -> None:
    digits = add_run(tracker, "on digits", start=1, accuracy=0.9)
    flowers = add_run(tracker, "on flowers", start=2, accuracy=0.5, test_hash="other")
    with pytest.raises(TrackingError, match="tested on different images") as error:
        references.find_run_id(tracker, "best")
    assert digits[:8] in str(error.value)
    assert flowers[:8] in str(error.value)


@pytest.mark.parametrize("reference", ["last", "best"])
def test_an_empty_store_has_no_last_and_no_best_run(tracker: Tracker, reference: str) -> None:
    with pytest.raises(TrackingError, match=rf"`{reference}` names no run"):
        references.find_run_id(tracker, reference)


def test_an_unknown_run_is_told_with_the_way_to_find_it(tracker: Tracker) -> None:
    run_id = references.find_run_id(tracker, "gone")
    with pytest.raises(TrackingError, match=re.escape("tinybench runs lists them")):
        tracker.get_run(run_id)
