"""The inference wing: from weight files to answers."""
