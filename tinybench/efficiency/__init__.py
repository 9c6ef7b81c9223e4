"""Measure and count what models and trainings cost: time, memory, energy, parameters and disk space."""
