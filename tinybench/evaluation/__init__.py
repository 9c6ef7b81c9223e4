"""Compute the metrics of a model from its predictions; nothing is logged here."""
