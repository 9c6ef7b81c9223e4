"""Rank models by the predictions of their runs: which are better, which equivalent, and what is not known yet."""
