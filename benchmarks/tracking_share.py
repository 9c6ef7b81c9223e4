"""What logging an epoch to both runs costs on a SQLite store, in milliseconds and as a share of an epoch."""

import statistics
import tempfile
import time

from tinybench.config.sections import TrackConfig
from tinybench.tracking.tracker import Tracker
from tinybench.training.progress import EPOCH_METRICS

_EPOCHS = 30
_EPOCH_SECONDS = (1, 10, 100)


def main() -> None:
    """Print the median cost and what share of shorter and longer epochs it is."""
    with tempfile.TemporaryDirectory() as folder:
        tracker = Tracker(TrackConfig(uri=f"sqlite:///{folder}/mlflow.db"))
        parent = tracker.open_parent_run("parent")
        child = tracker.create_phase_run(parent, "transfer", "child")
        times = []
        for epoch in range(_EPOCHS):
            began = time.perf_counter()
            for run in (child, parent):
                run.log_metrics(dict.fromkeys(EPOCH_METRICS, 0.5), epoch, epoch)
            times.append(time.perf_counter() - began)
        for run in (child, parent):
            run.end("FINISHED")
        tracker.close()
    cost = statistics.median(times)
    shares = ", ".join(f"{cost / seconds:.4%} of {seconds} s" for seconds in _EPOCH_SECONDS)
    print(f"logging an epoch to both runs: {1000 * cost:.2f} ms; {shares}")


if __name__ == "__main__":
    main()
