"""Measures a server from outside, over HTTP as its clients see it."""
