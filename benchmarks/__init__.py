"""Benchmarks: the course project's implementation and ours on the same files, alternating."""
