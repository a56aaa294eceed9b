"""One module per file format, each a Checkpoint reader and a writer; see checkpoint/open.py."""
