"""Measures models against each other and against what the machine can do at most."""
