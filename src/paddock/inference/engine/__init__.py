"""Decides what runs next; plain Python, no tensors."""
