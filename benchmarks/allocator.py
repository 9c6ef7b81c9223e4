"""What keeping freed memory saves in a training step: plain and tuned in turn, each in a process of its own."""

import resource
import subprocess
import sys
import time

_STEPS = 6
_TURNS = 2
_CASES = (("mobilenetv2", "transfer"), ("resnet50", "transfer"))


def _measure(name: str, phase: str) -> None:
    """Print seconds a step: wall and system."""
    import numpy as np

    from tinybench import models
    from tinybench.recipes.resolve import resolve
    from tinybench.training import phases

    config = resolve(None, {"model": name, "weights": "none", "image_size": 224})
    trainer = phases.build_trainer(models.build(config, (64, 64, 3), 200), config, phase)
    pixels, labels = np.zeros((32, 64, 64, 3), np.uint8), np.zeros(32, np.int32)
    trainer.train_on_batch(pixels, labels)
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_stime
    for _ in range(_STEPS):
        trainer.train_on_batch(pixels, labels)
    system = resource.getrusage(resource.RUSAGE_SELF).ru_stime - before
    print((time.perf_counter() - began) / _STEPS, system / _STEPS)


def _child(tuned: bool, name: str, phase: str) -> tuple[float, float]:
    words = [sys.executable, "-m", "benchmarks.allocator", str(int(tuned)), name, phase]
    wall, system = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    return float(wall), float(system)


def main() -> None:
    """Print the fastest of each and their ratio."""
    for name, phase in _CASES:
        pairs = [(_child(False, name, phase), _child(True, name, phase)) for _ in range(_TURNS)]
        plain, tuned = (min(column) for column in zip(*pairs, strict=True))
        print(
            f"{name} at 224 px, {phase} step: {plain[0]:.3f} s (system {plain[1]:.3f}), freed memory kept "
            f"{tuned[0]:.3f} s (system {tuned[1]:.3f}): {plain[0] / tuned[0]:.2f} times"
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        from tinybench.hardware import allocator

        if sys.argv[1] == "1":
            allocator.keep_freed_memory()
        _measure(*sys.argv[2:])
    else:
        main()
