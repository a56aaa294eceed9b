"""The only place that starts a process or reads a host's files."""
