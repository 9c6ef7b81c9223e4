"""Write to one MLflow run by its id, so that nothing depends on which run is active."""

from __future__ import annotations

import gc
import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import mlflow
import numpy as np
import tenacity
from mlflow.entities import Dataset as MlflowDataset
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from numpy.typing import NDArray

from tinybench.config.fields import format_value
from tinybench.core.errors import format_error
from tinybench.core.redaction import redact
from tinybench.tracking import tags

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tinybench.data.dataset import Dataset

FIGURE_DPI = 120
MAX_PARAMS_PER_CALL = 100
MAX_TAG_LENGTH = 5000


class Run:
    """A run in the store: its parameters, metrics, tags and artifacts, and its end.

    Args:
        client: A client of the store.
        run_id: The id of a run that exists.

    Attributes:
        client: The client of the store.
        id: The id of the run.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self.client = client
        self.id = run_id

    def log_params(self, values: Mapping[str, Any]) -> None:
        """Log the parameters that the run does not have yet.

        `mlflow run` has already logged its own parameters as text. One that the user did not set has the value
        `recipe` there; the value that the recipe gives it is then logged as `recipe.<key>`.
        """
        logged = self.client.get_run(self.id).data.params
        renamed = {f"recipe.{key}" if logged.get(key) == "recipe" else key: value for key, value in values.items()}
        params = [Param(key, redact(format_value(value))) for key, value in renamed.items() if key not in logged]
        for start in range(0, len(params), MAX_PARAMS_PER_CALL):
            self.client.log_batch(self.id, params=params[start : start + MAX_PARAMS_PER_CALL])

    def log_metrics(self, values: Mapping[str, float], step: int, timestamp: int) -> None:
        """Log metrics of one moment; logging the same moment again adds no second point.

        Args:
            values: Metrics by name.
            step: The number of the epoch.
            timestamp: Milliseconds since 1970.
        """
        self.client.log_batch(self.id, metrics=[Metric(k, v, timestamp, step) for k, v in values.items()])

    def set_tags(self, values: Mapping[str, Any]) -> None:
        """Set tags; values become text of at most 5,000 characters."""
        run_tags = [RunTag(key, str(value)[:MAX_TAG_LENGTH]) for key, value in values.items()]
        self.client.log_batch(self.id, tags=run_tags)

    def log_dataset(self, dataset: Dataset) -> None:
        """Link the data, with its fingerprint and split, as an MLflow dataset input."""
        profile: dict[str, Any] = {f"{name}_images": len(split) for name, split in dataset.splits.items()}
        profile |= {"classes": len(dataset.class_names), "split_hash": dataset.split_hash}
        profile |= {f"duplicates_{pair}": count for pair, count in dataset.duplicates.items()}
        entity = MlflowDataset(
            name=dataset.name[:500],
            digest=dataset.fingerprint[:32],
            source_type="local",
            source=json.dumps({"uri": dataset.origin, "fingerprint": dataset.fingerprint}),
            schema=json.dumps({"image": ["uint8", *dataset.shape], "label": "int32"}),
            profile=json.dumps(profile),
        )
        context = [InputTag(tags.DATASET_CONTEXT, "training")]
        retry_on_conflict(lambda: self.client.log_inputs(self.id, [DatasetInput(dataset=entity, tags=context)]))

    def log_text(self, text: str, path: str) -> None:
        """Store text as an artifact."""
        self.client.log_text(self.id, text, path)

    def log_figure(self, figure: Figure, path: str) -> None:
        """Store a figure as an artifact; the ending of the path gives the format."""
        with TemporaryDirectory() as folder:
            file = Path(folder) / Path(path).name
            figure.savefig(file, dpi=FIGURE_DPI)
            self.log_artifact(file, str(Path(path).parent))

    def log_image(self, file: Path, step: int) -> None:
        """Show an image file at a step among MLflow's images of the run, under the stem of the file's name."""
        self.client.log_image(self.id, mlflow.Image(str(file)), key=file.stem, step=step)

    def log_arrays(self, path: str, **arrays: NDArray[Any]) -> None:
        """Store arrays as one compressed `.npz` artifact."""
        with TemporaryDirectory() as folder:
            file = Path(folder) / Path(path).name
            np.savez_compressed(file, allow_pickle=False, **arrays)
            self.log_artifact(file, str(Path(path).parent))

    def log_artifact(self, file: Path, folder: str) -> None:
        """Store a file as an artifact in a folder of the run."""
        self.client.log_artifact(self.id, str(file), folder)

    def restart(self) -> None:
        """Mark a run that ended, or whose process died, as RUNNING and remove its error."""
        self.client.update_run(self.id, status="RUNNING")
        if tags.ERROR in self.client.get_run(self.id).data.tags:
            self.client.delete_tag(self.id, tags.ERROR)

    def end(self, status: str, reason: str = "") -> None:
        """Mark the run FINISHED, FAILED or KILLED, and store the reason, if there is one, as a tag."""
        if reason:
            self.set_tags({tags.ERROR: redact(reason)})
        self.client.set_terminated(self.id, status)

    @contextmanager
    def open(self, make_note: Callable[[BaseException], str] = lambda error: "") -> Iterator[Run]:
        """End the run when the block ends, so that it is never left RUNNING while the process lives.

        Args:
            make_note: Returns what to add to an exception for the person at the terminal, such as the command that
                resumes the run; empty for nothing.
        """
        try:
            yield self
        except BaseException as error:
            status, reason = status_and_reason(error)
            note = make_note(error)
            if note:
                error.add_note(note)
            if isinstance(error, KeyboardInterrupt):
                _release_frames(error)
            try:
                self.end(status, reason)
            except MlflowException as store_error:  # the store may be down or full; the first error is what matters
                error.add_note(f"Run {self.id} could not be marked {status}: {format_error(store_error)}")
            raise
        self.end("FINISHED")


def _release_frames(error: BaseException) -> None:
    """Clear the frames of an interruption: a database cursor in one of them would keep the database locked."""
    chained: BaseException | None = error
    while chained is not None:
        traceback.clear_frames(chained.__traceback__)
        chained = chained.__context__
    gc.collect()  # some of the objects refer to each other in a cycle


@tenacity.retry(
    retry=tenacity.retry_if_exception_message(match=r"(?is).*(UNIQUE constraint|duplicate key|already exists)"),
    stop=tenacity.stop_after_attempt(5),
    wait=tenacity.wait_random(0, 0.2),
    reraise=True,
)
def retry_on_conflict(call: Callable[[], object]) -> None:
    """Call a function again if another process wrote the same row first: MLflow's SQL stores then fail once."""
    call()


def status_and_reason(error: BaseException) -> tuple[str, str]:
    """Return the MLflow status, FAILED or KILLED, and the reason in one line for a run that an exception ended."""
    if isinstance(error, KeyboardInterrupt):
        return "KILLED", str(error) or "Interrupted by Ctrl-C."
    return "FAILED", format_error(error)
