"""Text to token ids and back, whichever file the vocabulary came in."""
