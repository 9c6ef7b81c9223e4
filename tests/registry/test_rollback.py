"""Going back: to the champion before, or to one by its number; and what the history knows of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from champions import LIMITS, NAME, promote
from click.testing import CliRunner

from tinybench.cli import root
from tinybench.core.errors import TrackingError
from tinybench.registry import policy, promotion
from tinybench.tracking.model_versions import CHAMPION


def test_rollback_goes_back_one_champion_after_another(tracker, runs, two):
    Path("gates.toml").write_text(LIMITS + "[accuracy]\noff = true\n[classes]\noff = true\n")
    promote(tracker, runs["bad"])
    assert promotion.rollback(tracker, NAME).version == 2
    assert promotion.rollback(tracker, NAME).version == 1
    assert two.get_by_alias(CHAMPION).run_id == runs["good"]
    with pytest.raises(
        TrackingError, match="No version that still exists was champion of tinybench-digits before version 1"
    ):
        promotion.rollback(tracker, NAME)
    assert promotion.rollback(tracker, NAME, to_version=3).version == 3
    assert [each.action for each in promotion.decisions(two)] == ["promote"] * 3 + ["rollback"] * 3


def test_a_rollback_to_what_is_not_there_moves_nothing(tracker, two):
    with pytest.raises(TrackingError, match="tinybench-digits has no version 9, but 1, 2"):
        promotion.rollback(tracker, NAME, to_version=9)
    with pytest.raises(TrackingError, match="Version 2 of tinybench-digits is the champion already"):
        promotion.rollback(tracker, NAME, to_version=2)
    assert two.get_by_alias(CHAMPION).number == 2


def test_one_champion_twice_is_rolled_back_through_the_other(tracker, runs, two):
    Path("gates.toml").write_text("".join(f"[{gate}]\noff = true\n" for gate in policy.GATES))
    promote(tracker, runs["good"])
    assert [promotion.rollback(tracker, NAME).version for _ in range(2)] == [2, 1]
    with pytest.raises(TrackingError, match="No version that still exists was champion"):
        promotion.rollback(tracker, NAME)


def history(store):
    return (
        CliRunner().invoke(root.cli, ["history", "--uri", store], standalone_mode=False, env={"COLUMNS": "250"}).output
    )


@pytest.fixture
def three(tracker, runs, two):
    """A third champion, by the run that learned nothing."""
    Path("gates.toml").write_text("".join(f"[{gate}]\noff = true\n" for gate in policy.GATES))
    promote(tracker, runs["bad"])
    Path("gates.toml").write_text(LIMITS)
    return two


def test_the_moves_of_a_deleted_version_stay_in_the_history(tracker, store, two):
    tracker.client.delete_model_version(NAME, "2")
    said = history(store)
    assert "its version has been deleted" in said
    assert "Deleted versions: 2. The results of their gates are in the folder registry/ of their runs." in said


def test_a_champion_that_was_deleted_can_be_replaced_by_a_former_one_and_by_nothing_else(tracker, runs, two):
    tracker.client.delete_model_version(NAME, "2")
    assert two.aliases() == {}
    with pytest.raises(TrackingError, match="has lost its champion, version 2: bring a former one back by tinybench"):
        promote(tracker, runs["bad"])
    done = promotion.rollback(tracker, NAME)
    assert (done.version, done.previous) == (1, None)
    assert two.get_by_alias(CHAMPION).number == 1
    found = promote(tracker, dry_run=True)
    assert found.candidate.run_id == runs["good"]  # and not the one whose version was deleted, though it is better


def test_where_the_only_champion_was_deleted_no_other_takes_its_place_unseen(tracker, runs, two):
    for version in ("1", "2"):
        tracker.client.delete_model_version(NAME, version)
    with pytest.raises(TrackingError, match=r"has lost its champion, version 2: .* or begin another model by --name"):
        promote(tracker, runs["bad"])
    with pytest.raises(TrackingError, match="No version that still exists was champion of tinybench-digits: name one"):
        promotion.rollback(tracker, NAME)


def test_what_was_rolled_back_does_not_come_back_when_its_successor_is_deleted(tracker, three):
    assert promotion.rollback(tracker, NAME).version == 2
    tracker.client.delete_model_version(NAME, "2")
    assert promotion.rollback(tracker, NAME).version == 1


def test_an_alias_that_was_moved_by_hand_is_gone_back_from_to_the_last_champion(tracker, runs, two):
    promote(tracker, runs["bad"])
    two.set_alias(CHAMPION, 3)
    assert promotion.rollback(tracker, NAME).version == 2


def test_a_name_that_never_had_a_champion_has_nothing_to_go_back_to(tracker):
    tracker.client.create_registered_model(NAME)
    with pytest.raises(TrackingError, match="has no champion and never had one: promote a run first"):
        promotion.rollback(tracker, NAME)
