"""What `--slurm KEY=VALUE` gives submitit, and what is refused."""

from __future__ import annotations

import re

import pytest

from tinybench.benchmark import slurm_options
from tinybench.core.errors import ConfigError


def test_options_are_those_of_submitit():
    pairs = ["partition=gpu", "time=04:00:00", "setup=module load cuda", "setup=ulimit -n 4096", "exclusive=true"]
    options = slurm_options.read([*pairs, "mail-user=a@b", "signal_delay_s=30"], cpu=4, gpu=1, memory="4GB")
    assert options.cluster == "slurm"
    assert (options.cpu, options.gpu) == (4, 1)
    assert options.parameters == {
        "partition": "gpu",
        "time": "04:00:00",
        "setup": ["module load cuda", "ulimit -n 4096"],
        "exclusive": True,
        "mail_user": "a@b",
        "signal_delay_s": 30,
        "cpus_per_task": 4,
        "gpus_per_node": 1,
        "mem": "3815M",
    }


def test_submitit_takes_every_key():
    submitit = pytest.importorskip("submitit", reason="the extra slurm is not installed")
    keys = {*slurm_options._TEXTS, *slurm_options._LISTS, *slurm_options._ELSEWHERE}
    assert keys <= submitit.SlurmExecutor._valid_parameters()


@pytest.mark.parametrize(
    ("pairs", "line"),
    [
        (["partion=gpu"], "Unknown key for `--slurm`: 'partion'. Did you mean 'partition'? Expected one of account, "),
        (["partition"], "Invalid value for `--slurm`: expected KEY=VALUE, such as partition=gpu, got 'partition'."),
        (["time="], "Invalid value for `--slurm`: expected KEY=VALUE, such as partition=gpu, got 'time='."),
        (["mem=4G"], "Invalid value for `--slurm`: mem is not set here: give --memory."),
        (["nodes=2"], "Invalid value for `--slurm`: nodes is not set here: each cell is one process on one node."),
        (
            ["array_parallelism=2"],
            "Invalid value for `--slurm`: array_parallelism is not set here: give --workers, the number of jobs at",
        ),
        (["qos=a", "qos=b"], "`--slurm qos` is given twice, as 'a' and as 'b': give it once."),
        (["cluster=pbs"], "Invalid value for `--slurm cluster`: expected slurm or local, got 'pbs'."),
        (["signal_delay_s=x"], "Invalid value for `--slurm signal_delay_s`: expected a whole number of seconds, got"),
    ],
)
def test_a_mistake_is_one_line(pairs, line):
    with pytest.raises(ConfigError, match=f"^{re.escape(line)}") as caught:
        slurm_options.read(pairs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"cpu": 0.5}, "Invalid value for `--cpu`: SLURM gives whole numbers, got 0.5."),
        ({"gpu": 0.5}, "Invalid value for `--gpu`: SLURM gives whole numbers, got 0.5."),
        ({"memory": "much"}, "Invalid value for `--memory`: expected a size such as 20GB, got 'much'."),
    ],
)
def test_resources_are_whole(values, line):
    with pytest.raises(ConfigError, match=f"^{re.escape(line)}$"):
        slurm_options.read([], **values)
