"""One MLflow run, written to by its id, so that nothing depends on which run is active."""

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

from tinybench.config.fields import as_text
from tinybench.core.errors import in_one_line
from tinybench.core.redaction import without_secrets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tinybench.data.dataset import Dataset

ERROR_TAG = "tinybench.error"
_PARAMS_A_CALL = 100
_LONGEST_TAG = 5000


class Run:
    """A run in the store: parameters, metrics, tags, artifacts and its end."""

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        """Args: a client of the store, and the run's id."""
        self.client = client
        self.id = run_id

    def params(self, values: Mapping[str, Any]) -> None:
        """Log a configuration once.

        `mlflow run` has already logged its own parameters as text. One that the user left alone says
        `recipe` there; its value then goes under `recipe.<key>`.
        """
        known = self.client.get_run(self.id).data.params
        fresh = {f"recipe.{key}" if known.get(key) == "recipe" else key: value for key, value in values.items()}
        params = [Param(key, without_secrets(as_text(value))) for key, value in fresh.items() if key not in known]
        for start in range(0, len(params), _PARAMS_A_CALL):
            self.client.log_batch(self.id, params=params[start : start + _PARAMS_A_CALL])

    def metrics(self, values: Mapping[str, float], step: int, timestamp: int) -> None:
        """Log values of one moment; the same moment sent twice is one point."""
        self.client.log_batch(self.id, metrics=[Metric(k, v, timestamp, step) for k, v in values.items()])

    def tags(self, values: Mapping[str, Any]) -> None:
        """Set tags."""
        self.client.log_batch(self.id, tags=[RunTag(key, str(value)[:_LONGEST_TAG]) for key, value in values.items()])

    def dataset(self, dataset: Dataset) -> None:
        """Link the data, by fingerprint and split, as an MLflow dataset input."""
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
        context = [InputTag("mlflow.data.context", "training")]
        first_or_second(lambda: self.client.log_inputs(self.id, [DatasetInput(dataset=entity, tags=context)]))

    def text(self, text: str, path: str) -> None:
        """Store text as an artifact."""
        self.client.log_text(self.id, text, path)

    def figure(self, figure: Figure, path: str, also: tuple[Run, int] | None = None) -> None:
        """Store a picture as an artifact; `also` a run that shows it by step among MLflow's images."""
        with TemporaryDirectory() as folder:
            file = Path(folder) / Path(path).name
            figure.savefig(file, dpi=120)
            self.artifact(file, str(Path(path).parent))
            if also is not None:
                whole, step = also
                whole.client.log_image(whole.id, mlflow.Image(str(file)), key=file.stem, step=step)

    def arrays(self, path: str, **arrays: NDArray[Any]) -> None:
        """Store arrays as one compressed `.npz` artifact."""
        with TemporaryDirectory() as folder:
            file = Path(folder) / Path(path).name
            np.savez_compressed(file, allow_pickle=False, **arrays)
            self.artifact(file, str(Path(path).parent))

    def artifact(self, file: Path, folder: str) -> None:
        """Store a file as an artifact in a folder."""
        self.client.log_artifact(self.id, str(file), folder)

    def restart(self) -> None:
        """Mark a run that had ended, or died, as running again."""
        self.client.update_run(self.id, status="RUNNING")
        if ERROR_TAG in self.client.get_run(self.id).data.tags:
            self.client.delete_tag(self.id, ERROR_TAG)

    def end(self, status: str, reason: str = "") -> None:
        """Mark the run FINISHED, FAILED or KILLED, with the reason in a tag."""
        if reason:
            self.tags({ERROR_TAG: without_secrets(reason)})
        self.client.set_terminated(self.id, status)

    @contextmanager
    def open(self, hint: Callable[[BaseException], str] = lambda error: "") -> Iterator[Run]:
        """End the run with what becomes of the block: never left RUNNING while the process lives.

        An exception goes on with the hint to it, where there is one, as a note for the person at the terminal.
        """
        try:
            yield self
        except BaseException as error:
            status, reason = outcome_of(error)
            way_back = hint(error)
            if way_back:
                error.add_note(way_back)
            if isinstance(error, KeyboardInterrupt):
                _let_go(error)
            try:
                self.end(status, reason)
            except MlflowException as lost:  # the store is down or full as well: the first error is what matters
                error.add_note(f"Run {self.id} could not be marked {status}: {in_one_line(lost)}")
            raise
        self.end("FINISHED")


def _let_go(error: BaseException) -> None:
    """Drop what an interruption keeps alive: the cursor of a write, in a traceback, keeps the database locked."""
    found: BaseException | None = error
    while found is not None:
        traceback.clear_frames(found.__traceback__)
        found = found.__context__
    gc.collect()  # what is left of it holds itself in circles


@tenacity.retry(
    retry=tenacity.retry_if_exception_message(match=r"(?is).*(UNIQUE constraint|duplicate key|already exists)"),
    stop=tenacity.stop_after_attempt(5),
    wait=tenacity.wait_random(0, 0.2),
    reraise=True,
)
def first_or_second(call: Callable[[], object]) -> None:
    """Write what another run may write in the same moment: MLflow's SQL stores fail for the second, once."""
    call()


def outcome_of(error: BaseException) -> tuple[str, str]:
    """The MLflow status and the reason that an exception stands for."""
    if isinstance(error, KeyboardInterrupt):
        return "KILLED", str(error) or "Interrupted by Ctrl-C."
    return "FAILED", in_one_line(error)
