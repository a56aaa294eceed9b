"""Trains the demo model: tokenizer, rows of text, network, optimizer, loop, files, model card."""
