"""Write the model card of a version: what it is, where it comes from, how good it is, and where not to trust it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from PIL import Image

from tinybench.core.metric_text import format_metric, is_defined
from tinybench.job import description
from tinybench.tracking import queries, run_record, tags

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.tracking.tracker import Tracker

FOLDER = "registry"
"""The folder of a run's artifacts for what belongs to its registered versions."""

_METRICS = {"accuracy": "top-1", "top5": "top-5", "f1_macro": "F1", "auc_ovr_macro": "AUC", "log_loss": "log loss"}
_PLOTS = {  # the first one that the run has is shown
    "figures/confusion_matrix.png": "True and predicted classes of the test images",
    "figures/per_class_accuracy.png": "Accuracy by class",
    "figures/curves.png": "Loss and accuracy by epoch",
}
_MAX_PIXELS = 800
_COSTS = {  # text, and factor to its unit
    "efficiency/parameters": ("{:,.0f} parameters", 1.0),
    "efficiency/weight_bytes": ("{:.3g} MB of weights", 1e-6),
    "efficiency/cpu_latency_p50_ms": ("{:.3g} ms an image on the processor (p50)", 1.0),
    "efficiency/cpu_latency_p99_ms": ("{:.3g} ms p99", 1.0),
    "efficiency/gpu_latency_p50_ms": ("{:.3g} ms on the GPU (p50)", 1.0),
}


def write(tracker: Tracker, run_id: str) -> str:
    """Return the card of a run's model as Markdown, and store its plot with the run.

    Raises:
        TrackingError: There is no such run.
    """
    run, final_run = tracker.get_run(run_id), run_record.find_final_run(tracker, run_id)
    metrics, run_tags = final_run.data.metrics, run.data.tags
    model, dataset = Path(queries.param(run, "model")).stem, queries.param(run, "dataset")
    link = f"#/experiments/{run.info.experiment_id}/runs/{run_id}?workflowType=machine_learning"

    def short_tag(name: str) -> str:
        return str(run_tags.get(name, ""))[:12]

    lines = [
        f"# {model} on {dataset}",
        f"Trained by recipe `{queries.param(run, 'recipe')}`, phases {queries.param(run, 'phases')}, seed "
        f"{queries.param(run, 'seed')}, in run [{run_id[:8]}]({link}).",
        "## Metrics",
        _metrics_table(metrics),
        "## Cost",
        _describe_costs(metrics),
        "## Calibration",
        _describe_calibration(metrics),
        "## Data",
        f"`{dataset}`, fingerprint `{short_tag(tags.DATA_FINGERPRINT)}`, test images `{short_tag(tags.TEST_HASH)}`. "
        "Weights were chosen by validation images; test images were scored once a phase.",
        "## Limits",
        _list_limits(run),
        "## Lineage",
        f"Run `{run_id}`, model `{run_tags.get(tags.MODEL_URI, '')}`, settings `{short_tag(tags.CONFIG_HASH)}`, "
        f"code `{short_tag(tags.GIT_COMMIT)}`.",
        _show_plot(tracker, final_run.info.run_id),
    ]
    return "\n\n".join(filter(None, lines))


def _metrics_table(metrics: Mapping[str, float]) -> str:
    rows = ["| on the test images | value | 95 % interval |", "|---|---|---|"]
    for name, label in _METRICS.items():
        key = f"test/{name}"
        if key in metrics:
            low, high = metrics.get(f"{key}_low"), metrics.get(f"{key}_high")
            interval = f"{format_metric(low)} to {format_metric(high)}" if is_defined(low, high) else ""
            rows.append(f"| {label} | {format_metric(metrics[key])} | {interval} |")
    return "\n".join(rows)


def _describe_costs(metrics: Mapping[str, float]) -> str:
    costs = [
        text.format(metrics[key] * factor) for key, (text, factor) in _COSTS.items() if is_defined(metrics.get(key))
    ]
    return (", ".join(costs) + ".") if costs else "Not measured."


def _describe_calibration(metrics: Mapping[str, float]) -> str:
    if not is_defined(metrics.get("test/ece_scaled"), metrics.get("test/ece"), metrics.get("best/temperature", 1)):
        return "Probabilities are as the network gives them."
    return (
        f"Probabilities are given at temperature {metrics.get('best/temperature', 1):.3g}, fitted on validation "
        f"images: calibration error {metrics['test/ece_scaled']:.4f}, {metrics['test/ece']:.4f} without it."
    )


def _list_limits(run: MlflowRun) -> str:
    limits = [
        "It takes every image for one of its classes, also one that shows none of them.",
        "Metrics hold for images like the test images; it may do worse on other cameras, sizes and subjects. It warns "
        "of small and gray images.",
    ]
    if queries.param(run, "dataset") == "tiny-imagenet" and queries.param(run, "weights") == "imagenet":
        limits.append(description.PRETRAINED_WARNING)
    if tags.DATA_WARNINGS in run.data.tags:
        limits.append(run.data.tags[tags.DATA_WARNINGS])
    return "\n".join(f"- {limit}" for limit in limits)


def _show_plot(tracker: Tracker, run_id: str) -> str:
    """Return Markdown that shows a plot of the run and opens it in full size on a click; empty if there is no plot.

    A smaller copy is stored and shown, because MLflow's page shows an image with all its pixels.
    """
    stored = {artifact.path for artifact in tracker.client.list_artifacts(run_id, "figures")}
    path = next((path for path in _PLOTS if path in stored), None)
    if path is None:
        return ""
    with TemporaryDirectory() as folder:
        small = Path(folder) / "card.png"
        with Image.open(tracker.client.download_artifacts(run_id, path, folder)) as plot:
            plot.thumbnail((_MAX_PIXELS, _MAX_PIXELS))
            plot.save(small)
        tracker.amend(tracker.get_run(run_id)).log_artifact(small, FOLDER)
    image = f"![{_PLOTS[path]}](get-artifact?path={FOLDER}/card.png&run_uuid={run_id})"
    return f"[{image}](get-artifact?path={path}&run_uuid={run_id})"
