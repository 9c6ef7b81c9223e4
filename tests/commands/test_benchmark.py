"""Estimates of cells, which another process makes."""

from __future__ import annotations

import json

from small_grid import Recorder, cells, specs

from tinybench.commands.benchmark import _estimate_elsewhere, print_estimates


def test_a_cell_that_can_only_fail_says_why(capsys):
    configs = [*cells("smallcnn"), *cells("vgg10")]  # five poolings need images of 32 pixels
    print_estimates(json.dumps([[config.flat(), False] for config in configs], default=list))
    cost, reason = map(json.loads, capsys.readouterr().out.splitlines()[-2:])
    seconds, disk, start, phases = cost
    assert seconds > start > 0
    assert disk > 0
    assert [*phases] == ["transfer"]
    assert reason.startswith("vgg10 cannot be built at image_size=16")


def test_the_reason_is_told_before_anything_starts():
    seen = Recorder()
    costs = _estimate_elsewhere([*specs("vgg10"), *specs("smallcnn")], seen)
    assert costs[0] is None
    assert costs[1] is not None
    assert seen.messages[-1].startswith("transfer of vgg10 on digits (quickstart, seed 0) is expected to fail: vgg10 ")
