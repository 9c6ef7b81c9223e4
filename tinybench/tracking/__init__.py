"""The tracking store: the only place that imports MLflow."""
