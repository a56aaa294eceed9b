"""HTTP on top of an engine: an OpenAI-compatible server with a page to talk to."""
