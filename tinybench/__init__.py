"""tinybench: a benchmark of CNN backbones, trained in two phases, every phase an MLflow run.

import tinybench

result = tinybench.train("quickstart", head_dropout=0.2)
print(result.metrics["test/accuracy"])

The names in `__all__` are public; everything else is private and may change from one version to the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinybench.config.run_config import RunConfig
from tinybench.core.errors import TinybenchError
from tinybench.recipes.resolve import resolve

if TYPE_CHECKING:
    from tinybench.api import (
        compare,
        evaluate,
        explain_images,
        export,
        finetune,
        measure,
        predict,
        probe,
        promote,
        resume,
        sweep,
        train,
    )
    from tinybench.commands.benchmark import run_benchmark
    from tinybench.commands.leaderboard import rank_models
    from tinybench.sweeps.sweep_callbacks import SweepCallbacks
    from tinybench.tracking.results import FoldResult, PhaseResult, Result
    from tinybench.training.run_callbacks import RunCallbacks

__version__ = "0.1.0"

__all__ = [
    "FoldResult",
    "PhaseResult",
    "Result",
    "RunCallbacks",
    "RunConfig",
    "SweepCallbacks",
    "TinybenchError",
    "compare",
    "evaluate",
    "explain_images",
    "export",
    "finetune",
    "measure",
    "predict",
    "probe",
    "promote",
    "rank_models",
    "resolve",
    "resume",
    "run_benchmark",
    "sweep",
    "train",
]

_MODULES = {
    "FoldResult": "tinybench.tracking.results",
    "PhaseResult": "tinybench.tracking.results",
    "Result": "tinybench.tracking.results",
    "RunCallbacks": "tinybench.training.run_callbacks",
    "SweepCallbacks": "tinybench.sweeps.sweep_callbacks",
    "rank_models": "tinybench.commands.leaderboard",
    "run_benchmark": "tinybench.commands.benchmark",
}


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """Import what needs TensorFlow or MLflow only when it is used."""
    if name not in __all__:
        raise AttributeError(f"module 'tinybench' has no attribute {name!r}")
    from importlib import import_module

    from tinybench.core import quiet_libraries

    quiet_libraries.quieten_libraries()
    with quiet_libraries.filter_startup_noise():
        module = import_module(_MODULES.get(name, "tinybench.api"))
    return getattr(module, name)
