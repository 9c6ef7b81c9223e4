"""Sweeps: Optuna studies whose trials are runs. The only place that imports optuna."""
