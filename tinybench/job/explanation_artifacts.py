"""Log maps that explain predictions of some test images, and the feature maps of one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np
from numpy.typing import NDArray

from tinybench.core.csv_text import to_csv
from tinybench.core.errors import ModelError
from tinybench.explain import faithfulness, feature_maps, gradcam, gradients
from tinybench.plots import explanation_grid, feature_map_grid
from tinybench.tracking import tags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tinybench.config.sections import ExplainConfig
    from tinybench.data.dataset import Split
    from tinybench.evaluation.split_metrics import SplitEvaluation
    from tinybench.tracking.plot_log import PlotLog

_STEPS = 8  # of deletion and insertion; each is a pass over the images
_SAMPLES = 8  # of SmoothGrad; `tinybench explain`, which has more time, takes more
_MIN_KERNEL = 5  # pixels: smaller filters show no pattern


def log_explanations(
    plot_log: PlotLog,
    model: keras.Model,
    split: Split,
    evaluation: SplitEvaluation,
    class_names: Sequence[str],
    settings: ExplainConfig,
) -> None:
    """Log maps of images with correct and with wrong predictions, and the feature maps of the first image.

    A model that allows no maps does not end the run: the tag `explain` says why there are none.

    Args:
        plot_log: Where the plots are logged to.
        model: The model with the best weights of the phase.
        split: The test images.
        evaluation: The evaluation of all test images.
        class_names: One name per label.
        settings: How many images are explained.
    """
    indices = _choose_images(evaluation, settings.images)
    if len(indices) == 0:
        return
    images = split.images(indices)
    predictions = evaluation.predictions
    predicted, true = predictions.logits[indices].argmax(axis=1), predictions.labels[indices]
    try:
        maps = {
            "Gradient": gradients.vanilla_gradient(model, images, predicted),
            "SmoothGrad": gradients.smooth_grad(model, images, predicted, samples=_SAMPLES),
            "Grad-CAM": gradcam.grad_cam(model, images, predicted),
        }
    except ModelError as error:
        plot_log.run.set_tags({tags.EXPLAIN: str(error)})
        return
    confidence = predictions.probabilities()[indices].max(axis=1)
    captions = [
        f"{class_names[label]} ({share:.0%})" + ("" if label == true_label else f"\nis {class_names[true_label]}")
        for true_label, label, share in zip(true, predicted, confidence, strict=True)
    ]
    shown = {method: values for method, values in maps.items() if values.any()}
    for method in maps.keys() - shown.keys():
        plot_log.leave_out(f"{method} in explanations", "in no image does anything support the predicted class")
    plot_log.log_figure(explanation_grid.plot_explanations(images, shown, captions), "explanations")
    areas = faithfulness.measure_areas(model, images, predicted, maps, steps=_STEPS)
    rows = ([method, *both.mean(axis=1)] for method, both in areas.items())
    plot_log.run.log_text(to_csv(["method", "deletion", "insertion"], rows), "tables/faithfulness.csv")
    arrays = {method.lower().replace("-", "_"): values for method, values in maps.items()}
    plot_log.run.log_arrays("figures/explanations.npz", images=images, true=true, predicted=predicted, **arrays)
    _log_feature_maps(plot_log, model, images[0])
    _log_filters(plot_log, model)


def _log_feature_maps(plot_log: PlotLog, model: keras.Model, image: NDArray[np.uint8]) -> None:
    """Log the feature maps of the last layer whose maps are large enough to be recognised."""
    layer = feature_maps.last_visible_layer(model)
    if layer is None:
        plot_log.leave_out("feature_maps", "every layer gives maps of only a few pixels")
        return
    maps = feature_maps.compute_feature_maps(model, image[None], layer)[0]
    title = f"Feature maps of {layer}, {maps.shape[0]} by {maps.shape[1]} pixels"
    plot_log.log_figure(feature_map_grid.plot_feature_maps(image, maps, title), "feature_maps")
    plot_log.run.log_arrays("figures/feature_maps.npz", image=image, maps=maps)


def _log_filters(plot_log: PlotLog, model: keras.Model) -> None:
    """Log the filters of the first convolution if they are large enough to show a pattern."""
    try:
        kernels = feature_maps.first_kernels(model)
    except ModelError as error:
        plot_log.leave_out("first_filters", str(error))
        return
    height, width = kernels.shape[:2]
    if min(height, width) < _MIN_KERNEL:
        plot_log.leave_out("first_filters", f"filters of {height} by {width} pixels show no pattern")
        return
    plot_log.log_figure(feature_map_grid.plot_filters(kernels), "first_filters")
    plot_log.run.log_arrays("figures/first_filters.npz", kernels=kernels)


def _choose_images(evaluation: SplitEvaluation, count: int) -> NDArray[np.int64]:
    """Return the indices of images to explain: half with wrong predictions, as far as there are any, drawn at random.

    The order of the draw does not depend on the model.
    """
    labels = evaluation.predictions.labels
    order = np.random.default_rng(0).permutation(len(labels))
    correct = (evaluation.predictions.logits.argmax(axis=1) == labels)[order]
    wrong = order[~correct][: count // 2]
    return np.concatenate([order[correct][: count - len(wrong)], wrong])[:count]
