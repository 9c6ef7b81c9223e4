"""Probe backbones: the public function, and what the command line calls as well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tinybench.config.listed_settings import list_settings_except
from tinybench.config.probe_settings import NOT_OF_PROBES
from tinybench.config.run_config import canonical_overrides
from tinybench.core.errors import ConfigError
from tinybench.hardware import libraries, onednn
from tinybench.recipes.resolve import resolve

if TYPE_CHECKING:
    from tinybench.job.backbone_probe import ProbeResult
    from tinybench.training.run_callbacks import RunCallbacks


@list_settings_except(NOT_OF_PROBES)
def probe(
    models: str | Sequence[str],
    dataset: str | None = None,
    *,
    recipe: str | None = None,
    run_callbacks: RunCallbacks | None = None,
    **settings: Any,
) -> list[ProbeResult]:
    """Compare backbones on a data set in seconds each, by a linear head fitted in closed form to their features.

    The features stay in the cache, where a later transfer phase finds them. Each backbone is an MLflow run
    below one run; a single one has a run alone.

    Args:
        models: Names of models, or paths of `.keras` files.
        dataset: A data set by name, or `folder:/path`; that of the recipe if None.
        recipe: The recipe whose settings of the data are used; `tiny-imagenet-tlft` if None.
        run_callbacks: Receives the progress.
        **settings: Values by key, such as `image_size=96` or `data_per_class=100`.

    Returns:
        The results, the most accurate on the validation images first; those with an `error` at the end.

    Raises:
        TinybenchError: The user can correct the cause; the message is one line.
    """
    values = canonical_overrides(settings | ({} if dataset is None else {"dataset": dataset}))
    for key in values:
        if key.startswith(NOT_OF_PROBES) and key != "model":
            raise ConfigError(f"`{key}` would have no effect on a probe: leave it out.")
    names = [models] if isinstance(models, str) else [*models]
    configs = [resolve(recipe, values | {"model": name, "phases": "transfer"}) for name in names]
    if configs:
        onednn.allow_onednn(configs[0].deterministic)  # before TensorFlow is imported
    libraries.load_libraries()
    from tinybench.job.backbone_probe import probe_backbones

    return probe_backbones(configs, run_callbacks)
