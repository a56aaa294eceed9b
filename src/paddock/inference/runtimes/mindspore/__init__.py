"""MindSpore: the model runs in MindFormers, in a process and a Python of its own."""
