"""A heartbeat goes on while a block runs, whatever its errors, and ends with the block."""

from __future__ import annotations

import threading
import time

from tinybench.sweeps import heartbeat


def test_it_beats_until_the_block_ends_and_through_errors():
    beats, three = [], threading.Event()

    def beat():
        beats.append(1)
        if len(beats) == 3:
            three.set()
        raise OSError("the storage is away")

    with heartbeat.repeat(beat, 0.01):
        assert three.wait(10)
    count = len(beats)
    time.sleep(0.1)
    assert len(beats) == count
