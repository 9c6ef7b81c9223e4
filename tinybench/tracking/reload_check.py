"""Load a logged model as a server would, in a process of its own, and predict the test images that are stored with it.

This file is run as a script: the model must run with the package that is stored beside it, so nothing of tinybench is
imported here.
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


def main(folder: Path, output: Path) -> None:
    """Write the probabilities that a model gives for its own test images.

    The images are sent as PNG files in base64, as a client would send them.

    Args:
        folder: The files of the logged model.
        output: The `.npz` file to write, with `rows` (n,), the images' rows in the test split, and `probabilities`
            (n, classes), with the classes in the order of the labels.

    Raises:
        ImportError: The model runs with another package than the one that is stored with it.
        Exception: Whatever else keeps the model from being loaded or from predicting.
    """
    import mlflow
    import numpy as np
    import pandas as pd

    model = mlflow.pyfunc.load_model(str(folder))
    package = sys.modules["tinybench"].__file__ or ""
    if not Path(package).resolve().is_relative_to(folder.resolve()):
        raise ImportError(f"it runs {package}, not the package that is stored with it")
    labels = json.loads((folder / "artifacts" / "labels.json").read_text("utf-8"))["labels"]
    with np.load(folder / "artifacts" / "check.npz", allow_pickle=False) as check:
        rows, images = check["rows"], check["pixels"]
    request = pd.DataFrame({"image": [_encode(image) for image in images]})
    predictions = model.predict(request, params={"top_k": len(labels)})
    columns = {label: column for column, label in enumerate(labels)}
    probabilities = np.zeros((len(rows), len(labels)))
    for row, (names, values) in enumerate(zip(predictions["labels"], predictions["probabilities"], strict=True)):
        probabilities[row, [columns[name] for name in names]] = values
    np.savez(output, rows=rows, probabilities=probabilities, allow_pickle=False)


def _encode(image: NDArray[np.uint8]) -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
