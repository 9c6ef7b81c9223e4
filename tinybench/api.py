"""The public functions: what a notebook calls, and what the command line calls as well.

Everything else in the package is private and may change from one version to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from tinybench.commands.model_functions import explain_images as explain_images
from tinybench.commands.model_functions import export as export
from tinybench.commands.model_functions import predict as predict
from tinybench.commands.probe import probe as probe
from tinybench.config.listed_settings import list_settings
from tinybench.config.run_config import RunConfig
from tinybench.config.setting_types import Settings
from tinybench.core.errors import ConfigError
from tinybench.hardware import libraries
from tinybench.recipes.resolve import override, resolve

if TYPE_CHECKING:
    from tinybench.commands.measure import MeasureResult
    from tinybench.evaluation.comparison import Comparison
    from tinybench.registry.promotion import PromotionResult
    from tinybench.sweeps.sweep_callbacks import SweepCallbacks
    from tinybench.sweeps.sweep_result import SweepResult
    from tinybench.tracking.results import Result
    from tinybench.training.run_callbacks import RunCallbacks


@list_settings
def train(
    config: RunConfig | str | None = None, *, run_callbacks: RunCallbacks | None = None, **settings: Unpack[Settings]
) -> Result:
    """Train a model in the phases of a recipe, and log everything to MLflow.

    Args:
        config: A recipe's name, or a configuration that `resolve` returned; `tiny-imagenet-tlft` if None.
        run_callbacks: Receives the events of the run; in a notebook, a progress display if None.
        **settings: Values by key, with an underscore for the point: `head_dropout=0.2` or `**{"head.dropout": 0.2}`.

    Returns:
        The runs, their metrics and the logged model.

    Raises:
        TinybenchError: The user can correct the cause; the message is one line.
    """
    from tinybench.hardware import onednn

    if not isinstance(config, RunConfig | str | None):
        raise ConfigError(f"Invalid value for `config`: expected a recipe's name or a RunConfig, got {config!r}.")
    events = run_callbacks or _notebook_progress()
    resolved = override(config, settings) if isinstance(config, RunConfig) else resolve(config, settings)
    onednn.allow_onednn(resolved.deterministic)  # before TensorFlow is imported
    libraries.load_libraries()
    from tinybench.job.train import train_run

    return train_run(resolved, callbacks=events)


@list_settings
@libraries.loads_libraries
def finetune(
    run_id: str, *, uri: str | None = None, run_callbacks: RunCallbacks | None = None, **settings: Unpack[Settings]
) -> Result:
    """Fine-tune from the best weights of an earlier run, as a new run that is linked to it.

    Args:
        run_id: The earlier run, or its transfer phase.
        uri: The tracking store; MLflow's default if None.
        run_callbacks: Receives the events of the run; in a notebook, a progress display if None.
        **settings: Values that differ from those of the earlier run.

    Raises:
        TinybenchError: The user can correct the cause; the message is one line.
    """
    events = run_callbacks or _notebook_progress()
    from tinybench.job.train import finetune_run

    return finetune_run(run_id, settings, uri=uri, callbacks=events)


@libraries.loads_libraries
def resume(run_id: str, *, uri: str | None = None, run_callbacks: RunCallbacks | None = None) -> Result:
    """Resume an interrupted run from its latest checkpoint, in the same MLflow runs.

    Args:
        run_id: The parent run, or one of its phases.
        uri: The tracking store; MLflow's default if None.
        run_callbacks: Receives the events of the run; in a notebook, a progress display if None.

    Raises:
        TrackingError: There is nothing to resume, or another process is working on the run.
    """
    events = run_callbacks or _notebook_progress()
    from tinybench.job.train import resume_run

    return resume_run(run_id, uri, callbacks=events)


@list_settings
@libraries.loads_libraries
def evaluate(
    run_id: str, *, split: str = "test", uri: str | None = None, **settings: Unpack[Settings]
) -> dict[str, float]:
    """Evaluate the model of a finished run again, as a run that is linked to it.

    Args:
        run_id: A finished run.
        split: `train`, `validation` or `test`.
        uri: The tracking store; MLflow's default if None.
        **settings: Values that differ from those of the run, such as `data_root`.

    Returns:
        Metrics by name, such as `test/accuracy`.

    Raises:
        TinybenchError: The user can correct the cause; the message is one line.
    """
    from tinybench.commands.evaluate import evaluate_run

    return evaluate_run(run_id, split=split, uri=uri, settings=settings)


def compare(run_ids: Sequence[str], *, metric: str = "accuracy", uri: str | None = None) -> Comparison:
    """Compare finished runs by their stored test predictions: which differences are real?

    Runs that differ only in their seed count as one model.

    Args:
        run_ids: At least two runs, or phases of runs, on the same test images.
        metric: `accuracy`, `f1_macro`, `auc_ovr_macro`, `log_loss`, ….
        uri: The tracking store; MLflow's default if None.

    Raises:
        TinybenchError: The runs cannot be compared; the message says why.
    """
    from tinybench.commands.compare import compare_runs

    return compare_runs(run_ids, metric=metric, uri=uri)


def measure(
    models: Sequence[str],
    *,
    devices: Sequence[str] = ("cpu",),
    engine: str = "keras",
    precision: str = "float32",
    batch: int | None = None,
    threads: int | None = None,
    image_size: int | None = None,
    classes: int | None = None,
    rounds: int | None = None,
    quick: bool = False,
    uri: str | None = None,
    experiment: str | None = None,
    run_callbacks: RunCallbacks | None = None,
) -> MeasureResult:
    """Measure latency, throughput, memory and size of models with random weights, each in a process of its own.

    Args:
        models: Names of models, or paths of `.keras` files.
        devices: `cpu`, `gpu` or both.
        engine: `keras`, `tf`, `openvino` or `onnxruntime`.
        precision: `float32`, `bfloat16` or `float16`.
        batch: Images in a batch for the throughput; the fastest of 1, 2, 4, … if None.
        threads: Threads of the processor; all if None.
        image_size: Height and width of the images, in pixels; those of the model's recipe if None.
        classes: Number of classes; those of the recipe's data set if None.
        rounds: How often each model is measured, in turn with the others; twice if None, or once if `quick`.
        quick: Time fewer calls, for some 10 seconds a model.
        uri: The tracking store; MLflow's default if None.
        experiment: The experiment to log to; MLflow's default if None.
        run_callbacks: Receives each measurement.

    Raises:
        TinybenchError: A value is not allowed, or none of the models can be measured.
    """
    from tinybench.commands.measure import measure_models

    return measure_models(
        models,
        devices=devices,
        engine=engine,
        precision=precision,
        batch=batch,
        threads=threads,
        image_size=image_size,
        classes=classes,
        rounds=rounds,
        quick=quick,
        uri=uri,
        experiment=experiment,
        callbacks=run_callbacks or _notebook_progress(),
    )


@list_settings
def sweep(
    space: str | Path | None = None,
    *,
    resume: str | None = None,
    study: str | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    seeds: int | None = None,
    retry_failed: bool = False,
    workers: int = 1,
    storage: str = "sqlite:///optuna.db",
    run_callbacks: SweepCallbacks | None = None,
    **settings: Unpack[Settings],
) -> SweepResult:
    """Search the settings in a space file for the best, as an Optuna study whose trials are MLflow runs.

    Args:
        space: The TOML file of the space; None with `resume`.
        resume: Name of the study to resume; `trials` and `minutes` may extend it.
        study: Name of the new study; the name of the space with the time if None.
        trials: Number of trials; that of the space if None.
        minutes: Minutes during which trials are started; those of the space if None.
        seeds: Seeds per trial, over which metrics are averaged; those of the space if None.
        retry_failed: With `resume`, run failed trials again.
        workers: Trials at a time, in processes of this machine that share its CPU threads.
        storage: Address of the database of studies; `postgresql://…` for several machines.
        run_callbacks: Receives the events of the study; in a notebook, a progress display if None.
        **settings: Values by key that are fixed in all trials; `track_uri` names the tracking store. The setting
            `engine` is given in the space file.

    Raises:
        TinybenchError: The user can correct the cause; the message is one line.
    """
    from tinybench.commands.sweep import run_sweep

    return run_sweep(
        None if space is None else Path(space),
        resume=resume,
        name=study,
        trials=trials,
        minutes=minutes,
        seeds=seeds,
        retry_failed=retry_failed,
        workers=workers,
        storage=storage,
        settings=settings,
        callbacks=run_callbacks or _notebook_sweep_progress(),
    )


@libraries.loads_libraries
def promote(
    run_id: str | None = None,
    *,
    model: str | None = None,
    dataset: str | None = None,
    recipe: str | None = None,
    metric: str = "accuracy",
    search: str = "",
    name: str | None = None,
    gates: str | Path | None = None,
    dry_run: bool = False,
    uri: str | None = None,
    run_callbacks: RunCallbacks | None = None,
) -> PromotionResult:
    """Compare the best finished run with the champion, and make it champion if it passes every gate.

    The run is selected by its metrics on the validation images, and compared on the test images.

    Args:
        run_id: The candidate; selected among the finished runs if None.
        model: Consider only runs of this model.
        dataset: Consider only runs on this data set.
        recipe: Consider only runs of this recipe.
        metric: Metric of the validation images that selects the run: `accuracy`, `top5` or `loss`.
        search: Consider only runs that match a filter of MLflow, such as `tags.team = 'x'`.
        name: The registered model; `tinybench-<dataset>` if None.
        gates: A TOML file with the limits of the gates; `gates.toml` in the working directory, or the built-in
            limits, if None.
        dry_run: Apply the gates; register and move nothing.
        uri: The tracking store; MLflow's default if None.
        run_callbacks: Receives a message before each step that takes long.

    Raises:
        TinybenchError: There is no candidate, or more than one data set to choose from.
    """
    from tinybench.registry import policy, promotion
    from tinybench.registry.candidates import CandidateQuery
    from tinybench.tracking.tracker import Tracker

    if run_id is not None and any((model, dataset, recipe, search)):
        raise ConfigError("Give the id of a run, or conditions to select one: not both.")
    query = CandidateQuery(run_id, metric, model, dataset, recipe, search)
    limits = policy.read(Path(gates) if gates is not None else None)
    with closing(Tracker.at(uri)) as tracker:
        return promotion.promote(
            tracker, query, limits, name=name, dry_run=dry_run, callbacks=run_callbacks or _notebook_progress()
        )


def _notebook_progress() -> RunCallbacks | None:
    """Return a progress display in a notebook; None elsewhere, where a program may want its output for itself.

    In a notebook, libraries that are imported after this call log only warnings and errors.
    """
    if not _in_notebook():
        return None
    from rich.console import Console as Terminal

    from tinybench.core import quiet_libraries
    from tinybench.display.console import Console

    quiet_libraries.quieten_libraries()
    return Console(Terminal(force_jupyter=True))


def _notebook_sweep_progress() -> SweepCallbacks | None:
    """Return a progress display of a sweep in a notebook; None elsewhere."""
    if not _in_notebook():
        return None
    from rich.console import Console as Terminal

    from tinybench.display.sweep_progress import SweepConsole

    return SweepConsole(Terminal(force_jupyter=True))


def _in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return type(get_ipython()).__name__ == "ZMQInteractiveShell"
