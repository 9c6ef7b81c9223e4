"""The time budget of a study."""

from __future__ import annotations

import time

from tinybench.sweeps.study import Study

_DEADLINE = "deadline"
_SECONDS_LEFT = "seconds_left"


class Deadline:
    """The moment after which no trial of a study begins; it is stored in the study, for all its processes.

    The clock runs from the first trial that a worker takes, not while a process starts. It stands still between two
    drivers: the seconds that were left when one ended are those of the next one.
    """

    def __init__(self, study: Study) -> None:
        self._study = study

    def seconds_left(self) -> float | None:
        """Return the seconds until the deadline; None without a time budget, or while the clock stands still."""
        deadline = self._study.user_attrs.get(_DEADLINE)
        return None if deadline is None else max(0.0, deadline - time.time())

    def is_over(self) -> bool:
        """Return whether the time budget is spent."""
        return self.seconds_left() == 0

    def start_clock(self) -> None:
        """Set the deadline by the seconds that are left, unless the clock runs already."""
        attributes, minutes = self._study.user_attrs, self._study.space.minutes
        seconds = attributes.get(_SECONDS_LEFT)
        if seconds is None and minutes is not None:
            seconds = 60 * minutes
        if seconds is not None and attributes.get(_DEADLINE) is None:
            self._study.set_user_attr(_DEADLINE, time.time() + seconds)

    def stop_clock(self, minutes: float | None = None) -> None:
        """Stop the clock until the next trial is taken; without `minutes` the stored seconds are left then."""
        seconds = self._study.user_attrs.get(_SECONDS_LEFT) if minutes is None else 60 * minutes
        self._study.set_user_attr(_SECONDS_LEFT, seconds)
        self._study.set_user_attr(_DEADLINE, 0 if seconds == 0 else None)

    def store_seconds_left(self, seconds: float | None) -> None:
        """Store the seconds that the next driver has; None changes nothing."""
        if seconds is not None:
            self._study.set_user_attr(_SECONDS_LEFT, seconds)
