"""Faults drawn from a seed, on a cluster of real processes that is written to and read."""
