"""tinybench: a benchmark of CNN backbones, trained in two phases, every phase an MLflow run.

import tinybench

result = tinybench.train(recipe="quickstart", **{"head.dropout": 0.2})
print(result.metrics["test/accuracy"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinybench.config.run_config import RunConfig
from tinybench.core.errors import TinybenchError
from tinybench.recipes.resolve import resolve

if TYPE_CHECKING:
    from tinybench.api import evaluate, finetune, resume, train
    from tinybench.tracking.results import FoldResult, PhaseResult, Result

__version__ = "0.1.0"

__all__ = [
    "FoldResult",
    "PhaseResult",
    "Result",
    "RunConfig",
    "TinybenchError",
    "evaluate",
    "finetune",
    "resolve",
    "resume",
    "train",
]

_HOMES = dict.fromkeys(("evaluate", "finetune", "resume", "train"), "tinybench.api")
_HOMES |= dict.fromkeys(("FoldResult", "PhaseResult", "Result"), "tinybench.tracking.results")


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """Load what needs TensorFlow or MLflow only when it is used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tinybench' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
