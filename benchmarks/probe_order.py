"""How well the order of probes holds after training, by the probes and trained runs of a tracking store.

`python -m benchmarks.probe_order URI` prints for each data set and phase Kendall's rank correlation of the probes'
validation accuracy with the mean test accuracy of the trained models, and two regrets: what the test accuracy of the
probe's first model lacks to that of the best model, and what the best of the better half lacks, which a halving trains.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from statistics import fmean

from scipy.stats import kendalltau

from tinybench.benchmark.halving import count_kept
from tinybench.leaderboard.entries import list_entries, name_file
from tinybench.tracking import run_kinds
from tinybench.tracking.run_cache import RunCache
from tinybench.tracking.tracker import Tracker

Accuracies = dict[str, dict[str, list[float]]]
"""By data set, or data set and phase, and by model: the accuracies of its runs."""


def read_store(uri: str) -> tuple[Accuracies, dict[tuple[str, str], dict[str, list[float]]]]:
    """Return the validation accuracies of probes, and the test accuracies of finished phases with all seeds."""
    cache = RunCache(Tracker.at(uri))
    cache.update()
    runs = cache.list_runs()
    probes: Accuracies = defaultdict(dict)
    for run in sorted(runs, key=lambda run: run.started):
        if run_kinds.kind_of(run.tags) == run_kinds.PROBE and "val/accuracy" in run.metrics:
            probes[run.params["dataset"]][name_file(run.params["model"])] = [run.metrics["val/accuracy"]]
    trained: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for entry in list_entries(runs):
        if entry.is_last:
            trained[entry.dataset, entry.phase][entry.model].append(entry.phase_run.metrics["test/accuracy"])
    return probes, trained


def main() -> None:
    """Print a line for each data set and phase, and one for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("uri")
    probes, trained = read_store(parser.parse_args().uri)
    for (dataset, phase), accuracies in sorted(trained.items()):
        means = {model: fmean(values) for model, values in accuracies.items() if model in probes[dataset]}
        if len(means) < 2:
            continue
        order = sorted(means, key=lambda model: -probes[dataset][model][0])
        correlation = kendalltau([probes[dataset][model][0] for model in order], [means[model] for model in order])
        best = max(means.values())
        kept = max(means[model] for model in order[: count_kept(len(order))])
        print(
            f"{dataset}, {phase}, {len(means)} models: Kendall {correlation.statistic:.2f}, "
            f"regret {100 * (best - means[order[0]]):.2f} points, of the better half {100 * (best - kept):.2f}"
        )
        for model in order:
            count = len(accuracies[model])
            print(f"    {model}: probe {probes[dataset][model][0]:.4f}, {phase} {means[model]:.4f} ({count} seeds)")


if __name__ == "__main__":
    main()
