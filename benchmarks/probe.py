"""How long a probe takes for each backbone, and whether its order is that of transfer learning.

`python -m benchmarks.probe --models a.keras,b.keras --datasets cifar10 --data_root DIR` probes them. With `--epochs 5`
it also trains the transfer phase of each, from the features that the probe stored, and prints Kendall's rank
correlation of the accuracies on the test images, and the regret: what the model that the probe has first on the
validation images lacks to the best one after training.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scipy.stats import kendalltau

import tinybench


def main() -> None:
    """Print a line for each backbone and, with `--epochs`, one for each data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", required=True)
    parser.add_argument("--datasets", default="cifar10")
    parser.add_argument("--data_root")
    parser.add_argument("--image_size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=0)
    options = parser.parse_args()
    models = [str(Path(name).resolve()) if name.endswith(".keras") else name for name in options.models.split(",")]
    with TemporaryDirectory() as folder:
        os.environ |= {"TINYBENCH_CACHE": f"{folder}/cache", "TINYBENCH_STATE": f"{folder}/state"}
        settings: dict[str, Any] = {"image_size": options.image_size, "track_uri": f"sqlite:///{folder}/mlflow.db"}
        if options.data_root:
            settings["data_root"] = str(Path(options.data_root).resolve())
        os.chdir(folder)
        for dataset in options.datasets.split(","):
            results = [result for result in tinybench.probe(models, dataset, **settings) if not result.error]
            for result in results:
                _print_result(dataset, f"{result.model} ({result.engine})", result.metrics)
            if options.epochs:
                by_name = {Path(model).stem: model for model in models}
                found = {
                    result.model: _train(by_name[result.model], dataset, options.epochs, settings) for result in results
                }
                _print_agreement(dataset, {result.model: result.metrics for result in results}, found)


def _print_result(dataset: str, model: str, metrics: dict[str, float]) -> None:
    images_per_second = metrics["efficiency/features_images_per_second"]
    print(
        f"{dataset}, {model}: top-1 {metrics['test/accuracy']:.4f} "
        f"[{metrics['test/accuracy_low']:.4f}, {metrics['test/accuracy_high']:.4f}], "
        f"val {metrics['val/accuracy']:.4f}, penalty {metrics['best/penalty']:.2g}, "
        f"{images_per_second:,.0f} images/s, {metrics['efficiency/probe_seconds']:.1f} s",
        flush=True,
    )


def _train(model: str, dataset: str, epochs: int, settings: dict[str, Any]) -> float:
    """Return the accuracy on the test images after the transfer phase."""
    training = {"phases": "transfer", "transfer_epochs": epochs, "transfer_views": 0}
    lean = {"track_costs": "off", "track_pictures": False, "explain_images": 0}
    result = tinybench.train("tiny-imagenet-tlft", model=model, dataset=dataset, **training, **lean, **settings)
    return result.metrics["test/accuracy"]


def _print_agreement(dataset: str, probed: dict[str, dict[str, float]], trained: dict[str, float]) -> None:
    for model, accuracy in trained.items():
        print(f"{dataset}, {model}: transfer top-1 {accuracy:.4f}", flush=True)
    correlation = kendalltau([metrics["test/accuracy"] for metrics in probed.values()], [*trained.values()]).statistic
    first = max(probed, key=lambda model: probed[model]["val/accuracy"])
    regret = max(trained.values()) - trained[first]
    print(f"{dataset}: Kendall {correlation:.2f}, regret {100 * regret:.2f} points ({first} first)", flush=True)


if __name__ == "__main__":
    main()
