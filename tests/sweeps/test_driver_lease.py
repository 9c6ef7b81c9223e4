"""One process at a time drives a study; when it is gone, another one may."""

from __future__ import annotations

import platform
import subprocess
import sys
import time

import pytest

from tinybench.core.errors import TrackingError
from tinybench.sweeps import driver_lease
from tinybench.sweeps.driver_lease import DriverLease


def test_only_one_process_drives(made):
    DriverLease(made, "one").acquire()
    DriverLease(made, "one").acquire()
    with pytest.raises(TrackingError, match=r"runs study 'small' \(one\)"):
        DriverLease(made, "other").acquire()
    DriverLease(made, "other").release()  # which is not its to do
    with pytest.raises(TrackingError, match="runs study"):
        DriverLease(made, "other").acquire()
    DriverLease(made, "one").release()
    DriverLease(made, "other").acquire()


def test_who_is_silent_drives_no_more(made, monkeypatch):
    monkeypatch.setattr(driver_lease, "_GRACE_SECONDS", -1.0)
    DriverLease(made, "one").acquire()
    assert not DriverLease(made).is_free()  # its process is there
    monkeypatch.setattr(platform, "node", lambda: "another machine")
    assert DriverLease(made).is_free()
    DriverLease(made, "other").acquire()


def test_a_driver_whose_process_is_gone_drives_no_more(made):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    made.set_user_attr("driver", {"who": "one", "at": time.time(), "host": platform.node(), "process": gone.pid})
    assert DriverLease(made).is_free()


def test_a_lease_is_held_while_a_block_runs_and_renewed_meanwhile(made, monkeypatch):
    monkeypatch.setattr(driver_lease.optuna_storage, "HEARTBEAT_SECONDS", 0.05)
    with DriverLease(made, "one").hold():
        began = made.user_attrs["driver"]["at"]
        end = time.monotonic() + 10
        while made.user_attrs["driver"]["at"] == began:
            assert time.monotonic() < end
            time.sleep(0.01)
        with pytest.raises(TrackingError, match="runs study"):
            DriverLease(made, "other").acquire()
    assert made.user_attrs["driver"] is None
