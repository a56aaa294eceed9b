"""An engine that nobody has installed."""

DISTRIBUTION = "no-such-distribution"
MODULE = "no_such_module_anywhere"
