"""How values are drawn and trials are pruned: Optuna's samplers and pruners as a space names them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import optuna
from optuna.trial import Trial

from tinybench.sweeps.space import Parameter, Space

WORKER = "TINYBENCH_WORKER"  # variable with the number of a worker that a driver started


def suggest(trial: Trial, parameter: Parameter) -> Any:
    """The value of a parameter for a trial."""
    log = parameter.distribution.startswith("log")
    if parameter.distribution == "categorical":
        return trial.suggest_categorical(parameter.key, parameter.choices)
    if "integer" in parameter.distribution:
        low, high, step = int(parameter.low), int(parameter.high), int(parameter.step or 1)
        return trial.suggest_int(parameter.key, low, high, step=step, log=log)
    return trial.suggest_float(parameter.key, parameter.low, parameter.high, step=parameter.step, log=log)


def sampler(space: Space, ended: int) -> optuna.samplers.BaseSampler:
    """Of the study's seed for the first trial of its first worker; others would draw the same values with it."""
    worker = int(os.environ.get(WORKER, os.getpid()))
    seed = int(np.random.SeedSequence([space.sampler_seed, worker, ended]).generate_state(1)[0]) % 2**31
    conditions = any(parameter.when for parameter in space.parameters)
    made: dict[str, Any] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, multivariate=True, group=conditions),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "cmaes": lambda: optuna.samplers.CmaEsSampler(seed=seed),
        "nsgaii": lambda: optuna.samplers.NSGAIISampler(seed=seed),
        "qmc": lambda: optuna.samplers.QMCSampler(seed=space.sampler_seed, scramble=True),
    }
    found: optuna.samplers.BaseSampler = made[space.sampler]()
    return found


def pruner(space: Space) -> optuna.pruners.BasePruner:
    """What stops trials early."""
    epochs = sum(getattr(space.base, phase).epochs for phase in space.base.phases)
    made: dict[str, Any] = {
        "none": optuna.pruners.NopPruner,
        "median": lambda: optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1 + epochs // 4),
        "hyperband": lambda: optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3),
    }
    found: optuna.pruners.BasePruner = made[space.pruner]()
    return found
