"""Probe backbones: how accurate is a linear head, fitted in closed form, on the features of each?

It is a first answer to which backbone suits a data set, in seconds a backbone and without training. The penalty of
the head is selected on the validation images; the test images are scored once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from tinybench import models
from tinybench.config.effects import compared_text
from tinybench.config.probe_settings import PROBE_SETTINGS
from tinybench.core import waiting
from tinybench.core.errors import ConfigError, TinybenchError
from tinybench.data.dataset import sample_rows
from tinybench.data.load_request import short_name
from tinybench.evaluation import ridge_head
from tinybench.evaluation.predictions import Predictions
from tinybench.evaluation.ridge_head import LabelledFeatures
from tinybench.evaluation.split_metrics import evaluate_predictions
from tinybench.hardware import device
from tinybench.job import phase_evaluation, preflight, run_costs
from tinybench.job.run_inputs import RunInputs, load_inputs
from tinybench.tracking import run_kinds, run_record, stored_predictions, tags
from tinybench.tracking.tracker import Tracker
from tinybench.training.pooled_features import Backbone, OpenFeatures
from tinybench.training.run_callbacks import RunCallbacks

if TYPE_CHECKING:
    from tinybench.config.run_config import RunConfig
    from tinybench.data.dataset import Dataset
    from tinybench.tracking.run_writer import RunWriter

T = TypeVar("T")

_SAMPLE = {"train": 256, "validation": 128}  # images of the first table
_WORTH_SAMPLING = 8  # times as many training images as the sample: with fewer, all are done soon


@dataclass(frozen=True)
class ProbeResult:
    """The result of probing a backbone.

    Attributes:
        model: Its name; of a file without folder and suffix.
        error: Why it could not be probed; empty if it was.
        run_id: Its MLflow run; empty if there is none.
        engine: What computed its features, and its precision, such as `keras float32`: rates of backbones compare
            only where it is the same.
        metrics: By name, such as `test/accuracy`, `val/accuracy`, `best/penalty` and `efficiency/parameters`.
    """

    model: str
    error: str = ""
    run_id: str = ""
    engine: str = ""
    metrics: dict[str, float] = field(default_factory=dict)


def probe_backbones(
    configs: Sequence[RunConfig],
    callbacks: RunCallbacks | None = None,
    *,
    parent: RunWriter | None = None,
    run_tags: Mapping[str, str] | None = None,
) -> list[ProbeResult]:
    """Probe a backbone for each configuration, and log a run for each.

    Args:
        configs: Configurations of runs on the same data that differ in their model.
        callbacks: Receives the progress.
        parent: The run to which that of the probe belongs, such as that of a benchmark.
        run_tags: Tags that a run with a parent has from its first moment.

    Returns:
        The results, the most accurate on the validation images first; those that could not be probed at the end.

    Raises:
        ConfigError: There is no model, or one is given twice.
        TinybenchError: The data, a model's name or a setting is wrong; or none of the models can be probed.
    """
    if not configs:
        raise ConfigError("Give at least one model: --models mobilenetv2,efficientnetb0")
    doubled = [config.model for index, config in enumerate(configs) if config.model in _names(configs[:index])]
    if doubled:
        raise ConfigError(f"Invalid value for `models`: {doubled[0]} is given twice.")
    for config in configs:
        preflight.check_run(config)
    tracker = Tracker(configs[0].track, may_be_away=True)
    with closing(callbacks or RunCallbacks()) as events, closing(tracker), waiting.told_to(events.on_message):
        if parent is None:
            tracker.check_parent_run()
        return _Probe(configs, tracker, events, load_inputs(configs[0])).run(parent, run_tags or {})


def _names(configs: Sequence[RunConfig]) -> list[str]:
    return [config.model for config in configs]


class _Probe:
    """A probe of several backbones on one data set."""

    def __init__(
        self, configs: Sequence[RunConfig], tracker: Tracker, callbacks: RunCallbacks, inputs: RunInputs
    ) -> None:
        self.configs, self.tracker, self.callbacks = configs, tracker, callbacks
        self.dataset: Dataset = inputs.dataset
        self.device = inputs.device
        self.errors: dict[str, TinybenchError] = {}

    def run(self, above: RunWriter | None, run_tags: Mapping[str, str]) -> list[ProbeResult]:
        """Build all backbones, probe one after another below a run, if there is one, and return the results."""
        backbones = {config.model: self._try(config.model, partial(self._build, config)) for config in self.configs}
        self._raise_if_none()
        names = ", ".join(config.model_name for config in self.configs if config.model not in self.errors)
        title = f"probe {names} on {short_name(self.dataset.name)}"
        if above is None:
            parent = self.tracker.open_parent_run(title, run_kinds.PROBE)
        else:
            parent = self.tracker.create_child_run(above, title, run_kinds.PROBE, run_tags)
        with parent.open():
            self.callbacks.on_message(self._describe_data())
            if above is None:  # somebody looks at the first guess
                self._sample({model: backbone for model, backbone in backbones.items() if backbone is not None})
            results = []
            for config in self.configs:
                backbone = backbones.pop(config.model)
                if backbone is not None and config.model not in self.errors:
                    results.append(self._try(config.model, partial(self._probe, config, backbone, parent)))
            self._raise_if_none()
            if self.errors:  # of some of the models
                parent.set_tags({tags.ERROR: " ".join(f"{name}: {error}" for name, error in self.errors.items())})
        probed = sorted((each for each in results if each), key=lambda each: -each.metrics["val/accuracy"])
        failed = [ProbeResult(c.model_name, str(self.errors[c.model])) for c in self.configs if c.model in self.errors]
        return [*probed, *failed]

    def _try(self, model: str, action: Callable[[], T]) -> T | None:
        """Return what an action returns; None if the model cannot be probed, and keep the reason."""
        try:
            return action()
        except TinybenchError as error:
            self.errors[model] = error
            self.callbacks.on_message(f"{Path(model).name} is left out: {error}")
            return None

    def _raise_if_none(self) -> None:
        if len(self.errors) == len(self.configs):
            raise next(iter(self.errors.values()))

    def _describe_data(self) -> str:
        counts = ", ".join(f"{len(split):,} {name}" for name, split in self.dataset.splits.items())
        return f"{self.dataset.name}: {counts} images, {len(self.dataset.class_names)} classes, on {self.device}"

    def _build(self, config: RunConfig) -> Backbone:
        device.make_repeatable(config.seed, config.deterministic)
        with waiting.tell_if_slow(f"building {config.model_name}"):
            model = models.build(config, self.dataset.shape, len(self.dataset.class_names))
        return Backbone(config, self.dataset, model)

    def _sample(self, backbones: dict[str, Backbone]) -> None:
        """Report the validation accuracy of a head on a sample of the images, for all backbones, as a first guess."""
        if len(self.dataset.train) < _WORTH_SAMPLING * _SAMPLE["train"]:
            return
        accuracies = {}
        for model, backbone in backbones.items():
            accuracy = self._try(model, partial(self._score_sample, backbone))
            if accuracy is not None:
                accuracies[model] = accuracy
        self.callbacks.on_probe_sample(accuracies, _SAMPLE["train"], _SAMPLE["validation"])

    def _score_sample(self, backbone: Backbone) -> float:
        """Return the accuracy on a sample of the validation images of a head that was fitted to a sample."""
        parts = {}
        for name, size in _SAMPLE.items():
            split = self.dataset.splits[name]
            indices = sample_rows(len(split), size)
            features = backbone.sample(split, indices)
            parts[name] = LabelledFeatures(split.labels[indices], partial(list, [features]))
        head = ridge_head.fit_ridge_head(parts["train"], parts["validation"], len(self.dataset.class_names))
        return head.validation_accuracy

    @contextmanager
    def _open_run(self, config: RunConfig, parent: RunWriter) -> Iterator[RunWriter]:
        """Open the run of a backbone below that of the probe; a single backbone has the run of the probe itself."""
        if len(self.configs) == 1:
            yield parent
            return
        name = f"probe {config.model_name} on {short_name(self.dataset.name)}"
        with self.tracker.create_child_run(parent, name, run_kinds.PROBE).open() as run:
            yield run

    def _probe(self, config: RunConfig, backbone: Backbone, parent: RunWriter) -> ProbeResult:
        """Probe a backbone and log its run."""
        with self._open_run(config, parent) as run:
            _log_settings(run, config)
            run_record.log_data(run, self.dataset)
            run.set_tags({tags.DEVICE: self.device})
            self.callbacks.on_message(f"{config.model_name}:")
            start_time = time.perf_counter()
            with backbone.open_features(self.callbacks) as features:
                metrics = self._score(run, features)
            metrics["efficiency/probe_seconds"] = time.perf_counter() - start_time
            metrics |= _feature_metrics(features) | _size_metrics(backbone)
            metrics |= self._measure(run, config, backbone)
            metrics |= run_costs.efficiency_ratio(metrics)
            run.log_metrics(metrics, 0, time.time_ns() // 1_000_000)
        engine = f"{features.decision.engine or 'keras'} {features.decision.computing}".strip()
        return ProbeResult(config.model_name, run_id=run.id, engine=engine, metrics=metrics)

    def _score(self, run: RunWriter, features: OpenFeatures) -> dict[str, float]:
        """Fit the head, and log its predictions and how the features were computed."""
        dataset = self.dataset
        parts = {
            name: LabelledFeatures(split.labels, partial(features.read_blocks, split))
            for name, split in dataset.splits.items()
        }
        with waiting.tell_if_slow("fitting the head"):
            head = ridge_head.fit_ridge_head(parts["train"], parts["validation"], len(dataset.class_names))
        predictions = {
            name: Predictions.from_logits(dataset.splits[name].rows, parts[name].labels, head.predict(parts[name]))
            for name in ("validation", "test")
        }
        for name, values in predictions.items():
            stored_predictions.log_predictions(run, name, values)
        evaluation = evaluate_predictions(
            predictions["test"], predictions["validation"], superclasses=dataset.superclasses
        )
        decision = features.decision
        told = {tags.FEED: decision.mode, tags.FEED_REASON: decision.reason, tags.FEED_LAYER: decision.layer}
        told |= {tags.ENGINE: decision.engine, tags.ENGINE_PRECISION: decision.computing}
        run.set_tags({tag: value for tag, value in told.items() if value})
        return phase_evaluation.prefix_metrics("test", evaluation) | {
            "val/accuracy": head.validation_accuracy,
            "best/penalty": head.penalty,
            "best/temperature": head.temperature,
        }

    def _measure(self, run: RunWriter, config: RunConfig, backbone: Backbone) -> dict[str, float]:
        """Measure the latency of the whole model, in another process."""
        if config.track.costs == "off":
            return {}
        with TemporaryDirectory() as folder:
            file = Path(folder) / "model.keras"
            backbone.model.save(file)
            mode = config.track.costs
            return run_costs.measure_run(
                run, Path(folder), file, mode, self.device, self.callbacks, latency_only=mode == "quick"
            )


def _log_settings(run: RunWriter, config: RunConfig) -> None:
    """Log the settings that affect a probe as parameters, and all of them as JSON."""
    values = compared_text(config)
    run.log_params({key: text for key, text in values.items() if key.startswith(PROBE_SETTINGS)})
    run.log_text(json.dumps(config.flat_redacted(), indent=1), "config.json")
    run.set_tags(run_record.hash_user_files(config))


def _feature_metrics(features: OpenFeatures) -> dict[str, float]:
    if not features.images:
        return {}
    return {
        "efficiency/features_seconds": features.seconds,
        "efficiency/features_images_per_second": features.images / features.seconds,
    }


def _size_metrics(backbone: Backbone) -> dict[str, float]:
    """Return the parameters of the whole model and the size of its weights."""
    weights = backbone.model.weights
    size = sum(int(np.prod(weight.shape)) * np.dtype(weight.dtype).itemsize for weight in weights)
    return {"efficiency/parameters": float(backbone.model.count_params()), "efficiency/weight_bytes": float(size)}
