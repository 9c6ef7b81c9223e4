"""Every table of the command line with long, realistic values, by the function that prints it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import time

import long_board
from grid_overviews import overview
from measured_costs import cost
from mlflow.tracking import MlflowClient
from optuna.trial import TrialState
from rich.console import Console as Terminal

from tinybench import data, recipes
from tinybench.commands.clean import Leftover
from tinybench.commands.estimate import PhaseEstimate, RunEstimate
from tinybench.commands.explain import Explanation
from tinybench.commands.measure import MeasureResult
from tinybench.commands.runs import ListedRun
from tinybench.commands.status import UnsentRun
from tinybench.core.cache import CacheEntry
from tinybench.display import (
    benchmark_progress,
    board_table,
    cache_table,
    comparison_table,
    cost_table,
    dataset_table,
    faithfulness_table,
    impact_table,
    leftover_table,
    model_table,
    plan_table,
    probe_table,
    recipe_table,
    registry_table,
    run_table,
    unsent_table,
    user_table,
)
from tinybench.display.console import Console
from tinybench.display.probe_table import ProbeConsole
from tinybench.display.sweep_progress import SweepConsole
from tinybench.evaluation.comparison import Comparison, Difference, MetricEstimate
from tinybench.job.backbone_probe import ProbeResult
from tinybench.job.description import FOLD_COLUMNS, TEST_COLUMNS
from tinybench.leaderboard.board_columns import DEFAULT_COLUMNS
from tinybench.models.model_cards import MODEL_CARDS
from tinybench.recipes.resolve import resolve
from tinybench.registry.candidates import Candidate
from tinybench.registry.decision import PROMOTE, REFUSE, ROLLBACK, Decision
from tinybench.registry.gates import GateResult
from tinybench.registry.promotion import PromotionResult
from tinybench.service.users import User
from tinybench.sweeps import optuna_storage, samplers, space_file
from tinybench.sweeps.study import Study
from tinybench.sweeps.sweep_result import SweepResult
from tinybench.sweeps.trial_queue import TrialQueue
from tinybench.tracking.model_versions import CHALLENGER, CHAMPION, RegisteredModel
from tinybench.tracking.queries import RecipeResult
from tinybench.tracking.results import FoldResult, PhaseResult, Result

Print = Callable[[Terminal], None]

RUN = "0123456789abcdef0123456789abcdef"
URI = "https://ada:***@tracking.example.org/team"
NAMES = ("efficientnetv2b0 on tiny-imagenet, head.dropout 0.25, seed 3 (01234567)",
         "convnextbase on folder of parts from line 7, transfer.lr 0.0003, head.hidden 512,256 (3 seeds, 89abcdef …)",
         "resnet50 on tiny-imagenet (fedcba98)")  # fmt: skip
GATES = (
    GateResult("data", True, "10,000 test images, the champion's; fingerprint 0123456789ab", "same test images", {}),
    GateResult("accuracy", False, "0.7512, -0.0123 [-0.0210, -0.0034] against the champion", "above -0.01", {}),
    GateResult("calibration", True, "ECE 0.0312, +0.0011 against the champion", "at most 0.05, rise at most 0.01", {}),
    GateResult("latency", False, "123.4 ms, 1.31 times the champion's, which differs from itself by 4%",
               "at most 1.1 times the champion's", {}),
)  # fmt: skip
SPACE = """\
recipe = "quickstart"
objective = "val/accuracy"
trials = 8
sampler = "random"
[space]
transfer.lr = { distribution = "log-uniform", low = 1e-4, high = 1e-1 }
transfer.schedule = { distribution = "categorical", choices = ["constant", "cosine", "plateau"] }
transfer.plateau_patience = { distribution = "integer", low = 1, high = 5, when = { transfer.schedule = "plateau" } }
finetune.lr = { distribution = "log-uniform", low = 1e-5, high = 1e-2 }
finetune.unfreeze = { distribution = "uniform", low = 0.1, high = 0.9 }
head.dropout = { distribution = "uniform", low = 0.0, high = 0.5 }
head.hidden = { distribution = "categorical", choices = ["none", "256", "512,256"] }
head.hidden_dropout = { distribution = "uniform", low = 0.0, high = 0.5, when = { head.hidden = [256, "512,256"] } }
optimizer.name = { distribution = "categorical", choices = ["adam", "adamw", "sgd"] }
optimizer.weight_decay = { distribution = "log-uniform", low = 1e-5, high = 1e-1, when = { optimizer.name = "adamw" } }
augment.rotation = { distribution = "uniform", low = 0.0, high = 30.0 }
augment.translation = { distribution = "uniform", low = 0.0, high = 0.2 }
"""


def long_tables(folder: Path) -> dict[str, list[Print]]:
    """Return what prints each table, by module and name of the function that lays it out.

    Args:
        folder: Empty; a registered model and a study are made in it.
    """
    model, decisions = _registered_model(folder), _decisions()
    entries = [
        CacheEntry("features", folder, 123_456_789_012, time() - 99 * 86400, True,
                   "efficientnetv2b0 at block6b_project_bn, 100,000 images of tiny-imagenet, augmented view 3"),
        CacheEntry("data", folder, 1200, time(), False, "digits"),
    ]  # fmt: skip
    costs = MeasureResult((cost("efficientnetv2b0", 1234.5, 1301.2), cost("resnet50", 61.2, 60.1)),
                          {"latency_p50_ms": 0.1})  # fmt: skip
    twice = MeasureResult((cost("efficientnetv2b0", 1234.5), cost("efficientnetv2b0", 6.1, device="gpu")), {})
    phases = {name: PhaseEstimate(15, 2813, 24_163_656, 36_000.0, 409_600_000) for name in ("transfer", "finetune")}
    estimate = RunEstimate((90_000, 10_000, 10_000), True, 24_163_656, phases, 3 * 2**29, 2**28)
    known = recipes.all_recipes()
    steps = [
        RecipeResult(known["cifar10-efficientnetv2-96"],
                     {"test/accuracy": 0.79, "efficiency/parameters": 6_255_962.0, "best/overfitting_gap": 0.178},
                     own_settings=False, run_id=RUN, warning="half of the data"),
        RecipeResult(known["cifar10-vgg10-callbacks"]),
        RecipeResult(known["cifar10-conv6"], {"test/log_loss": 0.456}, run_id=RUN, folds=5),
    ]  # fmt: skip
    unsent = [
        UnsentRun(URI, RUN, "finetune: convnextbase on tiny-imagenet", 12_345, 3, 1_234_567_890, True, ("Too big.",))
    ]
    users = [User("ada.lovelace@analytical-engine.example.org", "contributor"), User("bob", "reader, team-a, team-b")]
    maps = Explanation(
        [], {"integrated gradients": 0.123, "grad-cam++": 0.5}, {"integrated gradients": 0.5, "grad-cam++": 1.0}
    )
    return {
        "benchmark_progress.print_overview": [lambda to: benchmark_progress.print_overview(overview(), to)],
        "probe_table.on_probe_sample": [
            lambda to: ProbeConsole(to).on_probe_sample({result.model: 0.8765 for result in _probes()}, 256, 128)
        ],
        "probe_table.print_results": [lambda to: probe_table.print_results(_probes(), to)],
        "board_table.print_board": [lambda to: board_table.print_board(long_board.board(), DEFAULT_COLUMNS, to)],
        "board_table.print_pairs": [lambda to: board_table.print_pairs(long_board.board(), to)],
        "board_table.print_average_ranks": [lambda to: board_table.print_average_ranks(long_board.average_ranks(), to)],
        "cache_table.print_cache_table": [lambda to: cache_table.print_cache_table(entries, folder, to)],
        "comparison_table.print_comparison": [
            lambda to, models=models: comparison_table.print_comparison(_comparison(models), to)
            for models in (True, False)
        ],
        "console.on_folds_end": [lambda to: Console(to).on_folds_end(_folds())],
        "console.on_run_end": [lambda to: Console(to).on_run_end(_run())],
        "cost_table._print_table": [
            lambda to, result=result: cost_table.print_cost_tables(result, to) for result in (costs, twice)
        ],
        "faithfulness_table.print_faithfulness_table": [
            lambda to: faithfulness_table.print_faithfulness_table(maps, to)
        ],
        "impact_table.print_impact_table": [lambda to: impact_table.print_impact_table(steps, to)],
        "impact_table._print_published": [lambda to: impact_table.print_impact_table(steps, to)],
        "leftover_table.print_leftovers": [
            lambda to: leftover_table.print_leftovers(
                [Leftover("checkpoints", folder, 123_456_789, "not worked on for 1,234 days")], to, dry_run=True
            )
        ],
        "plan_table.print_settings_table": [
            lambda to: plan_table.print_settings_table(resolve("tiny-imagenet-tlft", {"data.classes": _CLASSES}), to)
        ],
        "plan_table.print_plan_table": [lambda to: plan_table.print_plan_table(estimate, to)],
        "recipe_table.print_recipe_list": [lambda to: recipe_table.print_recipe_list(known.values(), to)],
        "recipe_table.print_recipe": [
            lambda to, name=name: recipe_table.print_recipe(known[name], recipes.build(name), to) for name in known
        ],
        "registry_table.print_promotion": [lambda to: registry_table.print_promotion(_promotion(decisions), to)],
        "registry_table.print_history": [
            lambda to: registry_table.print_history(model, decisions, to),
            lambda to: registry_table.print_model_version(model, 1, decisions, to),
        ],
        "registry_table.print_registered_models": [
            lambda to: registry_table.print_registered_models([model, model], to)
        ],
        "run_table.print_runs": [lambda to: run_table.print_runs(_listed_runs(), to)],
        "model_table.print_models": [lambda to: model_table.print_models(MODEL_CARDS, to)],
        "dataset_table.print_datasets": [
            lambda to: dataset_table.print_datasets([data.card(name) for name in data.names()], to)
        ],
        "sweep_progress._print_top_trials": [
            lambda to, study=study: SweepConsole(to).print_result(
                SweepResult(study, study.best_trials(), None, None, 0)
            )
            for study in _studies(folder)
        ],
        "unsent_table.print_unsent": [lambda to: unsent_table.print_unsent(unsent, [], to)],
        "user_table.print_users": [lambda to: user_table.print_users(users, to)],
    }  # fmt: skip


_CLASSES = "n01443537,n01629819,n01641577,n01644900,n01698640"


def _listed_runs() -> list[ListedRun]:
    common = {"model": "efficientnetv2b0", "dataset": "tiny-imagenet", "started": 1_795_000_000_000, "error": ""}
    return [
        ListedRun(RUN, NAMES[0], "training", "finished", epoch=20, val_accuracy=0.7512, test_accuracy=0.7427,
                  seconds=12_345.0, resumable=False, is_sent=True, **common),
        ListedRun(RUN, NAMES[1], "fold", "died", epoch=None, val_accuracy=None, test_accuracy=None, seconds=None,
                  resumable=True, is_sent=False, **common),
    ]  # fmt: skip


def _comparison(models: bool) -> Comparison:
    estimates = {name: MetricEstimate(0.7512, 0.7427, 0.7597, 0.0123 if models else None) for name in NAMES}
    pairs = [Difference(NAMES[0], name, 0.0123, 0.0034, 0.0210, 0.0004) for name in NAMES[1:]]
    return Comparison("auc_ovr_macro", models, estimates, [*pairs, Difference(*NAMES[1:], 0.001, -0.004, 0.006, 0.4)])


def _folds() -> Result:
    names = [name.partition("/")[2] for name in FOLD_COLUMNS]
    folds = tuple(FoldResult(number, RUN, {f"out_of_fold/{name}": 0.5 for name in names}) for number in range(1, 6))
    summary = {f"test/{name}": 0.25 for name in names}
    for name in names:
        summary |= {f"folds/{part}{name}_{end}": 0.125 for part in ("", "test_") for end in ("mean", "sd")}
    return Result(RUN, URI, f"{URI}/#/experiments/1/runs/{RUN}", f"models:/m-{RUN}", folds=folds, summary=summary)


def _run() -> Result:
    metrics = dict.fromkeys(TEST_COLUMNS, 0.8765) | {"test/accuracy_low": 0.8, "test/accuracy_high": 0.9}
    metrics |= {"test/ece": 0.1, "test/ece_scaled": 0.025, "best/temperature": 1.5, "efficiency/ratio": 1.3}
    metrics |= dict.fromkeys(("efficiency/cpu_latency_p50_ms", "efficiency/weight_bytes"), 123.4)
    metrics |= {"efficiency/cpu_memory_peak_bytes": 4e9, "efficiency/training_seconds": 12_345.6}
    phases = {name: PhaseResult(RUN, 20, 17, metrics) for name in ("transfer", "finetune")}
    return Result(RUN, URI, f"{URI}/#/experiments/1/runs/{RUN}", f"models:/m-{RUN}", phases)


def _probes() -> list[ProbeResult]:
    metrics = {"test/accuracy": 0.8765, "test/accuracy_low": 0.8642, "test/accuracy_high": 0.8888}
    metrics |= {"val/accuracy": 0.8765, "best/penalty": 1e-5, "efficiency/features_images_per_second": 12_345.6}
    metrics |= {"efficiency/parameters": 123.4e6, "efficiency/weight_bytes": 493.6e6, "efficiency/probe_seconds": 123.4}
    metrics |= {"efficiency/cpu_latency_p50_ms": 123.4}
    models = ("efficientnet_lite0_imagenet_notop", "mobilenetv2_gluon_imagenet_notop", "resnet50")
    probed = [ProbeResult(model, "", RUN, "openvino bfloat16", metrics) for model in models]
    return [*probed, ProbeResult("vgg16", "The features of its backbone are the same for all images.")]


def _decisions() -> list[Decision]:
    selection = "best/val_accuracy 0.7512, the best of 17 runs, measured on 2 different validation splits; excluded " \
                "because they were tested on other images than the champion: 3"  # fmt: skip
    who = {"author": "benchmark-service@gpu-node-17.cluster", "commit": "0123456789abcdef", "test_set_uses": 3}
    return [
        Decision(PROMOTE, "tinybench-tiny-imagenet", 1, RUN, None, selection, "2026-01-31T12:00:00.0Z", **who),
        Decision(REFUSE, "tinybench-tiny-imagenet", 2, RUN, 1, selection, "2026-02-28T23:59:59.0Z", **who,
                 gate_results=GATES),
        Decision(PROMOTE, "tinybench-tiny-imagenet", 2, RUN, 1, selection, "2026-03-01T08:00:00.0Z", **who),
        Decision(ROLLBACK, "tinybench-tiny-imagenet", 1, RUN, 2, "", "2026-03-02T08:00:00.0Z", **who),
    ]  # fmt: skip


def _promotion(decisions: list[Decision]) -> PromotionResult:
    candidate = Candidate(RUN, "tiny-imagenet", decisions[1].selection)
    return PromotionResult(decisions[1], candidate, None, dry_run=True)


def _registered_model(folder: Path) -> RegisteredModel:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    name = "tinybench-tiny-imagenet-200-balanced"
    client.create_registered_model(name)
    card = "# efficientnetv2b0 on tiny-imagenet\n\n| on the test images | value | 95 % interval |\n|---|---|---|\n" \
           "| top-1 | 0.7512 | 0.7427 to 0.7597 |\n\n- It takes every image for one of its classes."  # fmt: skip
    for alias in (CHAMPION, CHALLENGER):
        version = client.create_model_version(name, str(folder), description=card)
        client.set_registered_model_alias(name, alias, version.version)
    return RegisteredModel(client, name)


def _studies(folder: Path) -> list[Study]:
    """Return a study with one objective and twelve settings, and one with two objectives."""
    several = SPACE.replace('"val/accuracy"', '["val/accuracy", "efficiency/cpu_latency_p50_ms"]')
    return [_study(folder, "finetune-20260131-120000", SPACE), _study(folder, "finetune-several", several)]


def _study(folder: Path, name: str, text: str) -> Study:
    study = Study.create(optuna_storage.connect(f"sqlite:///{folder}/optuna.db"), name, space_file.read(text, "s"), {})
    queue = TrialQueue(study)
    queue.fill()
    for number in range(8):
        trial = queue.take()
        assert trial is not None
        samplers.suggest_values(trial, study.space)
        queue.tell(trial, [0.5 + number / 20, 12.5 + number][: len(study.space.objectives)], TrialState.COMPLETE)
    return study
