"""Runs for people: terminal, Markdown and tables."""
