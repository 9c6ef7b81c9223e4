"""Judging a model: NumPy in, numbers out."""
