"""The model that a server answers with: loaded and warmed up before it is ready, replaced while requests go on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from tinybench.core.errors import TinybenchError, in_one_line
from tinybench.inference.classifier import Answerer

_RETRY = 5.0  # seconds after a model that could not be loaded
_log = logging.getLogger("tinybench.serving")


class Current:
    """Holds an answerer.

    A request keeps the one that it began with, so that a replacement loses none.
    """

    def __init__(self, find: Callable[[], str], load: Callable[[str], Answerer], every: float | None) -> None:
        """Begin to load.

        Args:
            find: Gives the address of the model that is to be served now.
            load: The model at an address.
            every: Seconds between looks for another one; None looks until it has found one.
        """
        self._find, self._load, self._every = find, load, every
        self._ended = threading.Event()
        self.looked = threading.Event()  # for the first time
        self.answerer: Answerer | None = None
        self.address = ""
        self.trouble = ""
        threading.Thread(target=self._go, daemon=True).start()

    @property
    def ready(self) -> bool:
        """Whether there is a model that has answered once."""
        return self.answerer is not None

    def close(self) -> None:
        """Look no more."""
        self._ended.set()

    def _go(self) -> None:
        self._look()
        self.looked.set()
        while (self._every is not None or not self.ready) and not self._ended.wait(self._every or _RETRY):
            self._look()

    def _look(self) -> None:
        """Load what is to be served, if that is another model than before; the old one answers until then."""
        try:
            wanted = self._find()
            if wanted == self.address:
                self.trouble = ""
                return
            fresh = self._load(wanted)
            fresh.warm_up()
        except Exception as error:  # a store that is away, or a model that cannot be loaded
            reason = str(error) if isinstance(error, TinybenchError) else in_one_line(error)
            if reason != self.trouble:
                _log.warning("The model cannot be loaded: %s", reason)
            self.trouble = reason
            return
        self.answerer, self.address, self.trouble = fresh, wanted, ""
        _log.info("Serving %s.", wanted)
