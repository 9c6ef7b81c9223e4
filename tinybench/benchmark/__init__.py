"""Benchmarks: a grid of models, data sets, recipes and seeds, each cell of which is a run; start with `grid_driver`."""
