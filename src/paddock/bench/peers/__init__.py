"""Other engines, each behind one adapter that runs in a process of its own."""
