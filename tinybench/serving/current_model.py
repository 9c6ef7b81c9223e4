"""The served model: loaded and warmed up before the server is ready, replaced while requests are under way."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from tinybench.core.errors import TinybenchError, format_error
from tinybench.inference.classifier import ImageClassifier

_RETRY_SECONDS = 5.0  # after a model that could not be loaded
_log = logging.getLogger("tinybench.serving")


class CurrentModel:
    """Loads the model to serve in a thread, and replaces it when another one is to be served.

    A request keeps the classifier that it began with, so a replacement loses no request.

    Args:
        find: Returns the address of the model that is to be served now.
        load: Loads the model at an address.
        poll_seconds: Seconds between two checks for another model; None checks until one is loaded.
        on_change: Called with the address of each model once it is served.

    Attributes:
        checked: Set after the first check.
        classifier: The loaded model; None before.
        address: Its address.
        problem: Why the last check failed; empty if it did not.
    """

    def __init__(
        self,
        find: Callable[[], str],
        load: Callable[[str], ImageClassifier],
        poll_seconds: float | None,
        on_change: Callable[[str], None] | None = None,
    ) -> None:
        self._find, self._load, self._poll_seconds, self._on_change = find, load, poll_seconds, on_change
        self._closed = threading.Event()
        self.checked = threading.Event()
        self.classifier: ImageClassifier | None = None
        self.address = ""
        self.problem = ""
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def ready(self) -> bool:
        """True if a model is loaded and has classified once."""
        return self.classifier is not None

    def close(self) -> None:
        """Stop checking for other models."""
        self._closed.set()

    def _run(self) -> None:
        self._check()
        self.checked.set()
        while (self._poll_seconds is not None or not self.ready) and not self._closed.wait(
            self._poll_seconds or _RETRY_SECONDS
        ):
            self._check()

    def _check(self) -> None:
        """Load the model that is to be served, if it is another one; the old one serves until then."""
        try:
            address = self._find()
            if address == self.address:
                self.problem = ""
                return
            classifier = self._load(address)
            classifier.warm_up()
        except Exception as error:  # a store that is away, or a model that cannot be loaded
            if self._closed.is_set():  # the interpreter is ending
                return
            problem = str(error) if isinstance(error, TinybenchError) else format_error(error)
            if problem != self.problem:
                _log.warning("The model cannot be loaded: %s", problem)
            self.problem = problem
            return
        self.classifier, self.address, self.problem = classifier, address, ""
        if self._on_change is not None:
            self._on_change(address)
        _log.info("Serving %s.", address)
