"""What executes a model, one folder per library behind one contract (base.py)."""
