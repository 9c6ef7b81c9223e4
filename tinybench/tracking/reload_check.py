"""A process that loads a logged model as a server would, and asks it for the test images that go with it.

Run as a file: the package must be the one that is stored with the model, so nothing of ours is imported here.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def main(folder: Path, found: Path) -> None:
    """Write the rows and probabilities of a model's own test images.

    They are sent as PNG files in base64, as a client would.

    Args:
        folder: Of the logged model.
        found: `.npz` file with `rows` (n,) and `probabilities` (n, classes), in the order of the labels.

    Raises:
        Exception: whatever keeps the model from being loaded or answering.
    """
    import mlflow
    import numpy as np
    import pandas as pd

    served = mlflow.pyfunc.load_model(str(folder))
    package = sys.modules["tinybench"].__file__ or ""
    if not Path(package).resolve().is_relative_to(folder.resolve()):
        raise ImportError(f"it runs {package}, not the package that is stored with it")
    labels = json.loads((folder / "artifacts" / "labels.json").read_text("utf-8"))["labels"]
    with np.load(folder / "artifacts" / "check.npz", allow_pickle=False) as kept:
        rows, pixels = kept["rows"], kept["pixels"]
    sent = pd.DataFrame({"image": [_encoded(each) for each in pixels]})
    answers = served.predict(sent, params={"top_k": len(labels)})
    places = {label: place for place, label in enumerate(labels)}
    given = np.zeros((len(rows), len(labels)))
    for row, (names, probabilities) in enumerate(zip(answers["labels"], answers["probabilities"], strict=True)):
        given[row, [places[name] for name in names]] = probabilities
    np.savez(found, rows=rows, probabilities=given, allow_pickle=False)


def _encoded(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
