"""Guesses of what comes next, which the model verifies many at a time."""
