"""Implement the commands that do more than train a run, one module with one main function for each command."""
