"""Measure what a trial costs beyond its training, and whether workers share a study without losing a trial.

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


def train_nothing(config, dataset, folder, callbacks):
    """Report epochs whose metrics follow from the settings, in place of a training."""
    from tinybench.training.progress import Epoch

    accuracy = 0.0
    for number in range(1, EPOCHS + 1):
        accuracy = 1 - config.head.dropout / number
        metrics = {"val/loss": 1 - accuracy, "val/accuracy": accuracy, "train/loss": 1.0, "train/accuracy": 0.5}
        callbacks.on_epoch_end(Epoch(number, metrics, time.time_ns() // 1_000_000))
    return {"best/val_accuracy": accuracy}


def run_worker(storage: str, store: str) -> None:
    """Be a worker like `tinybench sweep-worker`; print the trials done, their seconds, and the entries left unsent."""
    from tinybench.sweeps import optuna_storage
    from tinybench.sweeps.study import Study
    from tinybench.sweeps.trial_runs import TrialRuns
    from tinybench.sweeps.worker import Worker
    from tinybench.tracking.tracker import Tracker

    study = Study.load(optuna_storage.connect(storage), "bench")
    tracker = Tracker.at(store, may_be_away=True)
    runs = TrialRuns(tracker.writer, study.parent_run or "")
    worker = Worker(study, runs, train=train_nothing)
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    trials = worker.run()
    seconds = time.perf_counter() - start
    tracker.close()
    print(f"{trials} {seconds} {tracker.writer.unsent}", flush=True)


def measure(trials: int, workers: int) -> str:
    """Return a line about a study with so many trials, carried out by so many workers."""
    from tinybench.config.sections import TrackConfig
    from tinybench.sweeps import optuna_storage, space_file
    from tinybench.sweeps.study import Study
    from tinybench.sweeps.trial_queue import TrialQueue
    from tinybench.tracking.tracker import Tracker

    with TemporaryDirectory() as folder:
        os.chdir(folder)
        storage = os.environ.get("TINYBENCH_STORAGE", f"sqlite:///{folder}/optuna.db")
        store = f"sqlite:///{folder}/mlflow.db"
        space = space_file.read(SPACE.format(trials=trials), "bench")
        study = Study.create(optuna_storage.connect(storage), "bench", space, {})
        tracker = Tracker(TrackConfig(uri=store))
        parent = tracker.open_parent_run("bench")
        study.parent_run = parent.id
        TrialQueue(study).fill()
        command = [sys.executable, "-m", "benchmarks.sweeps", "work", storage, store]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        pipe = subprocess.PIPE
        processes = [
            subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) for _ in range(workers)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:  # all begin before one is waited for
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        outputs = [process.communicate()[0].split() for process in processes]
        parent.end("FINISHED")
        tracker.close()
        trial_tags = [run.data.tags.get("tinybench.trial") for run in find_trial_runs(tracker)]
        counts, doubled = study.counts(), sum(count > 1 for count in Counter(trial_tags).values())
        seconds = max(float(output[1]) for output in outputs)
        return (
            f"{trials} trials by {workers}: {seconds / trials * workers:.3f} s a trial and worker; "
            f"{counts.complete} complete, {counts.pruned} pruned, {counts.failed} failed, "
            f"{trials - counts.finished} lost, {doubled} doubled, {len(trial_tags)} runs in MLflow, "
            f"{sum(int(output[2]) for output in outputs)} entries unsent"
        )


def find_trial_runs(tracker):
    """Return the runs of all trials."""
    runs, token = [], None
    while True:
        query = "tags.`tinybench.trial` != ''"
        page = tracker.client.search_runs(["0", "1"], query, max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def main() -> None:
    """Measure one worker, then four."""
    print(measure(30, 1), flush=True)
    print(measure(200, 4), flush=True)


if __name__ == "__main__":
    run_worker(*sys.argv[2:]) if sys.argv[1:2] == ["work"] else main()
