"""The command `leaderboard` prints boards in every format, and one line for what is wrong."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from made_boards import MadeStore
from stores import fresh

from tinybench.cli import root
from tinybench.core.errors import ConfigError, TrackingError


@pytest.fixture
def made(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MadeStore:
    monkeypatch.setenv("TINYBENCH_CACHE", str(tmp_path / "cache"))
    made = MadeStore(fresh(tmp_path_factory))
    for seed in range(3):
        made.add("good", seed, made.correct(20 + seed))
        made.add("bad", seed, made.correct(120 + seed))
    return made


def ask(made: MadeStore, *words: str) -> Result:
    return CliRunner().invoke(root.cli, ["leaderboard", "--uri", made.uri, *words], catch_exceptions=False)


def test_the_table_says_who_is_better_and_how_that_is_known(made: MadeStore, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    text = ask(made).stdout
    assert "made, 400 test images" in text
    assert text.index("good") < text.index("bad")
    assert "Pairs: 1 better. May be the best: good." in text
    assert "good minus bad" in text
    assert "over seeds and test images" in text


def test_columns_are_chosen_and_others_are_refused(made: MadeStore):
    rows = [*csv.reader(io.StringIO(ask(made, "--format", "csv", "--columns", "model, value").stdout))]
    assert rows == [["model", "top-1"], ["good", "0.9475"], ["bad", "0.6975"]]
    with pytest.raises(ConfigError, match=r"Invalid value for `--columns`: expected some of rank, .*, got 'modle'"):
        ask(made, "--columns", "modle")


def test_rows_are_sorted_by_a_column_and_keep_their_ranks(made: MadeStore):
    def rows(*words: str) -> list[list[str]]:
        columns = ("--columns", "rank,model", "--format", "csv")
        return [*csv.reader(io.StringIO(ask(made, *columns, *words).stdout))][1:]

    assert rows() == rows("--sort", "rank") == [["1", "good"], ["2", "bad"]]
    assert rows("--sort", "model") == [["2", "bad"], ["1", "good"]]
    assert rows("--sort", "-top1") == rows("--sort=-value") == [["2", "bad"], ["1", "good"]]
    with pytest.raises(ConfigError, match=r"^Invalid value for `sort`: expected one of rank, .*, got 'tpo1'\. Did"):
        ask(made, "--sort", "tpo1")


def test_a_lower_loss_is_better(made: MadeStore, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    text = ask(made, "--metric", "log_loss").stdout
    assert text.index("good") < text.index("bad")
    assert "log loss" in text
    assert re.search(r"good minus bad +-1\.\d+  \[-1\.\d+, -1\.\d+\]  better", text)
    (board,) = json.loads(ask(made, "--metric", "log_loss", "--format", "json").stdout)
    assert (board["metric"], board["lower_is_better"]) == ("log_loss", True)
    assert board["models"][0]["log_loss"] < board["models"][1]["log_loss"]


def test_a_set_of_columns_is_taken(made: MadeStore):
    (head, *_) = csv.reader(io.StringIO(ask(made, "--format", "csv", "--columns", "costs,top1").stdout))
    assert head == ["rank", "model", "top-1"]


def test_json_has_all_that_is_known(made: MadeStore):
    (board,) = json.loads(ask(made, "--format", "json").stdout)
    assert [model["model"] for model in board["models"]] == ["good", "bad"]
    assert [len(model["runs"]) for model in board["models"]] == [3, 3]
    assert board["pairs"][0]["conclusion"] == "better"
    assert board["models"][0]["ranks"] == [1, 1]


@pytest.mark.parametrize("style", ["md", "html", "latex"])
def test_documents_have_a_row_for_each_model(made: MadeStore, style: str):
    text = ask(made, "--format", style).stdout
    assert text.index("good") < text.index("bad")
    assert "0.9475" in text


def test_the_table_of_a_recipe_has_published_metrics_beside_ours(made: MadeStore):
    made.add("vgg16", 0, made.correct(170), params={"recipe": "tiny-imagenet-tlft"}, metrics={"test/f1_macro": 0.5})
    words = ("--model", "vgg16", "--published", "--format", "csv", "--columns", "model,top1,f1")
    assert ask(made, *words).stdout.splitlines() == ["model,test top-1,F1", "vgg16,0.5750 (0.575),0.5000 (0.573)"]


def test_filters(made: MadeStore):
    (board,) = json.loads(ask(made, "--model", "bad", "--format", "json").stdout)
    assert [model["model"] for model in board["models"]] == ["bad"]
    with pytest.raises(TrackingError, match="has no finished run that fits"):
        ask(made, "--dataset", "another")
    with pytest.raises(TrackingError, match="has no finished run that fits"):
        ask(made, "--phase", "finetune")


def test_several_data_sets_have_average_ranks(made: MadeStore):
    for seed in range(3):
        made.add("good", seed, made.correct(30 + seed), params={"dataset": "second"}, test_hash="s")
        made.add("bad", seed, made.correct(130 + seed), params={"dataset": "second"}, test_hash="s")
        made.add("late", seed, made.correct(130 + seed), params={"dataset": "second"}, test_hash="s", noise=seed + 90)
    text = ask(made).stdout
    assert "average rank" in text
    assert "not ranked over all: late." in " ".join(text.split())


def test_the_choices_are_those_of_the_boards():
    from tinybench.leaderboard import ranking_metrics, table

    choices = {option.name: option.type for option in root.cli.commands["leaderboard"].params}
    assert tuple(choices["style"].choices) == table.FORMATS
    assert tuple(choices["metric"].choices) == tuple(ranking_metrics.METRICS)
