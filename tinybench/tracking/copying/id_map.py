"""Rewrite the ids of runs and logged models, which MLflow does not let a copy keep."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tinybench.tracking import tags

_ID_PATTERN = re.compile(r"\b(m-)?[0-9a-f]{32}\b")


@dataclass
class IdMap:
    """The ids that the copies have, by those of the source.

    Attributes:
        runs: Ids of runs.
        models: Ids of logged models.
        locations: Artifact folders of copied runs and logged models, by those of the source.
        originals: Ids of runs and models of the target itself: what was copied from there is not copied back.
    """

    runs: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    locations: dict[str, str] = field(default_factory=dict)
    originals: set[str] = field(default_factory=set)

    def rewrite(self, text: str) -> str:
        """Return a text in which each id of a copied run or logged model is that of the copy."""
        return _ID_PATTERN.sub(lambda match: self._replace(match[0]), text)

    def rewrite_tags(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return tags with the ids of the copies, without the tags about copying; a note for people stays as it is."""
        return {
            name: value if name == tags.NOTE else self.rewrite(value)
            for name, value in values.items()
            if name not in tags.ABOUT_COPYING
        }

    def rewrite_location(self, location: str) -> str | None:
        """Return the place of a copied file; None for a place that does not belong to a copied run or logged model."""
        end = len(location)
        while end > 0:
            if location[:end] in self.locations:
                return self.locations[location[:end]] + location[end:]
            end = location.rfind("/", 0, end)
        return None

    def _replace(self, source_id: str) -> str:
        return self.runs.get(source_id) or self.models.get(source_id, source_id)
