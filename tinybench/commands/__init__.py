"""Implement the commands that work on finished runs: compare, evaluate, explain, export and others."""
