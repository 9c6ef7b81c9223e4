"""What a trial costs beyond its training, and whether workers share a study without losing or doubling a trial.

The training is a trivial one here; everything else is as in a sweep: Optuna's database, MLflow's store, five epochs
that are logged and judged by the pruner. The storage is SQLite unless TINYBENCH_STORAGE names another.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

SPACE = """\
recipe = "quickstart"
objective = "val/accuracy"
pruner = "median"
trials = {trials}
[space]
transfer.lr = {{ distribution = "log-uniform", low = 1e-4, high = 1e-1 }}
head.dropout = {{ distribution = "uniform", low = 0.0, high = 0.5 }}
"""
EPOCHS = 5


def trivial(config, dataset, folder, on_epoch):
    """No training: epochs whose figures follow from the settings."""
    from tinybench.training.progress import Epoch

    value = 0.0
    for number in range(1, EPOCHS + 1):
        value = 1 - config.head.dropout / number
        metrics = {"val/loss": 1 - value, "val/accuracy": value, "train/loss": 1.0, "train/accuracy": 0.5}
        on_epoch(Epoch(number, metrics, time.time_ns() // 1_000_000))
    return {"best/val_accuracy": value}


def work(storage: str, store: str) -> None:
    """A worker, as `tinybench sweep-worker` is one."""
    from tinybench.sweeps import optuna_storage as storages
    from tinybench.sweeps import study
    from tinybench.sweeps.trial_runs import Tracked
    from tinybench.sweeps.worker import Worker
    from tinybench.tracking import journal

    made = study.find(storages.connect(storage), "bench")
    writer = journal.Journal(journal.connect(store), Path(f"{os.getpid()}.jsonl"))
    worker = Worker(made, Tracked(writer, made.kept("experiment"), made.parent or ""), train=trivial)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    done = worker.work()
    print(f"{done} {time.perf_counter() - began} {writer.count_pending()}", flush=True)


def measure(trials: int, workers: int) -> str:
    """A study with so many trials by so many workers."""
    from tinybench.config.sections import TrackConfig
    from tinybench.sweeps import optuna_storage as storages
    from tinybench.sweeps import space_file, study
    from tinybench.tracking.tracker import Tracker

    with TemporaryDirectory() as folder:
        os.chdir(folder)
        storage, store = (
            os.environ.get("TINYBENCH_STORAGE", f"sqlite:///{folder}/optuna.db"),
            f"sqlite:///{folder}/mlflow.db",
        )
        made = study.create(
            storages.connect(storage), "bench", space_file.read(SPACE.format(trials=trials), "bench"), {}
        )
        tracker = Tracker(TrackConfig(uri=store))
        parent = tracker.open_parent_run("bench")
        made.parent = parent.id
        made.keep("experiment", "0")
        made.plan()
        words = [sys.executable, "-m", "benchmarks.sweeps", "work", storage, store]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        pipe = subprocess.PIPE
        processes = [
            subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=environment) for _ in range(workers)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        answers = [process.communicate("\n")[0].split() for process in processes]
        runs = [run.data.tags.get("tinybench.trial") for run in _runs(tracker)]
        counts, doubled = made.counts(), sum(count > 1 for count in Counter(runs).values())
        seconds = max(float(each[1]) for each in answers)
        return (
            f"{trials} trials by {workers}: {seconds / trials * workers:.3f} s a trial and worker; "
            f"{counts.complete} complete, {counts.pruned} pruned, {counts.failed} failed, "
            f"{trials - counts.done} lost, {doubled} doubled, {len(runs)} runs in MLflow, "
            f"{sum(int(each[2]) for each in answers)} entries unsent"
        )


def _runs(tracker):
    found, token = [], None
    while True:
        page = tracker.client.search_runs(["0"], "tags.`tinybench.trial` != ''", max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def main() -> None:
    """Print both."""
    print(measure(30, 1), flush=True)
    print(measure(200, 4), flush=True)


if __name__ == "__main__":
    work(*sys.argv[2:]) if sys.argv[1:2] == ["work"] else main()
