"""How long `tinybench --help` takes, beside a Python that does nothing."""

import statistics
import subprocess
import sys
import time

_RUNS = 7


def _seconds(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
    return time.perf_counter() - began


def main() -> None:
    """Print the medians of runs in turn."""
    pairs = [(_seconds("-m", "tinybench", "--help"), _seconds("-c", "pass")) for _ in range(_RUNS)]
    ours, bare = (statistics.median(values) for values in zip(*pairs, strict=True))
    print(f"tinybench --help: {ours:.3f} s, bare Python {bare:.3f} s ({_RUNS} runs in turn, medians)")


if __name__ == "__main__":
    main()
