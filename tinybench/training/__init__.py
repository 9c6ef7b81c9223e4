"""Training: phases, the one loop, checkpoints."""
