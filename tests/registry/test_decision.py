"""What was decided is read back as it was written, and what did not happen does not count."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tinybench.registry.decision import (
    PROMOTE,
    REFUSE,
    ROLLBACK,
    Decision,
    champion_moves,
    champion_versions,
    history,
    withdrawn_runs,
)
from tinybench.registry.gates import GateResult
from tinybench.registry.policy import GATES


def made(action, before, version, at):
    verdicts = (GateResult("accuracy", False, "0.9", "more", {"low": -0.1}),)
    return Decision(
        action, "m", version, "run", before, "given", f"2026-01-01T00:00:{at:02}.0Z", "me@here", "c", 2, verdicts
    )


def test_a_decision_is_read_back_from_its_tags():
    first, second = made(PROMOTE, None, 1, 1), made(REFUSE, 1, 2, 2)
    tags = [second.version_tags(), {"other": "tag"}, first.version_tags()]
    assert history(tags, {}) == [first, second]
    assert history(tags, first.model_tags()) == [replace(first, carried_out=True), second]
    assert [each.gate for each in second.failed_gates] == ["accuracy"]


# As a store holds it since the first version of tinybench that promoted
STORED = (
    '{"action": "refuse", "name": "m", "version": 2, "run_id": "run", "before": 1, "chosen": "given", '
    '"at": "2026-01-01T00:00:02.0Z", "who": "me@here", "commit": "c", "looks": 2, "verdicts": [{"gate": "accuracy", '
    '"holds": false, "found": "0.9", "limit": "more", "figures": {"low": -0.1}}], "done": false, "whole": true}'
)
STORED_IN_SHORT = (
    '{"action": "refuse", "name": "m", "version": 2, "run_id": "run", "before": 1, "chosen": "given", '
    '"who": "me@here", "commit": "c", "looks": 2}'
)


def test_a_decision_is_stored_under_the_keys_that_stores_have_always_held():
    decision = made(REFUSE, 1, 2, 2)
    assert Decision.from_json(STORED) == decision
    assert decision.version_tags() == {f"tinybench.decision.{decision.decided_at}": STORED}
    assert decision.model_tags() == {f"tinybench.moved.{decision.decided_at}": STORED_IN_SHORT}


def test_a_tag_is_a_name_that_mlflow_takes():
    (key,) = made(PROMOTE, None, 1, 1).version_tags()
    assert "+" not in key
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:/ ")


def test_a_move_that_was_written_but_not_made_does_not_count():
    first, broken, second = made(PROMOTE, None, 1, 1), made(PROMOTE, 1, 3, 2), made(PROMOTE, 1, 2, 3)
    assert champion_moves([first, broken, second], 2) == [first, second]
    assert champion_moves([first, broken], 1) == [first]
    assert champion_moves([first, broken], 3) == [first, broken]


def test_withdrawn_is_what_was_rolled_back_and_has_not_come_back_since():
    steps = ((PROMOTE, None, 1), (PROMOTE, 1, 2), (ROLLBACK, 2, 1), (PROMOTE, 1, 3))
    moves = [replace(made(*step, at), run_id=f"run{step[-1]}") for at, step in enumerate(steps)]
    assert withdrawn_runs(moves) == {"run2"}
    assert withdrawn_runs([*moves, replace(made(ROLLBACK, 3, 2, 5), run_id="run2")]) == {"run3"}
    assert withdrawn_runs([*moves, replace(made(PROMOTE, 3, 2, 5), run_id="run2")]) == set()


def test_what_jumps_over_others_withdraws_them_and_what_is_undone_withdraws_nothing():
    moves = [made(PROMOTE, None, 1, 1), made(PROMOTE, 1, 2, 2), made(PROMOTE, 2, 3, 3)]
    moves = [replace(each, run_id=f"run{each.version}") for each in moves]
    back = replace(made(ROLLBACK, 3, 1, 4), run_id="run1")
    assert withdrawn_runs([*moves, back]) == {"run2", "run3"}
    undone = replace(made(ROLLBACK, 1, 3, 5), run_id="run3")
    assert withdrawn_runs([*moves[:1], replace(moves[2], previous=1), replace(back, previous=3), undone]) == set()


def test_moves_of_a_deleted_version_are_known_by_the_name():
    first, second = made(PROMOTE, None, 1, 1), made(PROMOTE, 1, 2, 2)
    found = history([first.version_tags()], first.model_tags() | second.model_tags() | {"tinybench": "1"})
    assert [each.version for each in found] == [1, 2]
    assert (found[1].complete, found[1].carried_out) == (False, True)
    assert (found[1].gate_results, found[1].disabled_gates) == ((), [])
    assert champion_versions(champion_moves(found, None)) == [1, 2]


def test_gates_that_were_off_are_known():
    assert made(PROMOTE, None, 1, 1).disabled_gates == [gate for gate in GATES if gate != "accuracy"]
    assert made(ROLLBACK, 2, 1, 1).disabled_gates == []


def test_what_was_carried_out_counts_whoever_moved_the_alias_since():
    first, second = made(PROMOTE, None, 1, 1), made(PROMOTE, 1, 2, 2)
    known = history([first.version_tags(), second.version_tags()], first.model_tags() | second.model_tags())
    assert [each.carried_out for each in known] == [True, True]
    assert len(champion_moves(known, None)) == len(champion_moves(known, 1)) == 2


def test_rollbacks_take_back_one_champion_after_another():
    moves = [made(PROMOTE, None, 1, 1), made(PROMOTE, 1, 2, 2), made(PROMOTE, 2, 1, 3)]
    assert champion_versions(moves) == [1, 2, 1]
    moves.append(made(ROLLBACK, 1, 2, 4))
    assert champion_versions(moves) == [1, 2]
    moves.append(made(ROLLBACK, 2, 1, 5))
    assert champion_versions(moves) == [1]
    assert champion_versions([*moves, made(ROLLBACK, 1, 2, 6)]) == [1, 2]


def test_a_refusal_moves_nothing():
    first, refused, back = made(PROMOTE, None, 1, 1), made(REFUSE, 1, 2, 2), made(ROLLBACK, 1, 1, 3)
    assert refused not in champion_moves([first, refused, back], 1)


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=12))
def test_whatever_crashed_on_the_way_the_moves_lead_to_the_champion(steps):
    champion, decisions = None, []
    for at, (version, crashed) in enumerate(steps):
        if version == champion:
            continue
        decisions.append(made(PROMOTE, champion, version, at))
        if not crashed:
            champion = version
    moves = champion_moves(decisions, champion)
    assert champion == (moves[-1].version if moves else None)
    assert all(one.version == other.previous for one, other in pairwise(moves))
