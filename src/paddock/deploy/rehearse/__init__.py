"""Simulated hosts of real machines, to try a plan before the server is touched."""
