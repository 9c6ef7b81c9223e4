"""Why a model decided so: maps of some test images, and what the backbone makes of one, as pictures of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.core.csv_text import as_csv
from tinybench.core.errors import ModelError
from tinybench.explain import faithfulness, gradcam, gradients
from tinybench.explain import feature_maps as inside
from tinybench.plots import explanation_grid, feature_map_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinybench.config.sections import ExplainConfig
    from tinybench.data.dataset import Split
    from tinybench.evaluation.split_metrics import Judgement
    from tinybench.tracking.image_log import Album

_STEPS = 8  # of deletion and insertion: a pass over the images each
_SAMPLES = 8  # of SmoothGrad: a run has other things to do; `tinybench explain` takes more


def log(
    album: Album, model: keras.Model, split: Split, judged: Judgement, names: Sequence[str], settings: ExplainConfig
) -> None:
    """Store maps of right and wrong answers, and the feature maps of an image; a tag says why where there are none."""
    places = _chosen(judged, settings.images)
    if len(places) == 0:
        return
    images = split.images(places)
    predicted = judged.answers.logits[places].argmax(axis=1)
    true = judged.answers.labels[places]
    try:
        maps = {
            "Gradient": gradients.vanilla(model, images, predicted),
            "SmoothGrad": gradients.smooth(model, images, predicted, samples=_SAMPLES),
            "Grad-CAM": gradcam.grad_cam(model, images, predicted),
        }
        layer = gradcam.last_spatial(model)
        slices, kernels = inside.maps(model, images[:1], layer)[0], inside.first_filters(model)
    except ModelError as error:  # a backbone without maps: the run is none the worse
        album.run.tags({"explain": str(error)})
        return
    sure = judged.answers.probabilities()[places].max(axis=1)
    captions = [
        _caption(names[label], names[taken], each) for label, taken, each in zip(true, predicted, sure, strict=True)
    ]
    album.figure(explanation_grid.panels(images, maps, captions), "explanations")
    album.run.text(_faithfulness(model, images, predicted, maps), "tables/faithfulness.csv")
    arrays = {name.lower().replace("-", "_"): values for name, values in maps.items()}
    album.run.arrays("figures/explanations.npz", images=images, true=true, predicted=predicted, **arrays)
    album.figure(feature_map_grid.slices(images[0], slices, f"Depth slices of {layer}"), "feature_maps")
    album.run.arrays("figures/feature_maps.npz", image=images[0], maps=slices)
    album.figure(feature_map_grid.filters(kernels), "first_filters")
    album.run.arrays("figures/first_filters.npz", kernels=kernels)


def _faithfulness(
    model: keras.Model,
    images: NDArray[np.uint8],
    predicted: NDArray[np.int64],
    maps: dict[str, NDArray[np.float32]],
) -> str:
    """How far each method can be believed on these images, beside a map of chance."""
    areas = faithfulness.areas(model, images, predicted, maps, steps=_STEPS)
    rows = ([name, *both.mean(axis=1)] for name, both in areas.items())
    return as_csv(["method", "deletion", "insertion"], rows)


def _chosen(judged: Judgement, count: int) -> NDArray[np.int64]:
    """As many right answers as wrong ones, as far as there are, drawn by chance and the same for every model."""
    labels = judged.answers.labels
    order = np.random.default_rng(0).permutation(len(labels))
    right = (judged.answers.logits.argmax(axis=1) == labels)[order]
    wrong = order[~right][: count // 2]
    return np.concatenate([order[right][: count - len(wrong)], wrong])[:count]


def _caption(true: str, predicted: str, confidence: float) -> str:
    return f"{predicted} {confidence:.0%}" + ("" if true == predicted else f"\nis {true}")
