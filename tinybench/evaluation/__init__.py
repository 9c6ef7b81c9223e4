"""Evaluate a model: NumPy arrays in, numbers out; nothing is logged here."""
