"""How long a probe takes for each backbone, and how accurate its head is.

`python -m benchmarks.probe --models a.keras,b.keras --datasets cifar10 --data_root DIR` probes them in an empty cache.
Whether training gives the same order says `benchmarks.probe_order`.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tinybench


def main() -> None:
    """Print a line for each backbone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", required=True)
    parser.add_argument("--datasets", default="cifar10")
    parser.add_argument("--data_root")
    parser.add_argument("--image_size", type=int, default=96)
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


def _print_result(dataset: str, model: str, metrics: dict[str, float]) -> None:
    images_per_second = metrics["efficiency/features_images_per_second"]
    print(
        f"{dataset}, {model}: top-1 {metrics['test/accuracy']:.4f} "
        f"[{metrics['test/accuracy_low']:.4f}, {metrics['test/accuracy_high']:.4f}], "
        f"val {metrics['val/accuracy']:.4f}, penalty {metrics['best/penalty']:.2g}, "
        f"{images_per_second:,.0f} images/s, {metrics['efficiency/probe_seconds']:.1f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
