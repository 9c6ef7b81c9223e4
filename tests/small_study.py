"""A space that is searched in a moment."""

from __future__ import annotations

TEXT = """\
recipe = "quickstart"
objective = "val/accuracy"
trials = 4
sampler = { name = "tpe", seed = 1 }
[settings]
phases = "transfer"
transfer.epochs = 2
data.per_class = 20
data.test_per_class = 5
[space]
transfer.lr = { distribution = "log-uniform", low = 1e-4, high = 1e-1 }
head.dropout = { distribution = "uniform", low = 0.0, high = 0.5 }
[[first]]
transfer.lr = 1e-3
head.dropout = 0.25
"""


def taken(queue):
    """A trial of a queue, in which one waits."""
    trial = queue.take()
    assert trial is not None
    return trial
