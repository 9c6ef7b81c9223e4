"""Tell names that MLflow generated from those that a user gave."""

from __future__ import annotations

from mlflow.utils.name_utils import _GENERATOR_NOUNS, _GENERATOR_PREDICATES


def is_generated_name(name: str) -> bool:
    """Return whether MLflow generated a run's name, such as wise-squid-86, because the user gave none."""
    predicate, _, rest = name.partition("-")
    noun, _, number = rest.partition("-")
    return predicate in _GENERATOR_PREDICATES and noun in _GENERATOR_NOUNS and number.isdigit()
