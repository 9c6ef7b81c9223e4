"""Measure what models cost without training them: latency, throughput, memory and size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinybench import data
from tinybench.config.network_size import PUBLISHED_SIZES
from tinybench.config.sections import TrackConfig
from tinybench.core.errors import ConfigError, EngineError
from tinybench.core.html_table import html_table
from tinybench.efficiency import measurement, model_cost
from tinybench.efficiency.measurement import Measurement, MeasurementProcess
from tinybench.efficiency.measurement_spec import MeasurementSpec
from tinybench.efficiency.model_cost import ModelCost
from tinybench.hardware import certificate
from tinybench.job import run_costs
from tinybench.recipes import all_recipes
from tinybench.tracking import run_kinds, tags
from tinybench.training.run_callbacks import RunCallbacks

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.tracking.run_writer import RunWriter
    from tinybench.tracking.tracker import Tracker

_BACKBONE_RECIPE = "tiny-imagenet-tlft"  # its head is put on every backbone
_DEFAULT_CLASSES = 1000


@dataclass(frozen=True)
class MeasureResult:
    """The costs of several models, measured in turn on one machine.

    Attributes:
        costs: The models that were measured, in the order in which they were asked for.
        noise: By metric, by what share repeated measurements of the same model differ at most; models that differ
            by less cannot be told apart. Empty if every model was measured once.
        absent: Which models were not measured, and why.
    """

    costs: tuple[ModelCost, ...]
    noise: dict[str, float]
    absent: tuple[str, ...] = ()

    def _repr_html_(self) -> str:
        """Return a table of the costs, the fastest first, with the noise as its caption."""
        noise = self.noise.get("latency_p50_ms")
        caption = "" if noise is None else f"Latencies of one model differed by up to {noise:.1%} between processes"
        columns = ["model", "device", "p50 ms", "p99 ms", "images/s", "peak MB", "M params"]
        rows: list[tuple[object, ...]] = []
        for cost in sorted(self.costs, key=lambda cost: (cost.spec.device, cost.metrics["latency_p50_ms"])):
            metrics = cost.metrics
            peak = metrics.get("nvml_peak_bytes", metrics["memory_peak_bytes"])
            times = (metrics["latency_p50_ms"], metrics["latency_p99_ms"], metrics.get("throughput_images_per_second"))
            rows.append((Path(cost.spec.model).stem, cost.spec.device, *times, peak / 1e6, metrics["parameters"] / 1e6))
        missing = html_table(["not measured"], [(reason,) for reason in self.absent]) if self.absent else ""
        return html_table(columns, rows, caption) + missing


def measure_models(
    models: Sequence[str],
    *,
    devices: Sequence[str] = ("cpu",),
    gpu: int = 0,
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
    callbacks: RunCallbacks | None = None,
) -> MeasureResult:
    """Measure models with random weights, each in a process of its own, and log a run for each model and device.

    Args:
        models: Names of models, or paths of `.keras` files.
        devices: `cpu`, `gpu` or both.
        gpu: Number of the GPU.
        engine: `keras`, `tf`, `openvino` or `onnxruntime`.
        precision: `float32`, `bfloat16` or `float16`.
        batch: Images in a batch for the throughput; the fastest of 1, 2, 4, … if None.
        threads: Threads of the processor; all if None.
        image_size: Height and width of the images, in pixels; those of the model's recipe if None.
        classes: Number of classes; those of the recipe's data set if None.
        rounds: How often each model is measured; twice if None, or once if `quick`.
        quick: Time fewer calls, for some 10 seconds a model.
        uri: The tracking store; MLflow's default if None.
        experiment: The experiment to log to; MLflow's default if None.
        callbacks: Receives each measurement.

    Raises:
        ConfigError: There is nothing to measure, or a value is not allowed.
        EngineError: None of the models can be measured; otherwise those that cannot are in `MeasureResult.absent`.
    """
    rounds = rounds if rounds is not None else 1 if quick else 2
    options = {"index": gpu, "engine": engine, "precision": precision, "batch": batch, "quick": quick}
    specs = build_specs(models, devices, image_size=image_size, classes=classes, threads=threads, **options)
    if not specs or rounds < 1:
        raise ConfigError("Give at least one model and one round.")
    with MeasurementProcess(specs[0]) as process:  # it loads its libraries while this process loads MLflow
        from tinybench.tracking.tracker import Tracker

        track = TrackConfig(uri=uri, experiment=experiment)
        tracker = Tracker(track, may_be_away=True)
        tracker.check_parent_run()  # fail now, not after an hour of measuring
        result = _measure_in_rounds(specs, rounds, process, callbacks or RunCallbacks())
    names = ", ".join(dict.fromkeys(Path(spec.model).stem for spec in specs))
    parent = tracker.open_parent_run(f"measure {names}", run_kinds.MEASUREMENT)
    with closing(tracker), parent.open():
        _log_result(tracker, parent, result)
    return result


def build_specs(
    models: Sequence[str],
    devices: Sequence[str],
    *,
    image_size: int | None = None,
    classes: int | None = None,
    threads: int | None = None,
    **options: Any,
) -> list[MeasurementSpec]:
    """Return what to measure: every model on every device, with the head of the recipe that has the model.

    Args:
        models: Names of models, or paths of `.keras` files.
        devices: `cpu`, `gpu` or both.
        image_size: Height and width of the images, in pixels; those of the recipe if None.
        classes: Number of classes; those of the recipe's data set if None.
        threads: Threads of the processor; all if None.
        **options: Other fields of `MeasurementSpec`.

    Raises:
        ConfigError: A file is absent, or a value is not allowed.
    """
    specs = []
    for model in models:
        if model.endswith(".keras") and not Path(model).is_file():
            raise ConfigError(f"Invalid value for `--model`: there is no file {model}. Check the path.")
        recipe, config = _find_recipe(model)
        card = data.card(config.dataset)
        spec = MeasurementSpec(
            model,
            recipe,
            image_size=config.image_size if image_size is None else image_size,
            channels=3 if card.shape is None else card.shape[2],
            classes=(card.classes or _DEFAULT_CLASSES) if classes is None else classes,
            threads=certificate.usable_threads() if threads is None else threads,
            **options,
        )
        specs += [replace(spec, device=device) for device in devices]
    return specs


def _find_recipe(model: str) -> tuple[str, RunConfig]:
    """Return the first recipe that has a small network; all backbones share one recipe, so that they compare."""
    configs = {name: recipe.build() for name, recipe in all_recipes().items()}
    if model in PUBLISHED_SIZES:
        for name, config in configs.items():
            if config.model == model:
                return name, config
    return _BACKBONE_RECIPE, configs[_BACKBONE_RECIPE]


def _measure_in_rounds(
    specs: Sequence[MeasurementSpec], rounds: int, first_process: MeasurementProcess, callbacks: RunCallbacks
) -> MeasureResult:
    """Measure all models in each round, so that a machine that slows down meanwhile affects all of them equally.

    Args:
        specs: What to measure.
        rounds: How often each is measured.
        first_process: A process that is ready to measure the first of them.
        callbacks: Receives each measurement.
    """
    ready: MeasurementProcess | None = first_process
    measurements: dict[MeasurementSpec, list[Measurement]] = {spec: [] for spec in specs}
    errors: dict[MeasurementSpec, EngineError] = {}
    for _ in range(rounds):
        for spec in [spec for spec in measurements if spec not in errors]:
            try:
                measured = measurement.measure(spec) if ready is None else ready.measure()
            except EngineError as error:
                errors[spec] = error
            else:
                measurements[spec].append(measured)
                callbacks.on_measurement(measured)
            ready = None
    costs = tuple(ModelCost(spec, tuple(values)) for spec, values in measurements.items() if spec not in errors)
    if not costs:
        raise next(iter(errors.values()))
    absent = tuple(f"{spec.model} on {spec.device}: {error}" for spec, error in errors.items())
    return MeasureResult(costs, model_cost.noise_by_metric(costs), absent)


def _log_result(tracker: Tracker, parent: RunWriter, result: MeasureResult) -> None:
    """Log each cost to a child run; a single one to the parent run itself."""
    parent.set_tags({f"{tags.NOISE}{name}": f"{share:.4f}" for name, share in result.noise.items()})
    if result.absent:
        parent.set_tags({tags.COSTS_ABSENT: " ".join(result.absent)})
    if len(result.costs) == 1:
        _log_cost(parent, result.costs[0])
        return
    for cost in result.costs:
        name = f"{Path(cost.spec.model).stem} on {cost.spec.device}"
        child = tracker.create_child_run(parent, name, run_kinds.MEASUREMENT)
        with child.open():
            _log_cost(child, cost)


def _log_cost(run: RunWriter, cost: ModelCost) -> None:
    """Log what was measured and the metrics to a run."""
    run.log_params(vars(cost.spec) | {"rounds": len(cost.measurements)})
    run.log_metrics(run_costs.log_costs(run, [cost]), 0, time.time_ns() // 1_000_000)
