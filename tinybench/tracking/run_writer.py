"""Write to one run: parameters, metrics, tags, artifacts, the model, and its end."""

from __future__ import annotations

import gc
import io
import json
import re
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tinybench.config.fields import format_value
from tinybench.core import interruption
from tinybench.core.errors import format_error
from tinybench.core.redaction import redact
from tinybench.tracking import tags
from tinybench.tracking.journal.journal import new_key
from tinybench.tracking.journal.journal_writer import JournalWriter, now

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tinybench.data.dataset import Dataset

FIGURE_DPI = 120
MAX_TAG_LENGTH = 5000
_MAX_PREVIEW_SIDE = 1024  # of the copy of an image that MLflow's page shows; MLflow's own, of 256, cannot be read
_PREVIEW_QUALITY = 90  # of WebP, with which small letters stay sharp


class RunWriter:
    """Writes to a run; no call waits for the store.

    Args:
        store: Writes to the store of the run.
        key: The key of the run, or the id of a run that was not made by a journal.
        logged_tags: The tags that the run had when it was opened.
        logged_metrics: The latest value of each metric that the run had then.
        missing_params_only: Whether only parameters are logged that the run does not have.
        foreign: Whether another process writes the run.

    Attributes:
        key: The same.
        logged_tags: The same.
        metrics: The latest value of each metric.
    """

    def __init__(
        self,
        store: JournalWriter,
        key: str,
        *,
        logged_tags: Mapping[str, str] | None = None,
        logged_metrics: Mapping[str, float] | None = None,
        missing_params_only: bool = False,
        foreign: bool = False,
    ) -> None:
        self.store = store
        self.key = key
        self.logged_tags = dict(logged_tags or {})
        self.metrics = dict(logged_metrics or {})
        self._missing_params_only = missing_params_only
        self._replaceable: dict[str, str] = {}  # SHA-256 of artifacts by path
        self._foreign: dict[str, Any] = {"foreign": True} if foreign else {}

    @property
    def id(self) -> str:
        """The id of the run; its key as long as the store has not given it an id."""
        return self.store.id_of(self.key)

    def log_params(self, values: Mapping[str, Any]) -> None:
        """Log parameters.

        `mlflow run` has already logged its own parameters as text, and these stay. One that the user did not set has
        the value `recipe` there; the value that the recipe gives it is then logged as `recipe.<key>`.
        """
        texts = {key: redact(format_value(value)) for key, value in values.items()}
        self._write("params", values=texts, **({"missing_only": True} if self._missing_params_only else {}))

    def log_metrics(self, values: Mapping[str, float], step: int, timestamp: int) -> None:
        """Log metrics of one moment; logging the same moment again adds no second point.

        Args:
            values: Metrics by name.
            step: The number of the epoch.
            timestamp: Milliseconds since 1970.
        """
        floats = {name: float(value) for name, value in values.items()}
        self.metrics |= floats
        self._write("metrics", values=floats, step=step, at=timestamp)

    def set_tags(self, values: Mapping[str, Any]) -> None:
        """Set tags; values become text of at most 5,000 characters."""
        self._write("tags", values={key: str(value)[:MAX_TAG_LENGTH] for key, value in values.items()})

    def log_dataset(self, dataset: Dataset) -> None:
        """Link the data, with its fingerprint and split, as an MLflow dataset input."""
        profile: dict[str, Any] = {f"{name}_images": len(split) for name, split in dataset.splits.items()}
        profile |= {"classes": len(dataset.class_names), "split_hash": dataset.split_hash}
        profile |= {f"duplicates_{pair}": count for pair, count in dataset.duplicates.items()}
        described = {
            "name": dataset.name[:500],
            "digest": dataset.fingerprint[:32],
            "source_type": "local",
            "source": json.dumps({"uri": dataset.origin, "fingerprint": dataset.fingerprint}),
            "schema": json.dumps({"image": ["uint8", *dataset.shape], "label": "int32"}),
            "profile": json.dumps(profile),
        }
        self._write("dataset", dataset=described)

    def log_text(self, text: str, path: str) -> None:
        """Store text as an artifact."""
        self._log_bytes(text.encode(), path)

    def log_figure(self, figure: Figure, path: str) -> None:
        """Store a figure as an artifact; the ending of the path gives the format."""
        content = io.BytesIO()
        figure.savefig(content, dpi=FIGURE_DPI, format=Path(path).suffix[1:])
        self._log_bytes(content.getvalue(), path)

    def log_image(self, file: Path, step: int) -> None:
        """Show an image file at a step among MLflow's images of the run, under the stem of the file's name.

        The names of the artifacts are those that `MlflowClient.log_image` gives them.
        """
        from PIL import Image

        name = f"images/{re.sub('/', '~', file.stem)}+step+{step}+timestamp+{now()}+{uuid.uuid4()}"
        full, small = io.BytesIO(), io.BytesIO()
        with Image.open(file) as image:
            image.save(full, "PNG")
            preview = image.convert("RGB")
            preview.thumbnail((_MAX_PREVIEW_SIDE, _MAX_PREVIEW_SIDE))
            preview.save(small, "WEBP", quality=_PREVIEW_QUALITY)
        self._log_bytes(full.getvalue(), f"{name}.png")
        self._log_bytes(small.getvalue(), f"{name}+compressed.webp")
        self.set_tags({tags.LOGGED_IMAGES: True})

    def log_arrays(self, path: str, **arrays: NDArray[Any]) -> None:
        """Store arrays as one compressed `.npz` artifact."""
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **arrays)
        self._log_bytes(content.getvalue(), path)

    def log_artifact(self, file: Path, folder: str) -> None:
        """Store a file as an artifact in a folder of the run; the file may be deleted afterwards."""
        digest, size = self.store.store_file(file)
        path = f"{folder}/{file.name}" if folder not in ("", ".") else file.name
        self._write("file", sha256=digest, size=size, path=path)

    def replace_artifact(self, file: Path, folder: str) -> None:
        """Store a file as an artifact in place of the one that this writer stored there before, if it is another."""
        path = f"{folder}/{file.name}"
        earlier = self._replaceable.get(path)
        digest, size = self.store.store_file(file)
        self._write("file", sha256=digest, size=size, path=path)
        self._replaceable[path] = digest
        if earlier not in (None, digest):
            self.store.journal.drop_file(str(earlier))

    def log_model(self, folder: Path, name: str, step: int) -> str:
        """Log a model that `mlflow.pyfunc.save_model` wrote.

        Args:
            folder: Its files; they may be deleted afterwards.
            name: Name of the logged model.
            step: The step whose metrics belong to the model.

        Returns:
            The key of the model, for which `JournalWriter.id_of` has the id.
        """
        key = new_key()
        files = []
        for file in sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            digest, size = self.store.store_file(file)
            files.append({"path": file.relative_to(folder).as_posix(), "sha256": digest, "size": size})
        self._write("model", key=key, name=name, step=step, files=files)
        return key

    def end(self, status: str, reason: str = "") -> None:
        """Mark the run FINISHED, FAILED or KILLED, and store the reason, if there is one, as a tag."""
        fields = {}
        if reason and self._foreign:  # with the end, so that a run that was resumed since gets neither
            fields["reason"] = redact(reason)[:MAX_TAG_LENGTH]
        elif reason:
            self.set_tags({tags.ERROR: redact(reason)})
        self._write("end", status=status, at=now(), **fields)

    @contextmanager
    def open(self, make_note: Callable[[BaseException], str] = lambda error: "") -> Iterator[RunWriter]:
        """End the run when the block ends, so that it is never left RUNNING while the process lives.

        Args:
            make_note: Returns what to add to an exception for the person at the terminal, such as the command that
                resumes the run; empty for nothing.
        """
        try:
            with interruption.restored():
                yield self
        except BaseException as error:
            status, reason = status_and_reason(error)
            note = make_note(error)
            if note:
                error.add_note(note)
            if isinstance(error, KeyboardInterrupt):
                _release_frames(error)
            self.end(status, reason)
            raise
        self.end("FINISHED")

    def _log_bytes(self, content: bytes, path: str) -> None:
        digest, size = self.store.journal.store_bytes(content)
        self._write("file", sha256=digest, size=size, path=path.removeprefix("./"))

    def _write(self, action: str, **fields: Any) -> None:
        self.store.write({"do": action, "run": self.key, **fields, **self._foreign})


def _release_frames(error: BaseException) -> None:
    """Clear the frames of an interruption: a database cursor in one of them would keep the database locked."""
    chained: BaseException | None = error
    while chained is not None:
        traceback.clear_frames(chained.__traceback__)
        chained = chained.__context__
    gc.collect()  # some of the objects refer to each other in a cycle


def status_and_reason(error: BaseException) -> tuple[str, str]:
    """Return the MLflow status, FAILED or KILLED, and the reason in one line for a run that an exception ended."""
    if isinstance(error, KeyboardInterrupt):
        return "KILLED", str(error) or "Interrupted by Ctrl-C."
    return "FAILED", format_error(error)
