"""Explain the predictions of a model: maps of the pixels that support a class, and how faithful the maps are."""
