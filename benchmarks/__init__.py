"""Benchmarks print figures and assert nothing on time."""
