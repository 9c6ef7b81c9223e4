"""How often the conclusions of a leaderboard are wrong, and how often they are found, on made answers.

`python -m benchmarks.board_errors` simulates boards of models whose true accuracy is known: each image has a
difficulty that all models share, and each run of a model differs by its seed. It prints shares of boards, with the
number of boards.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from tinybench.leaderboard import critical_value, pairs, rank_intervals
from tinybench.leaderboard.model_estimates import estimate_models
from tinybench.leaderboard.pairs import Pair

MARGIN = 0.01
_SHARED = 0.85  # correlation of the difficulty of an image for two models


@dataclass(frozen=True)
class Setting:
    """Boards that are simulated.

    Attributes:
        accuracies: The true accuracy of each model.
        seeds: Number of runs of each model.
        deviation: Standard deviation of the accuracy over seeds.
        images: Number of test images.
    """

    accuracies: tuple[float, ...]
    seeds: int = 5
    deviation: float = 0.005
    images: int = 10_000

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the models."""
        return tuple(f"m{number}" for number in range(len(self.accuracies)))


def simulate_scores(setting: Setting, generator: np.random.Generator) -> list[NDArray[np.float32]]:
    """Return (seeds, images) whether each run is correct on each image, for each model."""
    shared = generator.standard_normal(setting.images, np.float32)
    scores = []
    for accuracy in setting.accuracies:
        of_model = generator.standard_normal(setting.images, np.float32)
        ease = np.sqrt(_SHARED) * shared + np.sqrt(1 - _SHARED) * of_model
        levels = np.clip(accuracy + setting.deviation * generator.standard_normal(setting.seeds), 1e-6, 1 - 1e-6)
        # Most of what decides an image is the same for all seeds of a model
        noise = generator.standard_normal((setting.seeds, setting.images), np.float32)
        values = np.sqrt(0.9) * ease + np.sqrt(0.1) * noise
        scores.append((values < ndtri(levels)[:, None]).astype(np.float32))
    return scores


def simulate_boards(setting: Setting, count: int, seed: int = 0) -> list[list[Pair]]:
    """Return the conclusions of simulated boards."""
    boards = []
    for number in range(count):
        estimates = estimate_models(setting.names, simulate_scores(setting, np.random.default_rng([seed, number])))
        boards.append(pairs.conclude_pairs(estimates, MARGIN))
    return boards


def calls_better(conclusions: Sequence[Pair]) -> bool:
    """Return whether any model is called better than another."""
    return any(pair.conclusion == "better" for pair in conclusions)


def covers_ranks(setting: Setting, conclusions: Sequence[Pair]) -> bool:
    """Return whether the rank intervals of all models contain their true ranks, which must differ."""
    intervals = rank_intervals.find_rank_intervals(setting.names, conclusions)
    order = sorted(setting.accuracies, reverse=True)
    ranks = [1 + order.index(accuracy) for accuracy in setting.accuracies]
    return all(low <= rank <= high for rank, (low, high) in zip(ranks, intervals.values(), strict=True))


def calls_better_at_any_look(setting: Setting, seed: int) -> bool:
    """Return whether a board calls a model better at any look, from the first planned number of seeds to all."""
    scores = simulate_scores(setting, np.random.default_rng([seed, setting.seeds]))
    looks = range(critical_value.LOOKS[0], setting.seeds + 1)
    return any(
        calls_better(
            pairs.conclude_pairs(
                estimate_models(setting.names, [scores_of_model[:runs] for scores_of_model in scores]), MARGIN
            )
        )
        for runs in looks
    )


def share_of_pairs(boards: Sequence[Sequence[Pair]], conclusion: str, first: str = "") -> float:
    """Return the share of pairs with a conclusion, of those with `first` as the better model if it is given."""
    chosen = [pair for board in boards for pair in board if first in ("", pair.first)]
    return float(np.mean([pair.conclusion == conclusion for pair in chosen]))


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boards", type=int, default=2_000)
    parser.add_argument("--looks", type=int, default=200, help="boards that are looked at after each seed")
    options = parser.parse_args()
    _print_errors(options.boards)
    _print_equivalence(options.boards)
    for models in (2, 8):
        setting = Setting((0.9,) * models, seeds=critical_value.LOOKS[1])
        wrong = np.mean([calls_better_at_any_look(setting, seed) for seed in range(options.looks)])
        title = f"{models} equal models, a look after each seed from 3 to 20, {options.looks} boards"
        print(f"{title}: ever called better {wrong:.3f} (at most .05)", flush=True)


def _print_errors(count: int) -> None:
    equal = simulate_boards(Setting((0.9,) * 8), count)
    wrong = np.mean([*map(calls_better, equal)])
    print(f"8 equal models, 5 seeds, {count} boards: any called better {wrong:.3f} (at most .05)", flush=True)
    power = share_of_pairs(simulate_boards(Setting((0.9,) * 7 + (0.92,)), count), "better", "m7")
    print(f"one of 8 better by 2 points, 5 seeds: called better in {power:.3f} of pairs (at least .80)", flush=True)
    spaced = Setting(tuple(0.9 + 0.004 * number for number in range(8)))
    covered = np.mean([covers_ranks(spaced, board) for board in simulate_boards(spaced, count)])
    print(f"8 models .4 points apart, 5 seeds: all rank intervals right {covered:.3f} (at least .95)", flush=True)


def _print_equivalence(count: int) -> None:
    for models in (2, 8):
        near = []
        for number in range(count):
            gaps = np.random.default_rng([9, number]).uniform(0, MARGIN / 2, models)
            near += simulate_boards(Setting(tuple(0.9 + gaps), seeds=10), 1, seed=number)
        called = share_of_pairs(near, "equivalent")
        title = f"{models} models within half of delta, 10 seeds"
        print(f"{title}: {called:.3f} of pairs equivalent (at least .80)", flush=True)
        groups = Setting((0.9,) * (models // 2) + (0.9 + MARGIN,) * (models // 2), seeds=10)
        better = set(groups.names[models // 2 :])
        apart = [
            [pair for pair in board if (pair.first in better) != (pair.second in better)]
            for board in simulate_boards(groups, count)
        ]
        wrong = np.mean([any(pair.conclusion == "equivalent" for pair in board) for board in apart])
        title = f"{models} models, two groups that differ by delta"
        print(f"{title}: any called equivalent {wrong:.3f} (at most .05)", flush=True)


if __name__ == "__main__":
    main()
