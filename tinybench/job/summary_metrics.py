"""Select what a parent run shows in the list of runs: what one compares runs by. Its phases have everything."""

from __future__ import annotations

from collections.abc import Mapping

_SUMMARY = frozenset(
    [
        *("best/val_accuracy", "best/val_loss", "best/val_top5", "best/epoch", "best/overfitting_gap"),
        *("test/accuracy", "test/accuracy_low", "test/accuracy_high", "test/top5", "test/f1_macro"),
        *("test/auc_ovr_macro", "test/loss", "test/log_loss", "test/ece"),
        *("efficiency/training_seconds", "efficiency/features_seconds", "efficiency/parameters"),
        *("efficiency/weight_bytes", "efficiency/flops", "efficiency/training_gpu_memory_bytes"),
        *(f"efficiency/{device}_latency_p50_ms" for device in ("cpu", "gpu")),
        *("efficiency/cpu_memory_peak_bytes", "efficiency/gpu_nvml_peak_bytes"),
    ]
)


def select_summary(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return those of a phase's final metrics that its parent run shows as well.

    `efficiency/ratio` is not one of them: it is measured once and quickly, and runs shall not be ranked by it.
    """
    return {name: value for name, value in metrics.items() if name in _SUMMARY}
