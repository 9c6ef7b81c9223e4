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
from tinybench.tracking import tags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinybench.config.sections import ExplainConfig
    from tinybench.data.dataset import Split
    from tinybench.evaluation.split_metrics import SplitEvaluation
    from tinybench.tracking.plot_log import PlotLog

_STEPS = 8  # of deletion and insertion: a pass over the images each
_SAMPLES = 8  # of SmoothGrad: a run has other things to do; `tinybench explain` takes more


def log(
    album: PlotLog, model: keras.Model, split: Split, judged: SplitEvaluation, names: Sequence[str], settings: ExplainConfig
) -> None:
    """Store maps of right and wrong answers, and the feature maps of an image; a tag says why where there are none."""
    places = _chosen(judged, settings.images)
    if len(places) == 0:
        return
    images = split.images(places)
    predicted = judged.predictions.logits[places].argmax(axis=1)
    true = judged.predictions.labels[places]
    try:
        maps = {
            "Gradient": gradients.vanilla_gradient(model, images, predicted),
            "SmoothGrad": gradients.smooth_grad(model, images, predicted, samples=_SAMPLES),
            "Grad-CAM": gradcam.grad_cam(model, images, predicted),
        }
        layer = gradcam.last_spatial_layer(model)
        slices, kernels = inside.compute_feature_maps(model, images[:1], layer)[0], inside.first_kernels(model)
    except ModelError as error:  # a backbone without maps: the run is none the worse
        album.run.set_tags({tags.EXPLAIN: str(error)})
        return
    sure = judged.predictions.probabilities()[places].max(axis=1)
    captions = [
        _caption(names[label], names[taken], each) for label, taken, each in zip(true, predicted, sure, strict=True)
    ]
    album.log_figure(explanation_grid.plot_explanations(images, maps, captions), "explanations")
    album.run.log_text(_faithfulness(model, images, predicted, maps), "tables/faithfulness.csv")
    arrays = {name.lower().replace("-", "_"): values for name, values in maps.items()}
    album.run.log_arrays("figures/explanations.npz", images=images, true=true, predicted=predicted, **arrays)
    album.log_figure(feature_map_grid.plot_feature_maps(images[0], slices, f"Depth slices of {layer}"), "feature_maps")
    album.run.log_arrays("figures/feature_maps.npz", image=images[0], maps=slices)
    album.log_figure(feature_map_grid.plot_filters(kernels), "first_filters")
    album.run.log_arrays("figures/first_filters.npz", kernels=kernels)


def _faithfulness(
    model: keras.Model,
    images: NDArray[np.uint8],
    predicted: NDArray[np.int64],
    maps: dict[str, NDArray[np.float32]],
) -> str:
    """How far each method can be believed on these images, beside a map of chance."""
    areas = faithfulness.measure_areas(model, images, predicted, maps, steps=_STEPS)
    rows = ([name, *both.mean(axis=1)] for name, both in areas.items())
    return as_csv(["method", "deletion", "insertion"], rows)


def _chosen(judged: SplitEvaluation, count: int) -> NDArray[np.int64]:
    """As many right answers as wrong ones, as far as there are, drawn by chance and the same for every model."""
    labels = judged.predictions.labels
    order = np.random.default_rng(0).permutation(len(labels))
    right = (judged.predictions.logits.argmax(axis=1) == labels)[order]
    wrong = order[~right][: count // 2]
    return np.concatenate([order[right][: count - len(wrong)], wrong])[:count]


def _caption(true: str, predicted: str, confidence: float) -> str:
    return f"{predicted} {confidence:.0%}" + ("" if true == predicted else f"\nis {true}")
