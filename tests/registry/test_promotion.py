"""Promotion in a real store, with runs that were trained: who is chosen, who is refused, and what is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import stores
from champions import LIMITS, NAME, RELOADED, promote
from click.testing import CliRunner
from PIL import Image
from recorded_events import RecordedEvents

from tinybench.cli import root
from tinybench.core.errors import ConfigError, TrackingError
from tinybench.registry import policy, promotion
from tinybench.registry.candidates import Candidate, CandidateQuery
from tinybench.registry.decision import Decision
from tinybench.registry.gates import GateResult
from tinybench.tracking import logged_model, model_versions, provenance, run_record, stored_predictions
from tinybench.tracking.model_versions import CHALLENGER, CHAMPION, RegisteredModel
from tinybench.tracking.tracker import Tracker


def test_the_best_by_validation_images_is_chosen(tracker, runs):
    found = promote(tracker, dry_run=True)
    values = {name: tracker.get_run(run).data.metrics["best/val_accuracy"] for name, run in runs.items()}
    assert values["bad"] < min(values["good"], values["better"])
    assert found.candidate.run_id == runs[max(values, key=values.__getitem__)]
    assert "the best of 3 runs" in found.candidate.selection


def test_a_run_on_other_test_images_is_not_chosen_beside_a_champion(tracker, runs, two):
    for name in ("good", "bad"):
        tracker.client.set_tag(runs[name], "data.test_hash", "other")
    found = promote(tracker, dry_run=True)
    assert found.already_champion
    assert (
        "the best of 1 runs; excluded because they were tested on other images than the champion: 2"
        in found.candidate.selection
    )
    two.set_alias(CHAMPION, 1)
    tracker.client.set_tag(runs["good"], "data.test_hash", "gone")
    with pytest.raises(TrackingError, match=r"None of the 2 finished runs .* has the champion's test"):
        promotion.promote(tracker, CandidateQuery(search=f"attributes.run_id != '{runs['good']}'"), policy.read())


def test_a_run_that_was_refused_beside_this_champion_is_told(tracker, runs, two):
    promote(tracker, runs["bad"])
    found = promote(tracker, runs["bad"], dry_run=True)
    assert "; already refused against this champion on 20" in found.decision.selection
    assert found.decision.test_set_uses == 4


def test_the_run_of_a_phase_stands_for_the_whole_and_that_is_told(tracker, runs):
    (phase,) = tracker.client.search_runs(
        [tracker.get_run(runs["good"]).info.experiment_id], f"tags.`mlflow.parentRunId` = '{runs['good']}'"
    )
    found = promote(tracker, phase.info.run_id, dry_run=True)
    assert found.candidate.run_id == runs["good"]
    assert found.candidate.selection == f"given by its id, as the run that {phase.info.run_id} is a part of"
    whole = promote(tracker, runs["good"][:8], dry_run=True).candidate.selection
    assert whole.startswith("given by its id"), whole
    assert "part of" not in whole


def test_a_champion_whose_files_are_gone_can_be_replaced_by_who_says_so(tracker, runs, two):
    gone = tracker.get_run(runs["better"]).data.tags["tinybench.model_uri"]
    tracker.client.delete_logged_model(gone.removeprefix("models:/"))
    refused = promote(tracker, runs["good"])
    assert not refused.promoted
    found = {each.gate: each.observed for each in refused.decision.failed_gates}
    assert "not compared: the champion is lost: No model" in found["accuracy"]
    Path("gates.toml").write_text("".join(f"[{gate}]\noff = true\n" for gate in policy.GATES))
    assert promote(tracker, runs["good"]).promoted
    assert two.get_by_alias(CHAMPION).run_id == runs["good"]


def test_the_package_that_is_stored_with_the_model_is_what_is_loaded_again(tracker, runs):
    with logged_model.download(tracker.get_run(runs["good"]).data.tags["tinybench.model_uri"]) as files:
        assert files.run_reload_check()[1].shape == (32, 10)
        (stored,) = files.folder.glob("code/tinybench/inference/classifier.py")
        stored.write_text("raise RuntimeError('broken since')")
        with pytest.raises(TrackingError, match="broken since"):
            files.run_reload_check()


def test_a_dry_run_registers_nothing_but_is_a_look_at_the_test_images(tracker, runs):
    assert promote(tracker, dry_run=True).promoted
    assert not RegisteredModel(tracker.client, NAME).exists
    assert promote(tracker, runs["good"]).decision.test_set_uses == 2
    assert promote(tracker, runs["good"], name="another").decision.test_set_uses == 3


def test_latency_is_measured_in_the_same_invocation_in_turn_with_the_champion(tracker, runs, two):
    off = "".join(f"[{gate}]\noff = true\n" for gate in policy.GATES if gate != "latency")
    Path("gates.toml").write_text(off + "[latency]\nrounds = 1\nmax_ratio = 1e-9\n")
    told = RecordedEvents()
    done = promote(tracker, runs["good"], dry_run=True, callbacks=told)
    assert told.lines == [f"Measuring latency, round 1 of 1: {name} …" for name in ("candidate", "champion")]
    (found,) = done.decision.gate_results
    assert (found.gate, found.passed) == ("latency", False)  # nothing is a milliard times as fast
    assert 0 < found.metrics["value"] < 1000
    assert 0.01 < found.metrics["ratio"] < 100


def test_a_damaged_champion_is_as_good_as_lost_and_left_alone_where_nothing_compares(tracker, runs, two, monkeypatch):
    opened = logged_model.download

    def damaged(model):
        if model == tracker.get_run(runs["better"]).data.tags["tinybench.model_uri"]:
            raise ValueError("Expecting value: line 1")
        return opened(model)

    monkeypatch.setattr(logged_model, "download", damaged)
    refused = promote(tracker, runs["good"])
    assert "cannot be read: ValueError: Expecting value" in refused.decision.failed_gates[0].observed
    Path("gates.toml").write_text("".join(f"[{gate}]\noff = true\n" for gate in policy.GATES))
    done = promote(tracker, runs["good"])
    assert done.promoted
    assert done.decision.disabled_gates == list(policy.GATES)
    with pytest.raises(TrackingError, match="cannot be read"):
        promote(tracker, runs["better"])


def test_what_was_rolled_back_is_not_chosen_again_unless_by_its_id(tracker, runs, two):
    promotion.rollback(tracker, NAME)
    best = max(runs, key=lambda name: tracker.get_run(runs[name]).data.metrics["best/val_accuracy"])
    assert best == "better"
    found = promote(tracker, dry_run=True)
    assert found.candidate.run_id == runs["good"]
    assert "excluded because they were rolled back: 1" in found.candidate.selection
    assert promote(tracker, runs["better"]).promoted


def test_without_a_state_folder_it_is_told_at_once(tracker, runs, monkeypatch):
    monkeypatch.setenv("TINYBENCH_STATE", "/dev/null/here")
    with pytest.raises(TrackingError, match="Cannot lock anything in /dev/null/here/registry: Not a directory"):
        promote(tracker, runs["good"])


def test_the_first_becomes_champion_with_a_card_and_a_decision(tracker, runs):
    Path("gates.toml").write_text(RELOADED)
    done = promote(tracker, runs["good"])
    assert done.promoted
    registry = RegisteredModel(tracker.client, NAME)
    version = registry.get_by_alias(CHAMPION)
    assert (version.number, version.run_id) == (1, runs["good"])
    phase = run_record.find_final_run(tracker, runs["good"]).info.run_id
    with Image.open(tracker.client.download_artifacts(phase, "registry/card.png")) as picture:
        assert max(picture.size) <= 800
    for words in (
        "# smallcnn on digits",
        "95 % interval",
        "## Limits",
        "## Lineage",
        runs["good"],
        f"](get-artifact?path=figures/confusion_matrix.png&run_uuid={phase})",
        f"(get-artifact?path=registry/card.png&run_uuid={phase})",
    ):
        assert words in version.description
    (decision,) = promotion.decisions(registry)
    assert decision == replace(done.decision, carried_out=True)
    assert decision.test_set_uses == 1
    file = tracker.client.list_artifacts(runs["good"], "registry")[-1]  # the store's copies share their files
    kept = json.loads(Path(tracker.client.download_artifacts(runs["good"], file.path)).read_text())
    assert kept["at"] == decision.decided_at
    assert kept["action"] == "promote"
    assert {each["gate"] for each in kept["verdicts"]} == set(policy.GATES) - {"latency", "calibration"}


def test_what_is_registered_answers_as_the_run_did(tracker, two):
    champion = two.get_by_alias(CHAMPION)
    with logged_model.download(champion.uri) as files:
        rows, given = files.run_reload_check()
        temperature = files.info.temperature
        assert files.load_classifier().version == str(champion.number)
    kept = stored_predictions.read_predictions(tracker, run_record.find_final_run(tracker, champion.run_id), "test")
    places = [kept.rows.tolist().index(row) for row in rows]
    assert abs(kept.probabilities(temperature)[places] - given).max() < 1e-3
    assert len(rows) == 32


def test_a_run_whose_predictions_and_accuracy_disagree_is_not_judged(tracker, runs):
    tracker.client.log_metric(runs["good"], "test/accuracy", 0.999, step=1000)
    with pytest.raises(
        TrackingError, match=r"logged a test accuracy of 0\.9990, and its stored predictions give 0\.\d+"
    ):
        promote(tracker, runs["good"])
    assert model_versions.list_names(tracker.client) == []


def test_the_login_at_a_server_is_the_author(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "rob")
    assert Decision("promote", "m", 1, "r", None).author.startswith("rob@")
    assert provenance.source_tags()["mlflow.user"] == "rob"


def test_a_worse_one_is_refused_by_the_right_gate_and_becomes_challenger(tracker, runs, two):
    done = promote(tracker, runs["bad"])
    assert not done.promoted
    assert "accuracy" in {each.gate for each in done.decision.failed_gates}
    assert two.get_by_alias(CHAMPION).run_id == runs["better"]
    assert two.get_by_alias(CHALLENGER).run_id == runs["bad"]
    assert done.decision.test_set_uses == 3
    assert promotion.decisions(two)[-1].action == "refuse"


def test_the_champion_itself_is_not_judged(tracker, runs, two):
    done = promote(tracker, runs["better"])
    assert done.already_champion
    assert len(promotion.decisions(two)) == 2
    assert len(two.versions()) == 2


def test_a_challenger_that_is_promoted_later_is_the_same_version(tracker, runs, two):
    refused = promote(tracker, runs["bad"]).decision.version
    Path("gates.toml").write_text(LIMITS + "[accuracy]\noff = true\n[classes]\noff = true\n")
    done = promote(tracker, runs["bad"])
    assert done.decision.version == refused
    assert two.aliases() == {CHAMPION: refused}


def test_a_name_of_somebody_else_becomes_ours_and_its_champion_is_not_compared_with(tracker, runs):
    tracker.client.create_registered_model("mine")
    promote(tracker, runs["good"], name="mine")
    assert promotion.resolve_name(tracker, "mine") == "mine"
    tracker.client.create_registered_model("theirs")
    version = tracker.client.create_model_version("theirs", "file:///nowhere")
    tracker.client.set_registered_model_alias("theirs", CHAMPION, version.version)
    with pytest.raises(TrackingError, match="models:/theirs/1, the champion, was not made by tinybench"):
        promote(tracker, runs["good"], name="theirs")


@pytest.mark.parametrize("name", ["no/go", "a'b", ""])
def test_a_name_that_mlflow_does_not_take_is_told_at_once(tracker, runs, name):
    with pytest.raises(ConfigError, match="Invalid value for `--name`"):
        promote(tracker, runs["good"], name=name)


def test_a_deleted_run_is_not_promoted(tracker, runs):
    tracker.client.delete_run(runs["good"])
    with pytest.raises(TrackingError, match="is deleted: restore it first"):
        promote(tracker, runs["good"])


def test_the_test_images_choose_nothing(tracker):
    with pytest.raises(ConfigError, match="Test images judge a candidate; they do not choose it"):
        promotion.promote(tracker, CandidateQuery(metric="test/accuracy"), policy.read())


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (CandidateQuery(model="resnet50"), "No finished run with model resnet50"),
        (CandidateQuery(run_id="0" * 32), "No run '0000"),
        (CandidateQuery(search="tags."), "Invalid value for `--filter`"),
    ],
)
def test_what_cannot_be_found_is_told(tracker, wanted, words):
    with pytest.raises((ConfigError, TrackingError), match=words) as caught:
        promotion.promote(tracker, wanted, policy.read())
    assert "\n" not in str(caught.value)


def test_the_commands(store, runs):
    def command(*words):
        given = [*words, "--uri", store]
        wide = {"COLUMNS": "250"}
        return CliRunner().invoke(root.cli, given, catch_exceptions=False, standalone_mode=False, env=wide)

    assert command("promote", runs["good"]).return_value == 0
    refused = command("promote", runs["bad"])
    assert refused.return_value == 1
    assert "Refused by accuracy" in refused.output
    assert "with every use they prove less" in refused.output
    assert "Disabled gates, not evaluated: calibration, reload, latency." in refused.output
    shown = command("registry", "show").output
    assert "Version 1" in shown
    assert "interrupted before" not in shown
    assert NAME in command("registry", "list").output
    listed = command("history").output
    assert "promoted" in listed
    assert "refused" in listed
    assert "disabled gates:" in listed
    with pytest.raises(TrackingError, match="Version 2 of tinybench-digits never was champion: judge it by"):
        command("rollback", "--to", "2")
    assert command("promote", runs["better"]).return_value == 0
    assert "Version 1 is champion of tinybench-digits again, instead of version 3." in command("rollback").output
    with pytest.raises(ConfigError, match="No registered model 'other', but tinybench-digits"):
        command("history", "other")
    with pytest.raises(ConfigError, match="Did you mean 'tinybench-digits'"):
        command("history", "digits")
    with pytest.raises(TrackingError, match=r"No finished run with data set digit: .* Did you mean 'digits'"):
        command("promote", "--dataset", "digit", "--dry-run")


@pytest.mark.parametrize("name", [None, "other"])
def test_a_store_without_models_says_so_and_lists_nothing(name, tmp_path_factory):
    with pytest.raises(ConfigError, match=r"^No model is registered in sqlite:///.* yet: tinybench promote registers"):
        promotion.resolve_name(Tracker.at(stores.fresh(tmp_path_factory)), name)


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("digits", "tinybench-digits"),
        ("folder:/data/my pets", "tinybench-my-pets"),
        ("folder:/data/pets/", "tinybench-pets"),
        ("folder:/", "tinybench-folder"),
    ],
)
def test_a_data_set_gives_a_name_that_mlflow_takes(dataset, name):
    assert promotion.default_name(dataset) == name


def test_a_notebook_shows_every_gate_and_the_decision():
    gates = (
        GateResult("accuracy", True, "0.91 <b>", "at least 0.9", {}),
        GateResult("size", False, "9 MB", "8 MB", {}),
    )
    decision = Decision("refuse", "tinybench-<i>", 2, "run", 1, gate_results=gates)
    refused = promotion.PromotionResult(decision, Candidate("run", "<i>", "given"), None)
    html = refused._repr_html_()
    assert "<caption>tinybench-&lt;i&gt;: run run refused</caption>" in html
    assert "<td>accuracy</td><td>passed</td><td>0.91 &lt;b&gt;</td><td>at least 0.9</td>" in html
    assert "<td>size</td><td>failed</td>" in html
    assert "would be refused" in replace(refused, dry_run=True)._repr_html_()
    assert "already champion" in replace(refused, already_champion=True)._repr_html_()
