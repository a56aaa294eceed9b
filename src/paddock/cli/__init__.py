"""The front door: parses, calls one function, renders; one file per command."""
