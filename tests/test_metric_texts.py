"""No text that is made of metrics shows `nan`, whichever of them are not defined."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console as Terminal

from tinybench import recipes
from tinybench.display import comparison_table, impact_table, metric_lines, run_table
from tinybench.display.console import Console
from tinybench.evaluation.comparison import Comparison, Difference, MetricEstimate
from tinybench.job import description
from tinybench.registry import model_card
from tinybench.tracking.queries import RecipeResult
from tinybench.tracking.results import FoldResult, PhaseResult, Result
from tinybench.training.progress import Epoch

Metrics = dict[str, float]
VALUES = [
    *("accuracy", "top5", "f1_macro", "auc_ovr_macro", "log_loss", "loss", "balanced_accuracy", "cohen_kappa", "mcc"),
    *("ece", "ece_scaled", "brier", "precision_macro", "recall_macro", "images", "classes"),
]
COSTS = ["parameters", "weight_bytes", "training_seconds", "cpu_latency_p50_ms", "cpu_latency_p99_ms", "ratio"]
NAMES = [
    *(f"{split}/{name}{end}" for split in ("test", "out_of_fold") for name in VALUES for end in ("", "_low", "_high")),
    *(f"folds/{test}{name}_{end}" for test in ("", "test_") for name in VALUES for end in ("mean", "sd")),
    *(f"efficiency/{name}" for name in (*COSTS, "gpu_latency_p50_ms", "cpu_memory_peak_bytes")),
    *("best/temperature", "best/val_accuracy", "best/overfitting_gap", "train/loss", "train/accuracy"),
    *("val/loss", "val/accuracy"),
]


def printed(write: Callable[[Terminal], object]) -> str:
    output = io.StringIO()
    write(Terminal(file=output, width=200))
    return output.getvalue()


def compared(metrics: Metrics) -> Comparison:
    low, high = metrics["test/f1_macro_low"], metrics["test/f1_macro_high"]
    estimate = MetricEstimate(metrics["test/f1_macro"], low, high, metrics["folds/f1_macro_sd"])
    difference = Difference("a", "b", metrics["test/mcc"], low, high, metrics["test/brier"])
    return Comparison("f1_macro", False, {"a": estimate, "b": estimate}, [difference])


def result(metrics: Metrics) -> Result:
    return Result("abc", "sqlite:///x.db", "page", "models:/m", {"finetune": PhaseResult("def", 9, 7, metrics)})


def folded(metrics: Metrics) -> Result:
    return Result("abc", "sqlite:///x.db", "page", "models:/m", {}, (FoldResult(1, "d", metrics),), metrics)


def by_recipe(metrics: Metrics) -> list[RecipeResult]:
    return [RecipeResult(recipe, metrics, run_id="abc") for recipe in recipes.all_recipes().values() if recipe.expected]


def shown_epoch(metrics: Metrics) -> str:
    def show(terminal: Terminal) -> None:
        console = Console(terminal)
        console._began = console._epoch_ended = time.time()
        console.on_epoch_end(Epoch(1, metrics, int(1000 * time.time()) + 5000))

    return printed(show)


TEXTS: dict[str, Callable[[Metrics], str]] = {
    "model card": model_card._metrics_table,
    "costs of the card": model_card._describe_costs,
    "calibration of the card": model_card._describe_calibration,
    "evaluate": metric_lines.format_metrics,
    "row of a description": description._cells,
    "spread over folds": lambda metrics: description.format_spread(metrics, "folds/f1_macro"),
    "notebook": lambda metrics: result(metrics)._repr_html_() + result(metrics).phases["finetune"]._repr_html_(),
    "notebook, folds": lambda metrics: folded(metrics)._repr_html_() + folded(metrics).folds[0]._repr_html_(),
    "comparison in a notebook": lambda metrics: compared(metrics)._repr_html_(),
    "comparison": lambda metrics: printed(
        lambda terminal: comparison_table.print_comparison(compared(metrics), terminal)
    ),
    "end of a phase": lambda metrics: printed(lambda terminal: Console(terminal).on_phase_end("transfer", metrics)),
    "end of a run": lambda metrics: printed(lambda terminal: Console(terminal).on_run_end(result(metrics))),
    "end of folds": lambda metrics: printed(lambda terminal: Console(terminal).on_folds_end(folded(metrics))),
    "epoch": shown_epoch,
    "list of runs": lambda metrics: run_table._format_share(metrics["best/val_accuracy"]),
    "recipes": lambda metrics: printed(lambda terminal: impact_table.print_impact_table(by_recipe(metrics), terminal)),
}


@pytest.mark.parametrize("name", TEXTS)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(undefined=st.sets(st.sampled_from(NAMES)))
def test_no_text_shows_nan(name: str, undefined: set[str]) -> None:
    for missing in (undefined, NAMES):  # `end of a run` with everything undefined as well
        text = TEXTS[name]({metric: math.nan if metric in missing else 0.9 for metric in NAMES})
        assert "nan" not in text.lower(), text


@pytest.mark.parametrize("name", sorted(set(TEXTS) - {"spread over folds"}))
def test_what_is_defined_is_shown(name: str) -> None:
    assert "9" in TEXTS[name](dict.fromkeys(NAMES, 0.9))


def test_the_card_of_a_model_without_errors_has_a_metric_without_an_interval() -> None:
    perfect = {"test/accuracy": 1.0, "test/accuracy_low": 0.98, "test/accuracy_high": 1.0}
    perfect |= {"test/f1_macro": 1.0, "test/f1_macro_low": math.nan, "test/f1_macro_high": math.nan}
    assert model_card._metrics_table(perfect).splitlines()[2:] == [
        "| top-1 | 1.0000 | 0.9800 to 1.0000 |",
        "| F1 | 1.0000 |  |",
    ]
