"""Weight files of any origin seen one way: open, convert, inspect, fetch."""
