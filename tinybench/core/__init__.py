"""Errors, paths, locks, atomic files and the cache: what every other package may import."""
