"""Build Optuna's samplers and pruners by their names in a space, and suggest the values of a trial."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import optuna
from optuna.trial import Trial

from tinybench.config.run_config import parse_value
from tinybench.sweeps.space import Parameter, Space

WORKER_VARIABLE = "TINYBENCH_WORKER"  # holds the number of a worker that a driver started


def suggest_values(trial: Trial, space: Space) -> dict[str, Any]:
    """Return the values of a trial by key, for the parameters whose conditions hold."""
    settings = dict(space.base.flat())
    values: dict[str, Any] = {}
    for parameter in space.parameters:
        if parameter.is_active(settings):
            values[parameter.key] = _suggest(trial, parameter)
            settings[parameter.key] = parse_value(parameter.key, values[parameter.key])
    return values


def _suggest(trial: Trial, parameter: Parameter) -> Any:
    log = parameter.distribution.startswith("log")
    if parameter.distribution == "categorical":
        return trial.suggest_categorical(parameter.key, parameter.choices)
    if "integer" in parameter.distribution:
        low, high, step = int(parameter.low), int(parameter.high), int(parameter.step or 1)
        return trial.suggest_int(parameter.key, low, high, step=step, log=log)
    return trial.suggest_float(parameter.key, parameter.low, parameter.high, step=parameter.step, log=log)


def build_sampler(space: Space, finished_trials: int) -> optuna.samplers.BaseSampler:
    """Return the sampler of a process.

    Its seed depends on the space's seed, the number of the worker and the finished trials, since samplers with the
    same seed would suggest the same values.
    """
    worker = int(os.environ.get(WORKER_VARIABLE, os.getpid()))
    sequence = np.random.SeedSequence([space.sampler_seed, worker, finished_trials])
    seed = int(sequence.generate_state(1)[0]) % 2**31
    has_conditions = any(parameter.when for parameter in space.parameters)
    builders: dict[str, Any] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, multivariate=True, group=has_conditions),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "cmaes": lambda: optuna.samplers.CmaEsSampler(seed=seed),
        "nsgaii": lambda: optuna.samplers.NSGAIISampler(seed=seed),
        "qmc": lambda: optuna.samplers.QMCSampler(seed=space.sampler_seed, scramble=True),
    }
    sampler: optuna.samplers.BaseSampler = builders[space.sampler]()
    return sampler


def build_pruner(space: Space) -> optuna.pruners.BasePruner:
    """Return the pruner, whose bounds follow from the number of epochs of a trial."""
    epochs = sum(space.base.phase_settings(phase).epochs for phase in space.base.phases)
    builders: dict[str, Any] = {
        "none": optuna.pruners.NopPruner,
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1 + epochs // 4),
        "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3),
    }
    pruner: optuna.pruners.BasePruner = builders[space.pruner]()
    return pruner
