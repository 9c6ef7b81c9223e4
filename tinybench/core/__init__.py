"""Errors, paths, atomic files, the cache and other basics that every package may import."""
