"""Compute the frozen part of a model once per image and keep the result."""
