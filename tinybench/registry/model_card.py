"""A model card: what a registered version is, where it comes from, how good it is, and where it must not be trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from PIL import Image

from tinybench.job import description
from tinybench.tracking import queries, run_record
from tinybench.tracking.run import Run
from tinybench.tracking.tracker import WARNING_TAG

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun

    from tinybench.tracking.tracker import Tracker

_METRICS = {"accuracy": "top-1", "top5": "top-5", "f1_macro": "F1", "auc_ovr_macro": "AUC", "log_loss": "log loss"}
_PLOTS = {  # the first that is there is shown
    "figures/confusion_matrix.png": "How test images are taken for one another",
    "figures/per_class_accuracy.png": "Accuracy by class",
    "figures/curves.png": "Loss and accuracy by epoch",
}
_MAX_PIXELS = 800  # pixels
FOLDER = "registry"  # of a run's artifacts: what belongs to its versions


def write(tracker: Tracker, run_id: str) -> str:
    """The card of a run's model, as Markdown.

    Raises:
        TrackingError: there is no such run.
    """
    run, last = tracker.get_run(run_id), run_record.find_final_run(tracker, run_id)
    found, tags = last.data.metrics, run.data.tags
    model, dataset = Path(queries.param(run, "model")).stem, queries.param(run, "dataset")
    experiment = run.info.experiment_id
    lines = [
        f"# {model} on {dataset}",
        f"Trained by recipe `{queries.param(run, 'recipe')}`, phases {queries.param(run, 'phases')}, seed "
        f"{queries.param(run, 'seed')}, in run [{run_id[:8]}](#/experiments/{experiment}/runs/{run_id}).",
        "## Figures",
        *_metrics_table(found),
        "## Cost",
        *_describe_costs(found),
        "## Calibration",
        _describe_calibration(found),
        "## Data",
        f"`{dataset}`, fingerprint `{tags.get('data.fingerprint', '')[:12]}`, test images "
        f"`{tags.get('data.test_hash', '')[:12]}`. Weights were chosen by validation images; test images were scored "
        "once a phase.",
        "## Limits",
        *_list_limits(run),
        "## Lineage",
        f"Run `{run_id}`, model `{tags.get('tinybench.model_uri', '')}`, settings "
        f"`{tags.get('tinybench.config_hash', '')[:12]}`, code `{tags.get('mlflow.source.git.commit', '')[:12]}`.",
        *_show_plot(tracker, last.info.run_id),
    ]
    return "\n\n".join(lines)


def _show_plot(tracker: Tracker, run_id: str) -> Iterator[str]:
    """A picture of the run, small enough for MLflow's page, which shows all its pixels; a click opens the whole one."""
    kept = {each.path for each in tracker.client.list_artifacts(run_id, "figures")}
    path = next((path for path in _PLOTS if path in kept), None)
    if path is None:
        return
    with TemporaryDirectory() as folder:
        small = Path(folder) / "card.png"
        with Image.open(tracker.client.download_artifacts(run_id, path, folder)) as picture:
            picture.thumbnail((_MAX_PIXELS, _MAX_PIXELS))
            picture.save(small)
        Run(tracker.client, run_id).log_artifact(small, FOLDER)
    shown = f"![{_PLOTS[path]}](get-artifact?path={FOLDER}/card.png&run_uuid={run_id})"
    yield f"[{shown}](get-artifact?path={path}&run_uuid={run_id})"


def _metrics_table(found: Mapping[str, float]) -> Iterator[str]:
    rows = ["| of the test images | value | 95 % interval |", "|---|---|---|"]
    for name, words in _METRICS.items():
        key = f"test/{name}"
        if key in found:
            ends = [found.get(f"{key}_{end}") for end in ("low", "high")]
            interval = f"{ends[0]:.4f} to {ends[1]:.4f}" if None not in ends else ""
            rows.append(f"| {words} | {found[key]:.4f} | {interval} |")
    yield "\n".join(rows)


def _describe_costs(found: Mapping[str, float]) -> Iterator[str]:
    words = {
        "efficiency/parameters": ("{:,.0f} parameters", 1.0),
        "efficiency/weight_bytes": ("{:.3g} MB of weights", 1e-6),
        "efficiency/cpu_latency_p50_ms": ("{:.3g} ms an image on the processor (p50)", 1.0),
        "efficiency/cpu_latency_p99_ms": ("{:.3g} ms p99", 1.0),
        "efficiency/gpu_latency_p50_ms": ("{:.3g} ms on the GPU (p50)", 1.0),
    }
    known = [text.format(found[key] * factor) for key, (text, factor) in words.items() if key in found]
    yield (", ".join(known) + ".") if known else "Not measured."


def _describe_calibration(found: Mapping[str, float]) -> str:
    if "test/ece_scaled" not in found:
        return "Probabilities are as the network gives them."
    return (
        f"Probabilities are given at temperature {found.get('best/temperature', 1):.3g}, fitted on validation images: "
        f"calibration error {found['test/ece_scaled']:.4f}, {found['test/ece']:.4f} without it."
    )


def _list_limits(run: MlflowRun) -> Iterator[str]:
    warned = run.data.tags.get(WARNING_TAG)
    flattered = queries.param(run, "dataset") == "tiny-imagenet" and queries.param(run, "weights") == "imagenet"
    found = [
        "It takes every picture for one of its classes, also one that shows none of them.",
        "Figures hold for pictures like the test images: other cameras, sizes and subjects may do worse; it warns of "
        "small and gray ones.",
        *([description.FLATTERED] if flattered else []),
        *([warned] if warned else []),
    ]
    yield "\n".join(f"- {words}" for words in found)
