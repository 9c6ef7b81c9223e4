"""The tracking service: MLflow's server, its users, its backups and its clean-up."""
