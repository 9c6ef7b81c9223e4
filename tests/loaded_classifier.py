"""A classifier as the service holds it, without a store."""

from __future__ import annotations

import threading


class LoadedClassifier:
    """A model that has been loaded, as `CurrentModel` holds it."""

    problem, address, ready = "", "models:/animals/1", True

    def __init__(self, classifier):
        self.classifier, self.checked = classifier, threading.Event()
        self.checked.set()

    def close(self):
        """Do nothing: no version is followed."""
